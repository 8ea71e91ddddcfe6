// Package decode turns the bytes of a request into points: every place that can hold a value, with the value decoded once
// and the way back to the bytes on the wire.
package decode

import (
	"bytes"
	"slices"
	"time"

	trafficv1 "github.com/sidelight/sidelight/proto/gen/sidelight/traffic/v1"
)

// Limits bound what one request may cost. What lies beyond a limit is not decoded, and the request says so.
type Limits struct {
	// Body is the longest body that is looked at, in bytes.
	Body int
	// Depth is the deepest nesting of JSON.
	Depth int
	// Points is the largest number of points.
	Points int
	// File is how much of each uploaded file is looked at, in bytes.
	File int
	// Time is how long the decoding may take.
	Time time.Duration
}

// DefaultLimits are the limits that the service starts with. They keep the worst request within about two seconds of the rule
// engine's time, which no request can interrupt.
func DefaultLimits() Limits {
	return Limits{Body: 64 << 10, Depth: 64, Points: 2048, File: 4 << 10, Time: 100 * time.Millisecond}
}

// BodyKind is how a body is read.
type BodyKind uint8

// Kinds of bodies.
const (
	BodyNone BodyKind = iota
	BodyForm
	BodyJSON
	BodyMultipart
	BodyXML
	BodyOther
)

// Request is a decoded request. Its slices point into the exchange wherever nothing had to be decoded.
type Request struct {
	Method, Target []byte
	// Path and Query are parts of Target, raw; PathStart and QueryStart say where they begin.
	Path, Query           []byte
	PathStart, QueryStart int
	Authority             []byte
	Protocol              trafficv1.Protocol
	Headers               []*trafficv1.Header
	// ContentType is the media type of the body, in lower case, without parameters.
	ContentType string
	Kind        BodyKind
	// Body is what was seen of the body from its start to the first hole, up to the limit.
	Body   []byte
	Points []Point
	// NotInspected says what was not looked at, and why. Empty: the whole request was.
	NotInspected []string

	frames []frame
}

// Decode reads a request within limits. It never fails: what cannot be read is a point of raw bytes or a reason in NotInspected.
func Decode(r *trafficv1.Request, gaps []*trafficv1.Gap, l Limits) *Request {
	d := &decoder{limits: l, deadline: time.Now().Add(l.Time), req: &Request{
		Method: r.GetMethod(), Target: r.GetTarget(), Authority: r.GetAuthority(), Protocol: r.GetProtocol(), Headers: r.GetHeaders(),
	}}
	d.req.Points = make([]Point, 0, 16+len(d.req.Headers))
	d.target()
	d.headers()
	d.gaps(gaps)
	d.body(r)
	return d.req
}

// decoder is the state of one Decode.
type decoder struct {
	req      *Request
	limits   Limits
	deadline time.Time
	ticks    int
	stopped  bool
	// gapInBody: what is missing of the body was said already.
	gapInBody bool
}

// add appends a point unless a limit is reached; then it says so once and returns false.
func (d *decoder) add(p Point) bool {
	if d.stopped {
		return false
	}
	if len(d.req.Points) >= d.limits.Points {
		return d.stop("overlimit: points")
	}
	if d.ticks++; d.ticks%64 == 0 && time.Now().After(d.deadline) {
		return d.stop("overlimit: time")
	}
	d.req.Points = append(d.req.Points, p)
	return true
}

func (d *decoder) stop(why string) bool {
	d.stopped = true
	d.missed(why)
	return false
}

// missed records that something was not looked at.
func (d *decoder) missed(why string) {
	if !slices.Contains(d.req.NotInspected, why) {
		d.req.NotInspected = append(d.req.NotInspected, why)
	}
}

func (d *decoder) gaps(gaps []*trafficv1.Gap) {
	for _, g := range gaps {
		switch g.GetPart() {
		case trafficv1.Gap_PART_REQUEST_HEAD:
			d.missed("gap in head: " + gapReason(g.GetReason()))
		case trafficv1.Gap_PART_REQUEST_BODY:
			d.gapInBody = true
			d.missed("gap in body: " + gapReason(g.GetReason()))
		default:
		}
	}
}

// target splits the request target, which may be absolute, and takes it apart.
func (d *decoder) target() {
	r := d.req
	t := r.Target
	if i := bytes.Index(t, []byte("://")); i > 0 && !bytes.ContainsAny(t[:i], "/?#") {
		start := i + 3
		end := len(t)
		if k := bytes.IndexAny(t[start:], "/?#"); k >= 0 {
			end = start + k
		}
		r.PathStart = end
	}
	rest := t[r.PathStart:]
	if k := bytes.IndexByte(rest, '#'); k >= 0 {
		rest = rest[:k]
	}
	r.Path = rest
	if k := bytes.IndexByte(rest, '?'); k >= 0 {
		r.Path, r.Query, r.QueryStart = rest[:k], rest[k+1:], r.PathStart+k+1
	}
	d.add(newPoint("path", Path, "", Range{Part: PartTarget, Start: r.PathStart, End: r.PathStart + len(r.Path)}, r.Path, stepsPercent))
	d.pairs(r.Query, r.QueryStart, pairs{part: PartTarget, value: Query, name: QueryName, prefix: "query.", namePoint: "query_name"})
}
