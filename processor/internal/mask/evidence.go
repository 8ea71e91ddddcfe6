package mask

import (
	"bytes"

	detectionv1 "github.com/sidelight/sidelight/proto/gen/sidelight/detection/v1"

	"github.com/sidelight/sidelight/processor/internal/decode"
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

// Evidence shows the matched bytes in their place. Of a secret only the matched bytes are shown, and nothing if it is not
// known which they are.
func Evidence(r *decode.Request, w engine.Where) *detectionv1.Evidence {
	p := r.Points[w.Point]
	raw := r.RawBytes(p.Raw)
	start, end := min(max(w.Start, 0), len(raw)), min(w.End, len(raw))
	from, to := max(0, start-around), min(len(raw), min(end, start+widest)+around)
	lo, hi := max(0, from-seam), min(len(raw), to+seam)
	text := bytes.Clone(Text(raw[lo:hi])[from-lo : to-lo])
	if Sensitive(p) {
		for i := range text {
			if at := from + i; !w.Exact || at < start || at >= end {
				text[i] = star
			}
		}
	}
	return &detectionv1.Evidence{
		Offset: uint64(start), Length: uint64(end - start), Text: text, TextOffset: uint64(from), WholeValue: !w.Exact,
	}
}
