package stream

import (
	"slices"

	"github.com/sidelight/sidelight/agent/internal/exchange"
	"github.com/sidelight/sidelight/agent/internal/http1"
	"github.com/sidelight/sidelight/agent/internal/probe"
	trafficv1 "github.com/sidelight/sidelight/proto/gen/sidelight/traffic/v1"
)

// conn follows one connection: two streams, two parsers, and the exchanges between them, oldest first.
type conn struct {
	table *Table
	info  *exchange.Connection
	in    half
	out   half

	requests  *http1.RequestParser
	responses *http1.ResponseParser
	open      []*exchange.Open

	lastDir  probe.Direction
	lastMono uint64
	// now is when the bytes came that are read at this moment; begun is when the first of the request under way did.
	now, begun uint64
	// opaque: upgraded, tunnelled, or not HTTP/1: nothing is read from it any more, for good.
	opaque bool
	// answered: a response's head came since the last request began. Only then may a change of direction begin a new
	// request behind a gap: before it, what comes in may still be the old one's body.
	answered bool
	// gapped: bytes of requests were not seen, and what followed could not be placed because of it.
	gapped bool
}

func newConn(t *Table, e *probe.Event) *conn {
	c := &conn{table: t, lastDir: e.Dir, lastMono: e.Mono, info: &exchange.Connection{
		Netns: e.Netns, Local: e.Local, Remote: e.Remote, Workload: t.workload(e.Tgid),
	}}
	fromStart := e.Flags&probe.FlagStart != 0
	c.requests = http1.NewRequestParser(t.limits, c, !fromStart)
	c.responses = http1.NewResponseParser(t.limits, c, !fromStart)
	c.in.deliver, c.in.skip = c.received, c.missed
	c.out.deliver = func(data []byte, mono uint64) { c.now = mono; c.responses.Feed(data) }
	c.out.skip = func(n uint64, why trafficv1.GapReason, mono uint64) {
		c.now = mono
		t.unseen(c.info.Workload, n, why)
		c.responses.Skip(n, why)
	}
	return c
}

// handle takes one event of this connection.
func (c *conn) handle(e *probe.Event) {
	c.lastMono = e.Mono
	if c.opaque {
		c.table.skipped(c.info.Workload, uint64(e.Len))
		return
	}
	if e.Dir != c.lastDir {
		c.turn(e)
		c.lastDir = e.Dir
	}
	if e.Dir == probe.In {
		if !c.in.started {
			c.info.FirstSeq = e.Seq
		}
		c.in.take(e)
		return
	}
	c.out.take(e)
}

// turn is a change of direction: the one moment, beside a known length, at which a message may begin behind a gap.
func (c *conn) turn(e *probe.Event) {
	if e.Dir == probe.Out {
		if c.responses.IsLost() {
			// What was lost ended somewhere before: its exchange is as known as it will be.
			if len(c.open) > 0 && c.open[0].HasAnswer() {
				c.pop(trafficv1.CloseReason_CLOSE_REASON_ANSWERED)
			}
			c.responses.Resync(e.Data)
		}
		return
	}
	if c.requests.IsLost() && c.answered && (c.responses.Idle() || c.responses.IsLost()) {
		// The bytes between were counted; the streams meet again here.
		for len(c.open) > 0 {
			c.pop(trafficv1.CloseReason_CLOSE_REASON_LOST)
		}
		c.requests.Resync()
		c.answered = false
	}
}

// RequestStarted is the request parser's.
func (c *conn) RequestStarted(r *http1.Request) {
	if len(c.open) >= c.table.cfg.MaxPipelined {
		c.table.lost("pipeline", "full", 1)
		c.opaque = true
		return
	}
	c.answered = false
	c.open = append(c.open, c.table.builder.Start(c.info, r, c.begun, c.now))
	// Another one of the same bytes begins with them.
	c.begun = c.now
}

// RequestChanged is the request parser's.
func (c *conn) RequestChanged(r *http1.Request) {
	for _, o := range slices.Backward(c.open) {
		if o.Request() == r {
			o.Changed(c.now)
			return
		}
	}
}

// NextMethod is the response parser's.
func (c *conn) NextMethod() []byte {
	if len(c.open) == 0 {
		return nil
	}
	return c.open[0].Request().Method
}

// ResponseHead is the response parser's.
func (c *conn) ResponseHead(r *http1.Response) {
	c.answered = true
	if len(c.open) == 0 {
		c.table.lost("response", "no_request", 1)
		return
	}
	c.open[0].Answered(r, c.now)
}

// ResponseEnded is the response parser's.
func (c *conn) ResponseEnded(r *http1.Response) {
	if len(c.open) == 0 || !c.open[0].HasAnswer() {
		return
	}
	if !r.Complete && streams(r) {
		// Only the next request, or the connection's end, will tell that it is over.
		return
	}
	connect := string(c.open[0].Request().Method) == "CONNECT" && r.Status/100 == 2
	if r.Status == 101 || connect {
		c.pop(trafficv1.CloseReason_CLOSE_REASON_UPGRADED)
		c.opaque = true
		return
	}
	c.pop(trafficv1.CloseReason_CLOSE_REASON_ANSWERED)
}

func (c *conn) pop(reason trafficv1.CloseReason) {
	c.open[0].Close(reason)
	c.open[0] = nil
	c.open = c.open[1:]
	if len(c.open) == 0 {
		c.open = nil
	}
}

// end closes what is open: answered if a head was seen, else for the reason given.
func (c *conn) end(reason trafficv1.CloseReason) {
	c.in.flush()
	c.out.flush()
	c.now = c.lastMono
	if !c.opaque {
		c.responses.Close()
	}
	for len(c.open) > 0 {
		if c.open[0].HasAnswer() && reason == trafficv1.CloseReason_CLOSE_REASON_RESET {
			c.pop(trafficv1.CloseReason_CLOSE_REASON_ANSWERED)
		} else {
			c.pop(reason)
		}
	}
	c.table.lost("request_bytes", "not_http1", int64(c.requests.Lost))
	c.table.lost("response_bytes", "not_placed", int64(c.responses.Lost))
}
