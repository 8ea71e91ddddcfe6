package exchange

import (
	"bytes"
	"net/netip"
	"slices"

	"github.com/sidelight/sidelight/agent/internal/http1"
	trafficv1 "github.com/sidelight/sidelight/proto/gen/sidelight/traffic/v1"
)

// request copies what is known; without content only what names it.
func request(r *http1.Request, content bool) *trafficv1.Request {
	out := &trafficv1.Request{
		Method: r.Method, Target: r.Target, Protocol: protocol(r.Minor), Authority: authority(r), Scheme: "http",
		BodySize: r.BodySize, BodyComplete: r.Complete,
	}
	if !content {
		return out
	}
	out.Headers, out.Trailers = headers(r.Headers), headers(r.Trailers)
	// The parser's list may still grow; what was sent must not.
	out.Anomalies = append([]trafficv1.Anomaly(nil), r.Anomalies...)
	for _, s := range r.Body {
		out.Body = append(out.Body, &trafficv1.BodySegment{Offset: s.Offset, Data: slices.Clip(s.Data)})
	}
	return out
}

func response(r *http1.Response) *trafficv1.Response {
	if r == nil {
		return nil
	}
	return &trafficv1.Response{Status: uint32(r.Status), Headers: headers(r.Headers), BodySize: r.BodySize}
}

func headers(list []http1.Header) []*trafficv1.Header {
	out := make([]*trafficv1.Header, len(list))
	backing := make([]trafficv1.Header, len(list))
	for i, h := range list {
		backing[i].Name, backing[i].Value = h.Name, h.Value
		out[i] = &backing[i]
	}
	return out
}

func gaps(r *http1.Request) []*trafficv1.Gap {
	var out []*trafficv1.Gap
	for _, g := range r.Gaps {
		part := trafficv1.Gap_PART_REQUEST_BODY
		if g.InHead {
			part = trafficv1.Gap_PART_REQUEST_HEAD
		}
		out = append(out, &trafficv1.Gap{Part: part, Offset: g.Offset, Length: g.Length, Reason: g.Reason})
	}
	return out
}

func protocol(minor byte) trafficv1.Protocol {
	if minor == 0 {
		return trafficv1.Protocol_PROTOCOL_HTTP10
	}
	return trafficv1.Protocol_PROTOCOL_HTTP11
}

// authority is the first Host, or that of a target in absolute form.
func authority(r *http1.Request) []byte {
	if _, rest, found := bytes.Cut(r.Target, []byte("://")); found && r.Target[0] != '/' {
		if end := bytes.IndexAny(rest, "/?#"); end >= 0 {
			rest = rest[:end]
		}
		return rest
	}
	for _, h := range r.Headers {
		if len(h.Name) == 4 && bytes.EqualFold(h.Name, []byte("Host")) {
			return h.Value
		}
	}
	return nil
}

func socketAddress(a netip.AddrPort) *trafficv1.SocketAddress {
	return &trafficv1.SocketAddress{Ip: a.Addr().Unmap().AsSlice(), Port: uint32(a.Port())}
}
