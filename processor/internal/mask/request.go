package mask

import (
	"bytes"
	"fmt"

	"github.com/sidelight/sidelight/processor/internal/decode"
)

// Request writes head and body as text with all secrets masked, at most limit bytes. A body that was not taken apart whole
// is left out: its secrets could not be found.
func Request(r *decode.Request, limit int) []byte {
	target := cover{src: r.Target}
	body := cover{src: r.Body}
	values := make([]cover, len(r.Headers))
	for i, h := range r.Headers {
		values[i].src = h.GetValue()
	}
	for _, p := range r.Points {
		if !Sensitive(p) {
			continue
		}
		switch p.Raw.Part {
		case decode.PartTarget:
			target.hide(p.Raw.Start, p.Raw.End)
		case decode.PartBody:
			body.hide(p.Raw.Start, p.Raw.End)
		case decode.PartHeaderValue:
			values[p.Raw.Header].hide(p.Raw.Start, p.Raw.End)
		default:
		}
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s\n", r.Method, Text(target.bytes()))
	for i, h := range r.Headers {
		value := Text(values[i].bytes())
		if h.GetUnknown() {
			value = []byte("(not known)")
		}
		fmt.Fprintf(&b, "%s: %s\n", h.GetName(), value)
	}
	switch {
	case len(r.Body) == 0:
	case len(r.NotInspected) > 0 || r.Kind == decode.BodyMultipart || binary(r):
		fmt.Fprintf(&b, "\n(%d bytes of body, not shown)\n", len(r.Body))
	default:
		b.WriteByte('\n')
		b.Write(Text(body.bytes()))
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
