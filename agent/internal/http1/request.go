package http1

import (
	"bytes"
	"slices"

	trafficv1 "github.com/sidelight/sidelight/proto/gen/sidelight/traffic/v1"
)

// RequestHandler hears what a parser finds. The request is the handler's to keep.
type RequestHandler interface {
	// RequestStarted: its first line was read.
	RequestStarted(*Request)
	// RequestChanged: more of it is known; Complete or lost for good says whether more may come.
	RequestChanged(*Request)
}

// RequestParser reads the bytes that a server receives.
type RequestParser struct {
	limits  *Limits
	handler RequestHandler
	shelf   *Shelf

	state   requestState
	resumed bool
	paused  bool
	blank   uint8
	head    int    // bytes of head so far
	offset  uint64 // of the next byte
	start   uint64 // of the message under way
	body    bodyReader
	lines   lines
	// framing of the head under way, when it comes in pieces.
	framing *framing
	current *Request
	// Lost counts bytes that no message could be made of.
	Lost uint64
}

type requestState uint8

const (
	requestLine requestState = iota
	requestHead
	requestBody
	// requestLost: what comes cannot be placed, until Resync.
	requestLost
)

// maxBlankLines before a request line are let pass, as servers do.
const maxBlankLines = 4

// NewRequestParser makes a parser at the beginning of a stream, or, resumed, in its middle.
func NewRequestParser(limits Limits, handler RequestHandler, resumed bool) *RequestParser {
	p := &RequestParser{}
	p.Init(&limits, nil, handler, resumed)
	return p
}

// Init makes a parser in place, with limits that its owner may change at any time between two calls, and a shelf or none.
func (p *RequestParser) Init(limits *Limits, shelf *Shelf, handler RequestHandler, resumed bool) {
	*p = RequestParser{limits: limits, shelf: shelf, handler: handler, resumed: resumed}
}

// IsLost tells whether only Resync can help.
func (p *RequestParser) IsLost() bool { return p.state == requestLost }

// Idle tells whether no message is under way.
func (p *RequestParser) Idle() bool {
	return p.state == requestLine && !p.LineUnderWay()
}

// LineUnderWay tells whether the beginning of a request's first line was seen, and not its end.
func (p *RequestParser) LineUnderWay() bool {
	return p.state == requestLine && len(p.lines.partial) > 0
}

// Offset of the next byte in the stream.
func (p *RequestParser) Offset() uint64 { return p.offset }

// Memory is about what the line and the message under way take.
func (p *RequestParser) Memory() int {
	n := cap(p.lines.partial)
	if p.current != nil {
		n += p.current.Memory()
	}
	return n
}

// UnderWay tells whether more of a request may come.
func (p *RequestParser) UnderWay(r *Request) bool { return p.current == r }

// Paused tells whether the parser stands behind a request that may end HTTP on this connection: it reads on after Continue.
func (p *RequestParser) Paused() bool { return p.paused }

// Continue lets a paused parser read on: the answer was no upgrade.
func (p *RequestParser) Continue() { p.paused = false }

// Resync lets the parser read on: what comes then is marked as resumed.
func (p *RequestParser) Resync() {
	p.state, p.resumed, p.current, p.framing, p.paused, p.blank = requestLine, true, nil, nil, false, 0
	p.lines.reset()
}

// Stop makes the parser lost: its owner knows better.
func (p *RequestParser) Stop() {
	p.Lost += uint64(len(p.lines.partial))
	p.lose()
}

// Feed takes the next bytes of the stream. The rest is what a paused parser did not read.
func (p *RequestParser) Feed(data []byte) (rest []byte) {
	p.offset += uint64(len(data))
	for len(data) > 0 {
		if p.paused {
			p.offset -= uint64(len(data))
			return data
		}
		switch p.state {
		case requestLine:
			data = p.feedLine(data)
		case requestHead:
			data = p.feedHead(data)
		case requestBody:
			rest, o := p.body.feed(&p.current.message, &p.lines, data, p.limits)
			if data = rest; o == bodyBroken {
				p.Lost += uint64(len(data))
				data = nil
			}
			p.settle(o)
		case requestLost:
			p.Lost += uint64(len(data))
			return nil
		}
	}
	return nil
}

// Skip tells of n bytes of the stream that were not seen. The owner of a paused parser keeps them until it reads on.
func (p *RequestParser) Skip(n uint64, reason trafficv1.GapReason) {
	if n == 0 {
		return
	}
	p.offset += n
	switch p.state {
	case requestBody:
		p.settle(p.body.skip(&p.current.message, n, reason))
	case requestHead:
		p.current.gap(Gap{InHead: true, Offset: uint64(p.head), Length: n, Reason: reason})
		p.lose()
	case requestLine:
		p.Lost += n + uint64(len(p.lines.partial))
		p.lose()
	case requestLost:
		p.Lost += n
	}
}

// settle acts on what the body's reader said.
func (p *RequestParser) settle(o outcome) {
	switch o {
	case bodyEnds:
		p.finish()
	case bodyBroken:
		p.lose()
	case bodyGoesOn:
		p.handler.RequestChanged(p.current)
	}
}

func (p *RequestParser) lose() {
	p.state, p.framing, p.paused = requestLost, nil, false
	p.lines.reset()
	if done := p.current; done != nil {
		p.current = nil
		if len(done.Gaps) == 0 {
			done.gap(Gap{Offset: done.BodySize})
		}
		p.handler.RequestChanged(done)
	}
}

func (p *RequestParser) finish() {
	done := p.current
	done.Complete = true
	p.state, p.current, p.framing, p.resumed, p.blank = requestLine, nil, nil, false, 0
	p.paused = done.Tunnel
	p.lines.reset()
	p.handler.RequestChanged(done)
}

func (p *RequestParser) feedLine(data []byte) []byte {
	if len(p.lines.partial) == 0 {
		p.start = p.offset - uint64(len(data))
		if data[0] != '\r' && data[0] != '\n' {
			var ends [maxLines]int32
			if count, size := cut(data, &ends); count > 0 && size <= p.limits.HeadKept {
				return p.wholeHead(data, ends[:count], size)
			}
		}
	}
	line, rest, bareLF, ok := p.lines.next(data, p.limits.HeadKept)
	if !ok {
		if !couldBeRequest(p.lines.partial) && len(p.lines.partial) > 0 && p.lines.partial[0] != '\r' || p.lines.dropped > 0 {
			p.Lost += uint64(len(p.lines.partial) + p.lines.dropped)
			p.lose()
		}
		return nil
	}
	if len(line) == 0 && !p.lines.long() {
		if p.blank++; p.blank > maxBlankLines {
			p.lose()
		}
		return rest
	}
	cut := p.lines.long()
	method, target, minor, ok := parseRequestLine(line)
	if !ok || cut {
		p.Lost += uint64(len(line))
		p.lose()
		return rest
	}
	r := p.begin(minor)
	if bareLF {
		r.anomaly(trafficv1.Anomaly_ANOMALY_BARE_LF)
	}
	r.odd(line)
	line = r.keepLine(line, bareLF)
	r.Method, r.Target = line[:method:method], line[method+1:target:target]
	p.state, p.head, p.framing = requestHead, len(r.Head), &framing{lastHeader: -1}
	p.handler.RequestStarted(r)
	return rest
}

func (p *RequestParser) begin(minor byte) *Request {
	r := p.shelf.request()
	r.Offset, r.Resumed, r.Minor = p.start, p.resumed, minor
	p.current = r
	return r
}

// wholeHead is the usual case: all of a head came with one call.
func (p *RequestParser) wholeHead(data []byte, ends []int32, size int) []byte {
	line := data[:ends[0]-1]
	if n := len(line); n > 0 && line[n-1] == '\r' {
		line = line[:n-1]
	}
	method, target, minor, ok := parseRequestLine(line)
	if !ok {
		p.Lost += uint64(len(data))
		p.lose()
		return nil
	}
	f := framing{lastHeader: -1}
	r := p.begin(minor)
	r.whole(&f, data[:size], ends)
	r.Method, r.Target = r.Head[:method:method], r.Head[method+1:target:target]
	p.head = size
	if p.handler.RequestStarted(r); p.current == r {
		p.endHead(&f)
	}
	return data[size:]
}

func (p *RequestParser) feedHead(data []byte) []byte {
	r := p.current
	line, rest, bareLF, ok := p.lines.next(data, p.limits.HeadKept)
	p.head += len(data) - len(rest)
	if p.head > p.limits.HeadSeen {
		p.Lost += uint64(len(rest))
		r.anomaly(trafficv1.Anomaly_ANOMALY_HEADERS_TOO_LARGE)
		r.gap(Gap{InHead: true, Offset: uint64(p.limits.HeadSeen), Reason: trafficv1.GapReason_GAP_REASON_BUDGET})
		p.lose()
		return nil
	}
	if !ok {
		return nil
	}
	keep := !p.lines.long() && p.head <= p.limits.HeadKept && len(r.Headers) < maxHeaders
	if !keep {
		r.anomaly(trafficv1.Anomaly_ANOMALY_HEADERS_TOO_LARGE)
	}
	if len(line) > 0 {
		r.one(p.framing, line, bareLF, keep)
		return rest
	}
	if bareLF {
		r.anomaly(trafficv1.Anomaly_ANOMALY_BARE_LF)
	}
	if keep {
		r.keepLine(nil, bareLF)
	}
	p.framing.commit(&r.message)
	p.endHead(p.framing)
	return rest
}

// endHead decides where the request ends: RFC 9112, 6.3. What servers refuse, or read in two ways, is not followed.
func (p *RequestParser) endHead(f *framing) {
	r := p.current
	r.HeadDone = true
	if slices.Contains(r.Anomalies, trafficv1.Anomaly_ANOMALY_HEADERS_TOO_LARGE) {
		r.gap(Gap{InHead: true, Offset: uint64(len(r.Head)), Length: uint64(max(0, p.head-len(r.Head))), Reason: trafficv1.GapReason_GAP_REASON_BUDGET})
	}
	if f.hasCoding && r.Minor == 0 {
		// HTTP/1.0 knows no chunks: servers read them, or the length, or nothing.
		r.anomaly(trafficv1.Anomaly_ANOMALY_BAD_TRANSFER_ENCODING)
		f.badCoding = true
	}
	r.Tunnel = f.upgrade || bytes.Equal(r.Method, []byte("CONNECT"))
	r.Plain = len(r.Anomalies) == 0 && !f.hasCoding && !f.expect && !r.Tunnel
	switch {
	case f.badCoding, f.doubtful, f.badLength && !f.hasCoding:
		p.lose()
		return
	case f.hasCoding:
		p.body = bodyReader{kind: bodyChunked}
	case f.hasLength && f.length > 0:
		p.body = bodyReader{kind: bodyLength, left: f.length}
	default:
		p.finish()
		return
	}
	p.state, p.framing = requestBody, nil
	p.lines.reset()
	p.handler.RequestChanged(r)
}
