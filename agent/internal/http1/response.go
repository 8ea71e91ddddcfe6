package http1

import (
	"bytes"

	trafficv1 "github.com/sidelight/sidelight/proto/gen/sidelight/traffic/v1"
)

// ResponseHandler hears what a parser finds.
type ResponseHandler interface {
	// NextMethod is the method of the request that the next response answers, nil if none is open.
	NextMethod() []byte
	// ResponseHead: a final response's head was read. The parser never speaks of 1xx but 101.
	ResponseHead(*Response)
	// ResponseEnded: nothing more will be known of it.
	ResponseEnded(*Response)
}

// ResponseParser reads the bytes that a server sends.
type ResponseParser struct {
	limits  Limits
	handler ResponseHandler

	state   responseState
	head    int
	framing framing
	lines   lines
	body    bodyReader
	current *Response
	// Lost counts bytes that no message could be made of.
	Lost uint64
}

type responseState uint8

const (
	responseLine responseState = iota
	responseHead
	responseBody
	responseLost
)

// NewResponseParser makes a parser at the beginning of a response, or, lost, in the middle of one.
func NewResponseParser(limits Limits, handler ResponseHandler, lost bool) *ResponseParser {
	p := &ResponseParser{limits: limits, handler: handler}
	if lost {
		p.state = responseLost
	}
	return p
}

// Idle tells whether no response is under way.
func (p *ResponseParser) Idle() bool { return p.state == responseLine && len(p.lines.partial) == 0 }

// IsLost tells whether only a change of direction can help.
func (p *ResponseParser) IsLost() bool { return p.state == responseLost }

// Resync lets a lost parser read on where a new response must begin, if the bytes can be one.
func (p *ResponseParser) Resync(data []byte) {
	if bytes.HasPrefix(data, []byte("HTTP/1.")) {
		p.state = responseLine
		p.lines.reset()
	}
}

// Feed takes the next bytes of the stream.
func (p *ResponseParser) Feed(data []byte) {
	for len(data) > 0 {
		switch p.state {
		case responseLine:
			data = p.feedLine(data)
		case responseHead:
			data = p.feedHead(data)
		case responseBody:
			rest, o := p.body.feed(&p.current.message, data, 0)
			p.settle(o)
			data = rest
		case responseLost:
			p.Lost += uint64(len(data))
			return
		}
	}
}

// Skip tells of n bytes of the stream that were not seen.
func (p *ResponseParser) Skip(n uint64, reason trafficv1.GapReason) {
	switch {
	case n == 0:
	case p.state == responseBody:
		p.settle(p.body.skip(&p.current.message, n, reason))
	default:
		p.Lost += n
		p.lose()
	}
}

// Close tells that the connection is done: a body without a length ends here.
func (p *ResponseParser) Close() {
	if p.state == responseBody && p.body.kind == bodyUntilClose {
		p.finish()
		return
	}
	p.lose()
}

func (p *ResponseParser) settle(o outcome) {
	switch o {
	case bodyEnds:
		p.finish()
	case bodyBroken:
		p.lose()
	case bodyGoesOn:
	}
}

func (p *ResponseParser) finish() {
	done := p.current
	done.Complete = true
	p.state, p.current = responseLine, nil
	p.handler.ResponseEnded(done)
}

func (p *ResponseParser) lose() {
	p.state = responseLost
	p.lines.reset()
	if done := p.current; done != nil {
		p.current = nil
		p.handler.ResponseEnded(done)
	}
}

func (p *ResponseParser) feedLine(data []byte) []byte {
	line, rest, _, ok := p.lines.next(data, p.limits.HeadKept)
	if !ok {
		return nil
	}
	cut := p.lines.long()
	if len(line) == 0 && !cut {
		return rest
	}
	status, minor, ok := parseStatusLine(line)
	if !ok || cut {
		p.Lost += uint64(len(line))
		p.lose()
		return rest
	}
	r := &Response{Status: status}
	r.Minor = minor
	// Until the head ends it is nobody's: a 1xx never becomes an answer.
	p.current, p.state, p.head, p.framing = r, responseHead, len(line), framing{lastHeader: -1}
	return rest
}

func (p *ResponseParser) feedHead(data []byte) []byte {
	line, rest, _, ok := p.lines.next(data, p.limits.HeadKept)
	p.head += len(data) - len(rest)
	if p.head > p.limits.HeadSeen {
		p.current = nil
		p.lose()
		return rest
	}
	if !ok {
		return nil
	}
	keep := p.head <= p.limits.HeadKept && !p.lines.long()
	p.lines.long()
	if len(line) > 0 {
		p.current.header(&p.framing, line, keep)
		return rest
	}
	p.endHead()
	return rest
}

// endHead decides where the response ends: RFC 9112, 6.3.
func (p *ResponseParser) endHead() {
	r, f := p.current, &p.framing
	r.HeadDone = true
	if r.Status < 200 && r.Status != 101 {
		p.state, p.current = responseLine, nil
		return
	}
	method := p.handler.NextMethod()
	p.handler.ResponseHead(r)
	switch {
	case r.Status == 101, r.Status == 204, r.Status == 304, bytes.Equal(method, []byte("HEAD")),
		bytes.Equal(method, []byte("CONNECT")) && r.Status/100 == 2:
		p.finish()
		return
	case f.chunked:
		p.body = bodyReader{kind: bodyChunked}
	case f.hasLength && !f.hasCoding && !f.badLength:
		if f.length == 0 {
			p.finish()
			return
		}
		p.body = bodyReader{kind: bodyLength, left: f.length}
	default:
		p.body = bodyReader{kind: bodyUntilClose}
	}
	p.state = responseBody
}
