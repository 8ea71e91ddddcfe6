package mask

import (
	"bytes"

	detectionv1 "github.com/sidelight/sidelight/proto/gen/sidelight/detection/v1"

	"github.com/sidelight/sidelight/processor/internal/engine"
)

const (
	// around is how many bytes are shown before and after a match.
	around = 48
	// widest is how many bytes of a match are shown.
	widest = 1024
	// seam is how far beyond the shown bytes secrets are looked for, so that none is cut in two and missed.
	seam = 512
)

// Evidence shows the matched bytes in their place. Of a secret only that part of the matched bytes is shown which is an
// attack's and not the secret's; nothing, if it is not known which bytes matched.
func (v *View) Evidence(w engine.Where) *detectionv1.Evidence {
	p := v.r.Points[w.Point]
	raw := v.r.RawBytes(p.Raw)
	start, end := min(max(w.Start, 0), len(raw)), min(w.End, len(raw))
	from, to := max(0, start-around), min(len(raw), min(end, start+widest)+around)
	lo, hi := max(0, from-seam), min(len(raw), to+seam)
	c := v.part(p.Raw)
	text := bytes.Clone(Text(c.bytes()[p.Raw.Start+lo : p.Raw.Start+hi])[from-lo : to-lo])
	if v.opaque(p) {
		for i := range text {
			if at := from + i; !w.Exact || at < start || at >= end {
				text[i] = star
			}
		}
	}
	if w.Exact {
		// Secrets that the text itself gave away stay covered; what is told here is only why a whole value was.
		shown := reveal(raw[start:min(end, to)])
		for i, b := range shown {
			if c.hidden(p.Raw.Start + start + i) {
				text[start-from+i] = b
			}
		}
	}
	return &detectionv1.Evidence{
		Offset: uint64(start), Length: uint64(end - start), Text: text, TextOffset: uint64(from), WholeValue: !w.Exact,
	}
}
