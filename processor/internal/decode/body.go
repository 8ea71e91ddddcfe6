package decode

import (
	"bytes"
	"slices"
	"strings"

	trafficv1 "github.com/sidelight/sidelight/proto/gen/sidelight/traffic/v1"
)

// body joins the segments that follow each other from the start, and reads them by their media type.
func (d *decoder) body(r *trafficv1.Request) {
	body, whole := d.join(r)
	if d.gapInBody {
		// The gap says why.
	} else if !r.GetBodyComplete() && (r.GetBodySize() > 0 || len(r.GetBody()) > 0) {
		d.missed("body not complete yet")
	} else if !whole {
		d.missed("body not seen whole")
	}
	if len(body) > d.limits.Body {
		body = body[:d.limits.Body]
		d.missed("overlimit: body")
	}
	d.req.Body = body
	if len(body) == 0 {
		return
	}
	if enc := d.req.HeaderValue("Content-Encoding"); len(enc) > 0 && !strings.EqualFold(string(enc), "identity") {
		d.req.Kind = BodyOther
		d.missed("body is encoded: " + label(enc))
		return
	}
	d.req.Kind = kindOf(d.req.ContentType)
	switch d.req.Kind {
	case BodyForm:
		d.pairs(body, 0, pairs{part: PartBody, value: Form, name: FormName, prefix: "body.form.", namePoint: "body.form_name"})
	case BodyJSON:
		d.json(body)
	case BodyMultipart:
		d.multipart(body)
	case BodyXML:
		d.raw("body.xml", XML, body)
	default:
		d.raw("body", Body, body)
	}
}

func (d *decoder) raw(name string, loc Location, body []byte) {
	p := Point{Name: name, Location: loc, Value: body, Raw: Range{Part: PartBody, End: len(body)}}
	if loc == Body && binary(body) {
		p.Kind = KindBinary
	}
	d.add(p)
}

// join copies only when a body came in several segments.
func (d *decoder) join(r *trafficv1.Request) (body []byte, whole bool) {
	next := uint64(0)
	for i, s := range r.GetBody() {
		if s.GetOffset() != next {
			return body, false
		}
		next += uint64(len(s.GetData()))
		if i == 0 {
			body = s.GetData()
			continue
		}
		body = append(slices.Clip(body), s.GetData()...)
		if len(body) > d.limits.Body {
			return body, true
		}
	}
	return body, next >= r.GetBodySize()
}

func kindOf(mediaType string) BodyKind {
	switch {
	case mediaType == "application/x-www-form-urlencoded":
		return BodyForm
	case mediaType == "application/json", strings.HasPrefix(mediaType, "application/") && strings.HasSuffix(mediaType, "+json"):
		return BodyJSON
	case mediaType == "multipart/form-data":
		return BodyMultipart
	case strings.HasSuffix(mediaType, "/xml"), strings.HasSuffix(mediaType, "+xml"):
		return BodyXML
	default:
		return BodyOther
	}
}

// binary guesses from the first bytes, as browsers do: text has no NUL and few other control characters.
func binary(b []byte) bool {
	b = b[:min(len(b), 512)]
	return bytes.ContainsAny(b, "\x00\x01\x02\x03\x04\x05\x06\x0e\x0f\x10\x11\x12\x13\x14\x15\x16\x17")
}
