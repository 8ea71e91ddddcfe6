package http1

import (
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
	limits  Limits
	handler RequestHandler

	state   requestState
	offset  uint64 // of the next byte
	start   uint64 // of the message under way
	resumed bool
	blank   int
	head    int // bytes of head so far
	framing framing
	lines   lines
	body    bodyReader
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
	return &RequestParser{limits: limits, handler: handler, resumed: resumed}
}

// IsLost tells whether only a change of direction can help.
func (p *RequestParser) IsLost() bool { return p.state == requestLost }

// Idle tells whether no message is under way.
func (p *RequestParser) Idle() bool {
	return p.state == requestLine && len(p.lines.partial) == 0
}

// LineUnderWay tells whether the beginning of a request's first line was seen, and not its end.
func (p *RequestParser) LineUnderWay() bool {
	return p.state == requestLine && len(p.lines.partial) > 0
}

// Resync lets the parser read on at a change of direction: what comes then is marked as resumed.
func (p *RequestParser) Resync() {
	p.state, p.resumed, p.current = requestLine, true, nil
	p.lines.reset()
}

// Feed takes the next bytes of the stream.
func (p *RequestParser) Feed(data []byte) {
	p.offset += uint64(len(data))
	for len(data) > 0 {
		switch p.state {
		case requestLine:
			data = p.feedLine(data)
		case requestHead:
			data = p.feedHead(data)
		case requestBody:
			rest, o := p.body.feed(&p.current.message, data, p.limits.Body)
			p.settle(o)
			data = rest
		case requestLost:
			p.Lost += uint64(len(data))
			return
		}
	}
}

// Skip tells of n bytes of the stream that were not seen.
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
	p.state = requestLost
	p.lines.reset()
	if p.current != nil {
		if len(p.current.Gaps) == 0 {
			p.current.gap(Gap{Offset: p.current.BodySize})
		}
		p.handler.RequestChanged(p.current)
		p.current = nil
	}
}

func (p *RequestParser) finish() {
	done := p.current
	done.Complete = true
	p.state, p.current, p.resumed, p.blank = requestLine, nil, false, 0
	p.handler.RequestChanged(done)
}

func (p *RequestParser) feedLine(data []byte) []byte {
	if len(p.lines.partial) == 0 {
		p.start = p.offset - uint64(len(data))
	}
	line, rest, bareLF, ok := p.lines.next(data, p.limits.HeadKept)
	if !ok {
		if !couldBeRequest(p.lines.partial) && len(p.lines.partial) > 0 && p.lines.partial[0] != '\r' || p.lines.dropped > 0 {
			p.Lost += uint64(len(p.lines.partial) + p.lines.dropped)
			p.lose()
		}
		return nil
	}
	if p.lines.long() {
		p.Lost += uint64(len(line))
		p.lose()
		return rest
	}
	if len(line) == 0 {
		if p.blank++; p.blank > maxBlankLines {
			p.lose()
		}
		return rest
	}
	method, target, minor, ok := parseRequestLine(line)
	if !ok {
		p.Lost += uint64(len(line))
		p.lose()
		return rest
	}
	r := &Request{Offset: p.start, Resumed: p.resumed}
	r.Minor, r.Method, r.Target = minor, r.keep(method), r.keep(target)
	if bareLF {
		r.anomaly(trafficv1.Anomaly_ANOMALY_BARE_LF)
	}
	p.current, p.state, p.head, p.framing = r, requestHead, len(line)+2, framing{lastHeader: -1}
	p.handler.RequestStarted(r)
	return rest
}

func (p *RequestParser) feedHead(data []byte) []byte {
	line, rest, bareLF, ok := p.lines.next(data, p.limits.HeadKept)
	p.head += len(data) - len(rest)
	if p.head > p.limits.HeadSeen {
		p.current.anomaly(trafficv1.Anomaly_ANOMALY_HEADERS_TOO_LARGE)
		p.current.gap(Gap{InHead: true, Offset: uint64(p.limits.HeadSeen), Reason: trafficv1.GapReason_GAP_REASON_BUDGET})
		p.lose()
		return rest
	}
	if !ok {
		return nil
	}
	if bareLF {
		p.current.anomaly(trafficv1.Anomaly_ANOMALY_BARE_LF)
	}
	keep := p.head <= p.limits.HeadKept && !p.lines.long()
	if !keep {
		p.lines.long()
		p.current.anomaly(trafficv1.Anomaly_ANOMALY_HEADERS_TOO_LARGE)
	}
	if len(line) > 0 {
		p.current.header(&p.framing, line, keep)
		return rest
	}
	p.endHead()
	return rest
}

// endHead decides where the request ends.
func (p *RequestParser) endHead() {
	r, f := p.current, &p.framing
	r.HeadDone = true
	r.conflict(f)
	if slices.Contains(r.Anomalies, trafficv1.Anomaly_ANOMALY_HEADERS_TOO_LARGE) {
		r.gap(Gap{InHead: true, Offset: uint64(p.limits.HeadKept), Length: uint64(max(0, p.head-p.limits.HeadKept)), Reason: trafficv1.GapReason_GAP_REASON_BUDGET})
	}
	switch {
	case f.chunked:
		p.body = bodyReader{kind: bodyChunked}
	case f.hasCoding, f.badLength && !f.hasLength:
		// No reader could know where it ends.
		p.lose()
		return
	case f.hasLength && f.length > 0:
		p.body = bodyReader{kind: bodyLength, left: f.length}
	default:
		p.finish()
		return
	}
	p.state = requestBody
	p.handler.RequestChanged(r)
}
