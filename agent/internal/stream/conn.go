package stream

import (
	"bytes"

	"github.com/sidelight/sidelight/agent/internal/exchange"
	"github.com/sidelight/sidelight/agent/internal/http1"
	"github.com/sidelight/sidelight/agent/internal/probe"
	trafficv1 "github.com/sidelight/sidelight/proto/gen/sidelight/traffic/v1"
)

// conn follows one connection: two streams, two parsers, and the exchanges between them, oldest first.
type conn struct {
	table *Table
	key   probe.ConnKey
	info  exchange.Connection
	in    half
	out   half

	requests  http1.RequestParser
	responses http1.ResponseParser
	open      []entry
	// first is memory for what is open, when it is one: as nearly always.
	first [1]entry
	// doubt, while it is not known where requests begin.
	doubt *doubt
	// stash is what came behind a request that may end HTTP on this connection.
	stash *stash

	// now is when the bytes came that are read at this moment; begun is when the first of the request under way did.
	now, begun, lastMono uint64
	// kept bytes of memory are this connection's, line of them those of what is no open exchange.
	kept, line int
	// counted of the bytes that the request parser could not place.
	counted uint64
	place   place
	fate    fate
	lastDir probe.Direction
	// spoke: a request was read. turned: the event at hand is the first behind those of the server.
	spoke, turned bool
	// guessed: a response was taken for one because it looked like one, behind a change of direction.
	guessed bool
	// pipelines: its client sends requests without waiting. Where an answer was missed, nobody knows what later ones are for.
	pipelines bool
	// marked exchanges are those that nothing proves to begin where they seem to; markNext: the one that comes is the first
	// behind a gap.
	marked, markNext bool
}

// openssl is the only TLS stack whose plaintext is seen so far.
var openssl = &trafficv1.Tls{Stack: "openssl"}

func tlsOf(e *probe.Event) *trafficv1.Tls {
	if e.Conn.TLS {
		return openssl
	}
	return nil
}

// fate is what became of a connection for good.
type fate uint8

const (
	followed fate = iota
	// tunnel: upgraded, or another protocol. Nothing of it is read any more, on purpose.
	tunnel
	// dark: requests may come, and nobody can know where. All of it is lost.
	dark
)

// entry is an open exchange.
type entry struct {
	*exchange.Open
	answer *http1.Response
	kept   int
	// ended: its answer did, before the request.
	ended bool
}

type (
	inbound  conn
	outbound conn
)

func newConn(t *Table, e *probe.Event) *conn {
	c := &conn{table: t, key: e.Conn, lastDir: e.Dir, lastMono: e.Mono, info: exchange.Connection{
		Netns: e.Netns, Local: e.Local, Remote: e.Remote, Workload: t.workload(e.Tgid), TLS: tlsOf(e),
	}}
	c.place.watched, c.open = unwatched, c.first[:0]
	c.requests.Init(&t.limits, &t.shelf, c, false)
	// The kernel saw the first byte, and nothing was lost before this event.
	start := e.Flags&probe.FlagStart != 0
	before, dropped := t.dropped.take(e.Conn)
	switch {
	case dropped && before.whole && before.next[e.Dir] == e.Seq:
		// It stood between two exchanges, and stands there still.
		c.in.started, c.in.next = true, before.next[probe.In]
		c.out.started, c.out.next = true, before.next[probe.Out]
		c.info.FirstSeq = c.in.next
		c.in.lost, c.out.lost = before.lost[probe.In], before.lost[probe.Out]
		c.marked, c.guessed, c.spoke = before.marked, before.guessed, true
		c.responses.Init(&t.limits, &t.shelf, c, false)
	case dropped && before.tunnel:
		c.responses.Init(&t.limits, &t.shelf, c, true)
		c.fate = tunnel
	case dropped:
		c.responses.Init(&t.limits, &t.shelf, c, true)
		c.darken()
	case !start:
		c.responses.Init(&t.limits, &t.shelf, c, true)
		c.joined()
	case e.Lost > 0:
		c.responses.Init(&t.limits, &t.shelf, c, e.Dir == probe.Out)
		if e.Dir == probe.In {
			c.stray(uint64(e.Lost))
			t.losses.Add("request_bytes", gapWords[trafficv1.GapReason_GAP_REASON_RING_FULL], int64(e.Lost))
			t.lostBytes(c.info.Workload, uint64(e.Lost))
		}
	default:
		c.responses.Init(&t.limits, &t.shelf, c, false)
	}
	return c
}

// reads tells whether bytes of a direction are read: on a connection that is given up, the answers to what was read.
func (c *conn) reads(dir probe.Direction) bool {
	return c.fate == followed || c.fate == dark && dir == probe.Out && len(c.open) > 0
}

// handle takes one event of this connection.
func (c *conn) handle(e *probe.Event) {
	c.lastMono = e.Mono
	if !c.reads(e.Dir) {
		c.unread(uint64(e.Len))
		return
	}
	if e.Dir != c.lastDir {
		c.turn(e)
		c.lastDir = e.Dir
	}
	room := c.table.early < maxEarlyBytes
	if e.Dir == probe.Out {
		if !c.out.started && e.Lost > 0 && e.Flags&probe.FlagStart != 0 && len(c.open) > 0 {
			(*outbound)(c).skip(uint64(e.Lost), trafficv1.GapReason_GAP_REASON_RING_FULL, e.Mono)
		}
		c.table.early += c.out.take((*outbound)(c), e, room)
		return
	}
	if !c.in.started {
		c.info.FirstSeq = e.Seq
		if e.Lost > 0 && c.doubt == nil {
			// The server spoke first, and what came before this was lost.
			c.stray(uint64(e.Lost))
			c.table.lostBytes(c.info.Workload, uint64(e.Lost))
		}
	}
	c.table.early += c.in.take((*inbound)(c), e, room)
	c.turned = false
}

// turn is a change of direction: a response that could not be followed any more has ended before it.
func (c *conn) turn(e *probe.Event) {
	if e.Dir == probe.In {
		c.missedAnswers()
		if c.turned = true; c.doubt != nil {
			c.align()
		}
		return
	}
	if c.turned = false; c.doubt != nil {
		c.doubt.run = 0
	}
	if !c.responses.IsLost() {
		return
	}
	c.overdue()
	if c.pipelines && c.doubt == nil {
		return
	}
	if c.responses.Resync(e.Data); !c.responses.IsLost() {
		if c.doubt != nil && !c.guessed {
			c.doubt.need += unseenRequests
		}
		c.guessed = true
	}
}

// overdue closes the exchange whose answer could not be followed to its end.
func (c *conn) overdue() {
	if len(c.open) > 0 && c.open[0].HasAnswer() && !c.open[0].ended {
		c.answered()
	}
}

// missedAnswers closes, when the client sends again, what must have been answered by bytes that were not seen: or the next answer
// would be taken for theirs.
func (c *conn) missedAnswers() {
	if !c.responses.IsLost() {
		return
	}
	c.overdue()
	for len(c.open) > 0 && !c.open[0].HasAnswer() && !c.requests.UnderWay(c.open[0].Request()) && !c.open[0].Request().Tunnel {
		c.pop(trafficv1.CloseReason_CLOSE_REASON_LOST)
	}
}

func (i *inbound) deliver(data []byte, mono uint64) {
	c := (*conn)(i)
	c.now = mono
	switch {
	case c.fate != followed:
		c.unread(uint64(len(data)))
	case c.stash != nil:
		c.stash.add(c, data)
	case c.doubt != nil:
		c.doubtful(data)
	default:
		c.received(data)
	}
	c.account()
}

func (i *inbound) skip(n uint64, why trafficv1.GapReason, mono uint64) {
	c := (*conn)(i)
	c.now = mono
	c.table.losses.Add("request_bytes", gapWords[why], int64(n))
	switch {
	case c.fate != followed:
		c.unread(n)
	case c.requests.Paused() && c.doubt == nil:
		c.stashed().miss(n, why)
	default:
		c.missed(n, why)
	}
	c.account()
}

func (o *outbound) deliver(data []byte, mono uint64) {
	c := (*conn)(o)
	if c.now = mono; !c.reads(probe.Out) {
		c.unread(uint64(len(data)))
		return
	}
	c.responses.Feed(data)
	c.account()
}

func (o *outbound) skip(n uint64, why trafficv1.GapReason, mono uint64) {
	c := (*conn)(o)
	if c.now = mono; !c.reads(probe.Out) {
		c.unread(n)
		return
	}
	c.table.unseen(c.info.Workload, n, why)
	c.responses.Skip(n, why)
	c.account()
}

// received reads bytes of requests, in their order.
func (c *conn) received(data []byte) {
	if !c.requests.LineUnderWay() {
		c.begun = c.now
	}
	rest := c.requests.Feed(data)
	if c.requests.IsLost() && c.fate == followed {
		// Not by a gap: it is another protocol, or a request that servers read in ways that we cannot know.
		if c.spoke {
			c.darken()
		} else {
			c.finish(tunnel)
		}
	}
	c.unplaced()
	switch {
	case len(rest) == 0:
	case c.fate != followed:
		c.unread(uint64(len(rest)))
	default:
		c.stashed().add(c, rest)
	}
}

// unplaced counts bytes that no request could be made of.
func (c *conn) unplaced() {
	c.unread(c.requests.Lost - c.counted)
	c.counted = c.requests.Lost
}

// missed tells of bytes of requests that were not seen.
func (c *conn) missed(n uint64, why trafficv1.GapReason) {
	if c.doubt != nil {
		c.hidden(n, why)
		return
	}
	if c.requests.Skip(n, why); !c.requests.IsLost() {
		c.table.unseen(c.info.Workload, n, why)
		return
	}
	// Requests may have been among them.
	c.table.lostBytes(c.info.Workload, max(n, c.requests.Lost-c.counted))
	c.counted = c.requests.Lost
	c.stray(n)
}

// RequestStarted is the request parser's.
func (c *conn) RequestStarted(r *http1.Request) {
	c.spoke = true
	if c.doubt != nil {
		c.doubt.started(c, r)
		return
	}
	if c.fate != followed {
		return
	}
	if c.table.full(len(c.open)) {
		c.table.lost("pipeline", "full", 1)
		c.table.lostBytes(c.info.Workload, uint64(len(r.Head)))
		c.darken()
		return
	}
	r.Resumed = c.marked || c.markNext
	c.markNext = false
	if n := len(c.open); n > 0 {
		c.weigh(&c.open[n-1])
	}
	c.open = append(c.open, entry{Open: c.table.builder.Start(&c.info, r, c.begun, c.now)})
	// Another one of the same bytes begins with them.
	c.begun = c.now
}

// RequestChanged is the request parser's.
func (c *conn) RequestChanged(r *http1.Request) {
	if c.doubt != nil {
		c.doubt.changed(c, r)
	}
	for i := len(c.open) - 1; i >= 0; i-- {
		e := &c.open[i]
		if e.Request() != r {
			continue
		}
		e.Changed(c.now)
		if r.Complete && r.Tunnel && e.answer != nil && e.answer.Status != 101 {
			// Its answer came before its end, and was no upgrade.
			c.requests.Continue()
		}
		if e.ended && !c.requests.UnderWay(r) {
			c.pop(trafficv1.CloseReason_CLOSE_REASON_ANSWERED)
		}
		return
	}
}

// NextMethod is the response parser's.
func (c *conn) NextMethod() []byte {
	switch {
	case len(c.open) > 0:
		return c.open[0].Request().Method
	case c.doubt != nil && c.doubt.held != nil:
		return c.doubt.held.request.Method
	default:
		return nil
	}
}

// ResponseHead is the response parser's.
func (c *conn) ResponseHead(r *http1.Response) {
	if c.doubt != nil {
		c.doubt.answer(c)
	}
	switch {
	case len(c.open) == 0:
		c.table.lost("response", "no_request", 1)
		if r.Status == 101 {
			c.darken()
		}
	case c.open[0].ended:
		// Two answers to one request: the server sees another request in what we take for the body of this one.
		c.table.lost("response", "no_request", 1)
		c.darken()
	default:
		// Both are known to have come before this answer, so its client did not wait.
		c.pipelines = c.pipelines || len(c.open) > 1 && !c.guessed
		c.open[0].answer = r
		c.open[0].Answered(r, c.now)
	}
}

// ResponseEnded is the response parser's.
func (c *conn) ResponseEnded(r *http1.Response) {
	if len(c.open) == 0 || c.open[0].answer != r {
		return
	}
	if !r.Complete && streams(r) {
		// Only the next request, or the connection's end, will tell that it is over.
		return
	}
	request := c.open[0].Request()
	connect := r.Status/100 == 2 && bytes.Equal(request.Method, []byte("CONNECT"))
	if r.Status == 101 || connect {
		c.pop(trafficv1.CloseReason_CLOSE_REASON_UPGRADED)
		c.upgraded()
		return
	}
	if c.answered(); request.Tunnel {
		c.refused()
	}
}

// answered closes the exchange whose answer is over, or leaves that to the end of its request: a server may answer early.
func (c *conn) answered() {
	if c.requests.UnderWay(c.open[0].Request()) && c.fate == followed {
		c.open[0].ended = true
		return
	}
	c.pop(trafficv1.CloseReason_CLOSE_REASON_ANSWERED)
}

func (c *conn) pop(reason trafficv1.CloseReason) {
	e := &c.open[0]
	request, answer := e.Request(), e.answer
	e.Close(reason)
	c.grow(-e.kept)
	*e = entry{}
	// What is not read any more is nobody's from here on.
	if !c.requests.UnderWay(request) {
		c.table.shelf.PutRequest(request)
	}
	if answer != nil && !c.responses.UnderWay(answer) {
		c.table.shelf.PutResponse(answer)
	}
	if c.open = c.open[1:]; len(c.open) == 0 {
		c.open = c.first[:0]
	}
}

// end closes what is open: answered if a head was seen, else for the reason given.
func (c *conn) end(reason trafficv1.CloseReason) {
	c.flush()
	c.now = c.lastMono
	if c.fate != tunnel {
		c.responses.Close()
	}
	if c.fate == followed {
		c.finish(followed)
	}
	for len(c.open) > 0 {
		if c.open[0].HasAnswer() && reason == trafficv1.CloseReason_CLOSE_REASON_RESET {
			c.pop(trafficv1.CloseReason_CLOSE_REASON_ANSWERED)
		} else {
			c.pop(reason)
		}
	}
	c.grow(-c.kept)
	c.table.lost("request_bytes", "not_http1", int64(c.requests.Lost))
	c.table.lost("response_bytes", "not_placed", int64(c.responses.Lost))
}

// closed counts what was received and never heard of before the end.
func (c *conn) closed(e *probe.Event) {
	c.flush()
	if !c.in.started && e.Lost > 0 {
		c.table.losses.Add("request_bytes", gapWords[trafficv1.GapReason_GAP_REASON_RING_FULL], int64(e.Lost))
		c.table.lostBytes(c.info.Workload, uint64(e.Lost))
	}
	if !c.in.started {
		return
	}
	n := max(0, int32(e.Lost-c.in.lost))
	if behind := int32(e.Ends[probe.In] - c.in.next); e.Ends != [2]uint32{} && behind > 0 {
		n = max(n, behind)
	}
	if n > 0 {
		(*inbound)(c).skip(uint64(n), trafficv1.GapReason_GAP_REASON_RING_FULL, e.Mono)
	}
}

func (c *conn) flush() {
	c.table.early -= c.in.flush((*inbound)(c)) + c.out.flush((*outbound)(c))
}
