package decode

import (
	"bytes"
	"strings"

	trafficv1 "github.com/sidelight/sidelight/proto/gen/sidelight/traffic/v1"
)

func (d *decoder) headers() {
	for i, h := range d.req.Headers {
		if h.GetUnknown() {
			d.missed("header value unknown: " + label(h.GetName()))
			continue
		}
		name := label(h.GetName())
		value := h.GetValue()
		if !d.add(Point{Name: "header." + name, Location: Header, Param: name, Value: value,
			Raw: Range{Part: PartHeaderValue, Header: i, End: len(value)}}) {
			return
		}
		if strings.EqualFold(name, "Cookie") {
			d.cookies(i, value)
		}
		if d.req.ContentType == "" && strings.EqualFold(name, "Content-Type") {
			d.req.ContentType = mediaType(value)
		}
	}
}

// cookies are not decoded: neither browsers nor most servers do.
func (d *decoder) cookies(header int, list []byte) {
	for at := 0; at < len(list); {
		end := len(list)
		if k := bytes.IndexByte(list[at:], ';'); k >= 0 {
			end = at + k
		}
		start := at
		for start < end && (list[start] == ' ' || list[start] == '\t') {
			start++
		}
		if start < end && !d.cookie(header, list, start, end) {
			return
		}
		at = end + 1
	}
}

func (d *decoder) cookie(header int, list []byte, start, end int) bool {
	eq, value := end, end
	if k := bytes.IndexByte(list[start:end], '='); k >= 0 {
		eq, value = start+k, start+k+1
	}
	param := label(list[start:eq])
	named := param
	if value == eq {
		// One without "=" is a value that has no name, and must not be shown as one.
		named = ""
	}
	return d.add(Point{Name: "cookie." + named, Location: Cookie, Param: named, Value: list[value:end],
		Raw: Range{Part: PartHeaderValue, Header: header, Start: value, End: end}}) &&
		d.add(Point{Name: "cookie_name", Location: CookieName, Param: param, Value: list[start:eq],
			Raw: Range{Part: PartHeaderValue, Header: header, Start: start, End: eq}})
}

// mediaType gives "application/json" of "Application/JSON; charset=utf-8".
func mediaType(v []byte) string {
	if k := bytes.IndexAny(v, ";,"); k >= 0 {
		v = v[:k]
	}
	return strings.ToLower(label(bytes.TrimSpace(v)))
}

// HeaderValue gives the first value of a header.
func (r *Request) HeaderValue(name string) []byte {
	for _, h := range r.Headers {
		if !h.GetUnknown() && strings.EqualFold(string(h.GetName()), name) {
			return h.GetValue()
		}
	}
	return nil
}

// HeaderNamePoint adds the point of a header's name; rules seldom match there, so it is made when one does.
func (r *Request) HeaderNamePoint(i int) int {
	r.Points = append(r.Points, Point{Name: "header_name", Location: HeaderName, Value: r.Headers[i].GetName(),
		Raw: Range{Part: PartHeaderName, Header: i, End: len(r.Headers[i].GetName())}})
	return len(r.Points) - 1
}

func gapReason(r trafficv1.GapReason) string {
	return strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(r.String(), "GAP_REASON_"), "_", " "))
}
