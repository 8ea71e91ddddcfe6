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
	limits  *Limits
	handler ResponseHandler
	shelf   *Shelf

	state responseState
	// Wary: it is not known for sure what request is answered, so a body that may be the next response after an answer
	// to HEAD is not followed.
	Wary    bool
	matched uint8 // bytes of such a body that look like a response
	head    int
	body    bodyReader
	lines   lines
	framing *framing
	current *Response
	// Lost counts bytes that no message could be made of.
	Lost uint64
}

type responseState uint8

const (
	responseLine responseState = iota
	responseHead
	// responseWary: the first bytes of a body that must not look like a response.
	responseWary
	responseBody
	responseLost
)

// NewResponseParser makes a parser at the beginning of a response, or, lost, in the middle of one.
func NewResponseParser(limits Limits, handler ResponseHandler, lost bool) *ResponseParser {
	p := &ResponseParser{}
	p.Init(&limits, nil, handler, lost)
	return p
}

// Init makes a parser in place, with a shelf or none.
func (p *ResponseParser) Init(limits *Limits, shelf *Shelf, handler ResponseHandler, lost bool) {
	*p = ResponseParser{limits: limits, shelf: shelf, handler: handler}
	if lost {
		p.state = responseLost
	}
}

// Idle tells whether no response is under way.
func (p *ResponseParser) Idle() bool { return p.state == responseLine && len(p.lines.partial) == 0 }

// Memory is about what the line and the message under way take.
func (p *ResponseParser) Memory() int {
	n := cap(p.lines.partial)
	if p.current != nil {
		n += p.current.Memory()
	}
	return n
}

// UnderWay tells whether more of a response may come.
func (p *ResponseParser) UnderWay(r *Response) bool { return p.current == r }

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
		case responseWary:
			data = p.look(data)
		case responseBody:
			rest, o := p.body.feed(&p.current.message, &p.lines, data, &noBody)
			p.settle(o)
			data = rest
		case responseLost:
			p.Lost += uint64(len(data))
			return
		}
	}
}

// noBody: bodies of responses are counted, never kept.
var noBody = Limits{}

const version = "HTTP/"

// look compares the beginning of a body with that of a response: an answer to HEAD has a length and no body.
func (p *ResponseParser) look(data []byte) (rest []byte) {
	for i, c := range data {
		if c != version[p.matched] {
			p.state = responseBody
			return data
		}
		if p.matched++; int(p.matched) == len(version) || uint64(i)+1 == p.body.left {
			p.lose()
			return data
		}
	}
	p.body.left -= uint64(len(data))
	p.current.body(data, &noBody)
	return nil
}

// Skip tells of n bytes of the stream that were not seen.
func (p *ResponseParser) Skip(n uint64, reason trafficv1.GapReason) {
	switch {
	case n == 0:
	case p.state == responseWary && reason != trafficv1.GapReason_GAP_REASON_SENDFILE:
		p.Lost += n
		p.lose()
	case p.state == responseBody, p.state == responseWary:
		// No server sends its heads by sendfile.
		p.state = responseBody
		p.settle(p.body.skip(&p.current.message, n, reason))
	case p.state == responseHead && p.current.Status >= 200:
		p.Lost += n
		p.cutHead(reason)
	default:
		p.Lost += n
		p.lose()
	}
}

// cutHead ends a head of which the rest was not seen: what its status says, and the headers before, is known. Where the response
// ends is not.
func (p *ResponseParser) cutHead(reason trafficv1.GapReason) {
	r := p.current
	p.framing.commit(&r.message)
	r.gap(Gap{InHead: true, Offset: uint64(len(r.Head)), Reason: reason})
	r.HeadDone = true
	p.handler.ResponseHead(r)
	p.lose()
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
	p.state, p.current, p.framing = responseLine, nil, nil
	p.lines.reset()
	p.handler.ResponseEnded(done)
}

func (p *ResponseParser) lose() {
	p.state, p.framing = responseLost, nil
	p.lines.reset()
	if done := p.current; done != nil {
		if p.current = nil; done.HeadDone {
			p.handler.ResponseEnded(done)
		}
	}
}

func (p *ResponseParser) feedLine(data []byte) []byte {
	if len(p.lines.partial) == 0 && data[0] == 'H' {
		var ends [maxLines]int32
		if count, size := cut(data, &ends); count > 0 && size <= p.limits.HeadKept {
			return p.wholeHead(data, ends[:count], size)
		}
	}
	line, rest, bareLF, ok := p.lines.next(data, p.limits.HeadKept)
	if !ok {
		if got := p.lines.partial; string(got) != "\r" && string(got[:min(len(got), len(version))]) != version[:min(len(got), len(version))] {
			p.Lost += uint64(len(got) + p.lines.dropped)
			p.lose()
		}
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
	r := p.begin(status, minor)
	if bareLF {
		r.anomaly(trafficv1.Anomaly_ANOMALY_BARE_LF)
	}
	r.odd(line)
	r.keepLine(line, bareLF)
	p.state, p.head, p.framing = responseHead, len(r.Head), &framing{lastHeader: -1}
	return rest
}

// begin makes a response that is nobody's until its head ends: a 1xx never becomes an answer.
func (p *ResponseParser) begin(status int, minor byte) *Response {
	r := p.shelf.response()
	r.Status, r.Minor, r.counted = status, minor, true
	p.current = r
	return r
}

// wholeHead is the usual case: all of a head came with one call.
func (p *ResponseParser) wholeHead(data []byte, ends []int32, size int) []byte {
	status, minor, ok := parseStatusLine(bytes.TrimSuffix(data[:ends[0]-1], []byte{'\r'}))
	if !ok {
		p.Lost += uint64(ends[0])
		p.lose()
		return data[ends[0]:]
	}
	f := framing{lastHeader: -1}
	p.begin(status, minor).whole(&f, data[:size], ends)
	p.endHead(&f)
	return data[size:]
}

func (p *ResponseParser) feedHead(data []byte) []byte {
	r := p.current
	line, rest, bareLF, ok := p.lines.next(data, p.limits.HeadKept)
	p.head += len(data) - len(rest)
	if p.head > p.limits.HeadSeen {
		p.Lost += uint64(p.head)
		p.current = nil
		p.lose()
		return rest
	}
	if !ok {
		return nil
	}
	keep := !p.lines.long() && p.head <= p.limits.HeadKept && len(r.Headers) < maxHeaders
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

// endHead decides where the response ends: RFC 9112, 6.3. What cannot be followed goes on until the connection ends.
func (p *ResponseParser) endHead(f *framing) {
	r := p.current
	r.HeadDone = true
	if r.Status < 200 && r.Status != 101 {
		p.state, p.current, p.framing = responseLine, nil, nil
		p.lines.reset()
		return
	}
	method := p.handler.NextMethod()
	p.handler.ResponseHead(r)
	switch {
	case r.Status == 101, r.Status == 204, r.Status == 304, bytes.Equal(method, []byte("HEAD")),
		bytes.Equal(method, []byte("CONNECT")) && r.Status/100 == 2:
		p.finish()
		return
	case f.hasCoding && !f.badCoding && !f.doubtful && r.Minor > 0:
		p.body = bodyReader{kind: bodyChunked}
	case f.hasLength && !f.hasCoding && !f.badLength && !f.doubtful:
		if f.length == 0 {
			p.finish()
			return
		}
		p.body = bodyReader{kind: bodyLength, left: f.length}
	default:
		p.body = bodyReader{kind: bodyUntilClose}
	}
	p.state, p.framing, p.matched = responseBody, nil, 0
	p.lines.reset()
	if p.Wary && p.body.kind == bodyLength {
		p.state = responseWary
	}
}
