package mask

import (
	"bytes"
	"fmt"

	"github.com/sidelight/sidelight/processor/internal/decode"
)

// Request writes head and body as text with all secrets masked, at most limit bytes. A body that was not taken apart whole
// is left out: its secrets could not be found.
func (v *View) Request(limit int) []byte {
	r := v.r
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s\n", r.Method, Text(v.ofTarget().bytes()))
	for i, h := range r.Headers {
		value := Text(v.ofValue(i).bytes())
		if h.GetUnknown() {
			value = []byte("(not known)")
		}
		fmt.Fprintf(&b, "%s: %s\n", h.GetName(), value)
		if b.Len() >= limit {
			return b.Bytes()[:limit]
		}
	}
	switch {
	case len(r.Body) == 0:
	case len(r.NotInspected) > 0 || r.Kind == decode.BodyMultipart || binary(r) || structured(r):
		fmt.Fprintf(&b, "\n(%d bytes of body, not shown)\n", len(r.Body))
	default:
		b.WriteByte('\n')
		b.Write(Text(v.ofBody().bytes()))
	}
	return b.Bytes()[:min(limit, b.Len())]
}

// binary tells whether the body is one point of bytes that are no text.
func binary(r *decode.Request) bool {
	for _, p := range r.Points {
		if p.Name == "body" && p.Kind == decode.KindBinary {
			return true
		}
	}
	return false
}
