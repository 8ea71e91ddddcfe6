package recognise

import (
	"bytes"
	"net"
	"slices"
	"strings"

	inventoryv1 "github.com/sidelight/sidelight/proto/gen/sidelight/inventory/v1"
	trafficv1 "github.com/sidelight/sidelight/proto/gen/sidelight/traffic/v1"

	"github.com/sidelight/sidelight/processor/internal/decode"
	"github.com/sidelight/sidelight/processor/internal/transform"
)

const (
	// mostParameters and mostSegments bound an observation.
	mostParameters = 1024
	mostSegments   = 64
	longestSegment = 256
)

// Observe says what one exchange tells of its endpoint. The values stay here.
func Observe(r *decode.Request, x *trafficv1.Exchange, client []byte, attack, incomplete bool) *inventoryv1.Observation {
	w := x.GetWorkload()
	o := &inventoryv1.Observation{
		ExchangeId: x.GetId(), Revision: x.GetRevision(), Cluster: w.GetCluster(), Service: w.GetService(),
		Host: Host(r), Method: strings.ToValidUTF8(string(r.Method), "\uFFFD"), Protocol: inventoryv1.Protocol_PROTOCOL_REST,
		RequestContentType: r.ContentType, ResponseContentType: contentType(x.GetResponse().GetHeaders()),
		Status: x.GetResponse().GetStatus(), Auth: auth(r), Attack: attack, Client: client, Incomplete: incomplete,
		ObservedAt: x.GetTimes().GetObservedAt(),
	}
	if o.ObservedAt == nil {
		o.ObservedAt = x.GetTimes().GetRequestStart()
	}
	if len(r.Body) == 0 {
		o.RequestContentType = ""
	}
	o.Segments, o.TrailingSlash = segments(r.Path)
	o.Parameters = parameters(r)
	return o
}

// segments are split before they are decoded: an encoded slash is part of a segment.
func segments(path []byte) ([]*inventoryv1.PathSegment, bool) {
	var out []*inventoryv1.PathSegment
	for raw := range bytes.SplitSeq(path, []byte("/")) {
		if len(raw) == 0 || len(out) >= mostSegments {
			continue
		}
		t, _ := transform.Apply(transform.Percent, transform.Plain(raw))
		text := strings.ToValidUTF8(string(t.Data[:min(len(t.Data), longestSegment)]), "\uFFFD")
		out = append(out, &inventoryv1.PathSegment{Text: text, Type: Type(t.Data)})
	}
	return out, len(path) > 1 && path[len(path)-1] == '/'
}

// Shape gives the segments of a path with those that have a form of their own replaced by its name.
func Shape(path []byte) []string {
	list, _ := segments(path)
	out := make([]string, 0, len(list))
	for _, s := range list {
		if s.GetType() == inventoryv1.ValueType_VALUE_TYPE_STRING {
			out = append(out, s.GetText())
			continue
		}
		out = append(out, "{"+s.GetType().String()+"}")
	}
	return out
}

type parameterKey struct {
	location inventoryv1.Location
	name     string
	kind     inventoryv1.ValueType
}

// parameters counts each parameter once for each type that its values had.
func parameters(r *decode.Request) []*inventoryv1.Parameter {
	var out []*inventoryv1.Parameter
	at := map[parameterKey]*inventoryv1.Parameter{}
	for _, p := range r.Points {
		loc := location(p)
		if loc == inventoryv1.Location_LOCATION_UNSPECIFIED {
			continue
		}
		key := parameterKey{loc, r.Generic(p), valueType(p)}
		if loc == inventoryv1.Location_LOCATION_HEADER {
			key.name = strings.ToLower(key.name)
		}
		q := at[key]
		if q == nil {
			if len(out) >= mostParameters {
				continue
			}
			q = &inventoryv1.Parameter{Location: loc, Name: key.name, Type: key.kind}
			at[key] = q
			out = append(out, q)
		}
		q.Count++
		for _, c := range Classes(p.Value) {
			if !slices.Contains(q.Classes, c) {
				q.Classes = append(q.Classes, c)
			}
		}
	}
	return out
}

func location(p decode.Point) inventoryv1.Location {
	switch p.Location {
	case decode.Query:
		return inventoryv1.Location_LOCATION_QUERY
	case decode.Header:
		if ordinary(p.Param) {
			return inventoryv1.Location_LOCATION_UNSPECIFIED
		}
		return inventoryv1.Location_LOCATION_HEADER
	case decode.Cookie:
		if p.Param == "" {
			return inventoryv1.Location_LOCATION_UNSPECIFIED
		}
		return inventoryv1.Location_LOCATION_COOKIE
	case decode.Form:
		return inventoryv1.Location_LOCATION_FORM
	case decode.JSON:
		return inventoryv1.Location_LOCATION_JSON
	case decode.Multipart, decode.FileName:
		return inventoryv1.Location_LOCATION_MULTIPART
	default:
		return inventoryv1.Location_LOCATION_UNSPECIFIED
	}
}

// ordinary headers say nothing about an API: every client sends them.
func ordinary(name string) bool {
	name = strings.ToLower(name)
	if strings.HasPrefix(name, "sec-") || strings.HasPrefix(name, "if-") || strings.HasPrefix(name, "x-forwarded-") {
		return true
	}
	switch name {
	case "host", "connection", "user-agent", "accept", "accept-encoding", "accept-language", "accept-charset", "content-length",
		"content-type", "content-encoding", "transfer-encoding", "te", "trailer", "cookie", "authorization", "proxy-authorization",
		"referer", "origin", "cache-control", "pragma", "upgrade", "upgrade-insecure-requests", "dnt", "priority", "expect", "via",
		"forwarded", "x-real-ip", "x-request-id", "traceparent", "tracestate", "baggage", "keep-alive", "range", "date", "save-data":
		return true
	}
	return false
}

func valueType(p decode.Point) inventoryv1.ValueType {
	switch {
	case p.Location == decode.FileName, p.Kind == decode.KindBinary:
		return inventoryv1.ValueType_VALUE_TYPE_BINARY
	case p.Kind == decode.KindNull:
		return inventoryv1.ValueType_VALUE_TYPE_NULL
	case p.Kind == decode.KindObject:
		return inventoryv1.ValueType_VALUE_TYPE_OBJECT
	case p.Kind == decode.KindArray:
		return inventoryv1.ValueType_VALUE_TYPE_ARRAY
	case p.Kind == decode.KindNumber:
		if t := Type(p.Value); t == inventoryv1.ValueType_VALUE_TYPE_INT32 || t == inventoryv1.ValueType_VALUE_TYPE_INT64 ||
			t == inventoryv1.ValueType_VALUE_TYPE_BIG_INTEGER {
			return t
		}
		return inventoryv1.ValueType_VALUE_TYPE_NUMBER
	case p.Location == decode.JSON && p.Kind == decode.KindText:
		// "17" in quotes is a text by the sender's own word; only what has a form of its own is more than that.
		switch t := Type(p.Value); t {
		case inventoryv1.ValueType_VALUE_TYPE_BOOLEAN, inventoryv1.ValueType_VALUE_TYPE_INT32, inventoryv1.ValueType_VALUE_TYPE_INT64,
			inventoryv1.ValueType_VALUE_TYPE_NUMBER, inventoryv1.ValueType_VALUE_TYPE_BIG_INTEGER:
			return inventoryv1.ValueType_VALUE_TYPE_STRING
		default:
			return t
		}
	default:
		return Type(p.Value)
	}
}

// Host is the name that the client asked for, in lower case, without port and without what may stand before it.
func Host(r *decode.Request) string {
	h := string(r.Authority)
	if h == "" {
		h = string(r.HeaderValue("Host"))
	}
	h = h[strings.LastIndexByte(h, '@')+1:]
	if name, _, err := net.SplitHostPort(h); err == nil {
		h = name
	}
	return strings.ToLower(strings.ToValidUTF8(h[:min(len(h), 255)], "\uFFFD"))
}

func contentType(headers []*trafficv1.Header) string {
	for _, h := range headers {
		if strings.EqualFold(string(h.GetName()), "content-type") {
			v, _, _ := bytes.Cut(h.GetValue(), []byte(";"))
			return strings.ToLower(strings.ToValidUTF8(strings.TrimSpace(string(v[:min(len(v), 128)])), "\uFFFD"))
		}
	}
	return ""
}

func auth(r *decode.Request) inventoryv1.AuthScheme {
	if v := r.HeaderValue("Authorization"); len(v) > 0 {
		scheme, _, _ := strings.Cut(strings.ToLower(string(v[:min(len(v), 16)])), " ")
		switch scheme {
		case "basic":
			return inventoryv1.AuthScheme_AUTH_SCHEME_BASIC
		case "bearer":
			return inventoryv1.AuthScheme_AUTH_SCHEME_BEARER
		case "digest":
			return inventoryv1.AuthScheme_AUTH_SCHEME_DIGEST
		default:
			return inventoryv1.AuthScheme_AUTH_SCHEME_OTHER
		}
	}
	for _, p := range r.Points {
		switch p.Location {
		case decode.Header, decode.Query:
			name := bare(p.Param)
			if name == "xapikey" || name == "apikey" || name == "xauthtoken" || name == "accesstoken" {
				return inventoryv1.AuthScheme_AUTH_SCHEME_API_KEY
			}
		case decode.Cookie:
			if SessionCookie(p.Param) {
				return inventoryv1.AuthScheme_AUTH_SCHEME_COOKIE
			}
		default:
		}
	}
	return inventoryv1.AuthScheme_AUTH_SCHEME_NONE
}

// SessionCookie tells by its name whether a cookie says who is asking.
func SessionCookie(name string) bool {
	name = bare(name)
	return strings.Contains(name, "sess") || name == "sid" || strings.HasSuffix(name, ".sid") || strings.Contains(name, "token") ||
		strings.Contains(name, "auth")
}

// bare is a name in lower case without what separates its words.
func bare(name string) string {
	return strings.ReplaceAll(strings.ReplaceAll(strings.ToLower(name), "-", ""), "_", "")
}
