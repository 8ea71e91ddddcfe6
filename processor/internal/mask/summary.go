package mask

import (
	"bytes"
	"strings"

	detectionv1 "github.com/sidelight/sidelight/proto/gen/sidelight/detection/v1"
	trafficv1 "github.com/sidelight/sidelight/proto/gen/sidelight/traffic/v1"
)

const (
	longestPath  = 2048
	longestAgent = 256
)

// Summary is what a person needs to recognise a request, without its head and body.
func (v *View) Summary(x *trafficv1.Exchange) *detectionv1.RequestSummary {
	r := v.r
	host := r.Authority
	if len(host) == 0 {
		host = r.HeaderValue("Host")
	}
	// A name and a password may stand before the host.
	host = host[bytes.LastIndexByte(host, '@')+1:]
	path := &cover{src: r.Target}
	v.coverPath(path)
	return &detectionv1.RequestSummary{
		Method:   text(r.Method, 64),
		Path:     text(Text(path.bytes()[r.PathStart:r.PathStart+len(r.Path)]), longestPath),
		Host:     text(host, 256),
		Status:   x.GetResponse().GetStatus(),
		BodySize: x.GetRequest().GetBodySize(), ResponseSize: x.GetResponse().GetBodySize(),
		Client:    x.GetClient(),
		Peer:      x.GetConnection().GetPeer(),
		Workload:  x.GetWorkload(),
		TraceId:   traceID(v.header("traceparent")),
		UserAgent: text(Text(v.header("User-Agent")), longestAgent),
	}
}

// header gives the first value of a header, covered if a person wants it so.
func (v *View) header(name string) []byte {
	value := v.r.HeaderValue(name)
	if v.points.has("header."+name, "") {
		return All(value)
	}
	return value
}

// text makes bytes fit for a string of a message, which must be UTF-8.
func text(b []byte, limit int) string {
	return strings.ToValidUTF8(string(b[:min(len(b), limit)]), "\uFFFD")
}

// traceID takes the trace id out of a W3C traceparent.
func traceID(v []byte) string {
	parts := strings.Split(strings.TrimSpace(string(v)), "-")
	if len(parts) < 4 || len(parts[0]) != 2 || len(parts[1]) != 32 {
		return ""
	}
	if strings.Trim(parts[1], "0123456789abcdef") != "" || strings.Trim(parts[1], "0") == "" {
		return ""
	}
	return parts[1]
}
