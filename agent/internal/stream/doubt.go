package stream

import (
	"bytes"

	"github.com/sidelight/sidelight/agent/internal/http1"
	trafficv1 "github.com/sidelight/sidelight/proto/gen/sidelight/traffic/v1"
)

// doubt is the state of a connection on which it is not known where requests begin. Whoever sends the bytes chooses what
// they look like, so neither the look of a request nor a change of direction says anything: a body may hold a request
// line, a server may answer before a body has ended, and behind a gap there may be a request whose body is all that
// follows. What the sender cannot forge is the number of answers: a server gives one final answer to a request, in order.
//
// So answers are counted. Of the bytes that were not read as requests, it is known how many requests can have begun in
// them at most: as many as fit, of bytes that were not seen, and as many as there are "HTTP/" in bytes that were. Then the
// parser is set up again, at a change of direction, and what it reads is not told. Only requests without any oddity count:
// a request that the server finds in one of them, wherever it begins, has the same last header lines and the same length,
// and ends where ours does. When more answers came than requests can have been open before, the server must have found at
// least one, and both agree since then on where requests begin. What comes next is told, the first of it marked.
//
// A connection that is older than the agent has a past without bounds. There, one request at a time is held back until
// the first answer behind it, and told as resumed: an attacker who knows the moment at which an agent starts can plant
// one in a body that he holds back over it, and that is all. When more answers came than requests wait on any real
// connection, the mark goes.
type doubt struct {
	// late: the connection is older than the agent.
	late bool
	told bool
	// tries to set the parser up that failed.
	tries int
	// aligned: the parser was set up, and everything it read since is without oddity.
	aligned bool
	// unanswered requests are open at the server, at most.
	unanswered uint64
	// need answers are to come, counted from when the parser was set up.
	need uint64
	// loose: bytes were seen since it failed last.
	loose bool
	// marks of requests were among the bytes since then, lines were read as such.
	marks, lines uint64
	// tail is the end of what was searched for marks.
	tail []byte
	// run counts answers since the server began to send.
	run int
	// pending bytes are neither told nor lost yet.
	pending uint64
	held    *held
	// begun and line are when the first byte and the last of the line came of the request under way.
	begun, line uint64
}

// held is a request that waits for its answer to be told.
type held struct {
	request          *http1.Request
	begun, line, end uint64
}

const (
	// shortest request that a server of HTTP/1 may take.
	shortest = uint64(len("M / HTTP/1.1\n\n"))
	// unseen requests wait on a connection whose past nobody knows, at most: clients that pipeline at all send fewer.
	unseenRequests = 64
)

var mark = []byte("HTTP/")

// stray begins or deepens the doubt: n bytes of requests were not seen.
func (c *conn) stray(n uint64) {
	if c.fate != followed {
		return
	}
	if c.doubt == nil {
		c.doubt = &doubt{unanswered: uint64(len(c.open))}
		c.responses.Wary = true
	}
	c.doubt.unanswered += n/shortest + 1
	if c.doubt.misalign(c); c.turned && c.doubt != nil {
		c.align()
	}
}

// hidden is told of bytes that were not seen while there is doubt.
func (c *conn) hidden(n uint64, why trafficv1.GapReason) {
	c.table.lostBytes(c.info.Workload, n)
	d := c.doubt
	c.requests.Skip(n, why)
	if !d.late || !d.aligned {
		c.stray(n)
		return
	}
	// The length says where it ends, if it began where it seems to.
	d.unanswered += n/shortest + 1
	if d.odd(); c.requests.IsLost() {
		d.misalign(c)
	}
}

// joined begins the doubt about a connection that is older than the agent.
func (c *conn) joined() {
	c.doubt = &doubt{late: true, unanswered: unseenRequests}
	c.responses.Wary = true
	c.guessed = true
	c.align()
}

// align sets the parser up where a request may begin.
func (c *conn) align() {
	d := c.doubt
	if d.aligned {
		return
	}
	c.requests.Resync()
	if d.loose {
		d.unanswered += d.marks + 1
	}
	d.loose = false
	d.need = d.unanswered + 1
	if c.guessed && !d.late {
		d.need += unseenRequests
	}
	d.aligned, d.marks, d.lines, d.tail = true, 0, 0, d.tail[:0]
}

// misalign ends the try: what was read may have been anything. A connection older than the agent is in step after two of
// them, or its sender does not want it to be.
func (d *doubt) misalign(c *conn) {
	if d.tries++; d.late && (d.told || d.tries > 2) {
		c.darken()
		return
	}
	d.loose = d.loose || d.aligned
	d.aligned, d.held = false, nil
	if !c.requests.IsLost() {
		c.requests.Stop()
	}
	d.lose(c)
}

// lose counts what will not be told.
func (d *doubt) lose(c *conn) {
	c.counted = c.requests.Lost
	c.table.lostBytes(c.info.Workload, d.pending)
	d.pending = 0
}

// drop ends the doubt with the connection, or because nothing more will be told of it.
func (d *doubt) drop(c *conn) {
	d.lose(c)
}

// doubtful reads bytes that may be requests.
func (c *conn) doubtful(data []byte) {
	d := c.doubt
	d.count(data)
	if d.pending += uint64(len(data)); !d.aligned {
		d.loose = true
		c.requests.Feed(data)
		d.lose(c)
		return
	}
	if d.held != nil {
		// It is not for this that the server was going to answer.
		if d.misalign(c); c.doubt == d {
			d.loose = true
			c.requests.Feed(data)
			d.lose(c)
		}
		return
	}
	if !c.requests.LineUnderWay() {
		c.begun = c.now
	}
	rest := c.requests.Feed(data)
	if c.doubt != d {
		return
	}
	switch {
	case c.requests.IsLost(), len(rest) > 0, !d.late && !d.balanced(c), d.held != nil && !c.requests.Idle():
		d.misalign(c)
		c.requests.Feed(rest)
	case !d.balanced(c):
		d.odd()
	}
	if !d.late {
		d.lose(c)
	}
}

// odd: what was read since the parser was set up proves nothing.
func (d *doubt) odd() {
	d.unanswered += d.marks + 1
	d.need = d.unanswered + 1
	d.marks = d.lines
}

// count looks for what every request line has.
func (d *doubt) count(data []byte) {
	d.tail = append(d.tail, data[:min(len(data), len(mark)-1)]...)
	d.marks += uint64(bytes.Count(d.tail, mark)) + uint64(bytes.Count(data, mark))
	if len(data) >= len(mark)-1 {
		d.tail = append(d.tail[:0], data[len(data)-len(mark)+1:]...)
	} else if over := len(d.tail) - len(mark) + 1; over > 0 {
		d.tail = append(d.tail[:0], d.tail[over:]...)
	}
}

// balanced tells whether each mark is that of a line which was read.
func (d *doubt) balanced(c *conn) bool {
	return d.marks == d.lines || d.marks == d.lines+1 && c.requests.LineUnderWay()
}

// started is told of each request line.
func (d *doubt) started(c *conn, _ *http1.Request) {
	d.lines++
	d.begun, d.line = c.begun, c.now
	c.begun = c.now
	if d.late && d.held != nil {
		// Two before an answer: which of them it is for is anybody's guess.
		c.requests.Stop()
	}
}

// changed is told what more is known of a request.
func (d *doubt) changed(c *conn, r *http1.Request) {
	switch {
	case !r.Complete || !d.aligned:
	case d.late && len(r.Anomalies) == 0:
		// An odd one may be told, and says nothing of those that follow.
		if d.held = (&held{r, d.begun, d.line, c.now}); !r.Plain {
			d.odd()
		}
	case !r.Plain || len(r.Gaps) > 0:
		c.requests.Stop()
	}
}

// answer counts one.
func (d *doubt) answer(c *conn) {
	d.run++
	if c.guessed && d.run > 1 {
		// What is only guessed to be a response may hold any number of them.
		return
	}
	if d.unanswered > 0 {
		d.unanswered--
	}
	if !d.aligned {
		return
	}
	d.need--
	proven := d.need == 0 && d.balanced(c) && c.requests.Idle() && !c.requests.Paused()
	if d.late {
		d.confirm(c)
	}
	if d.need = max(d.need, 1); proven && c.doubt == d && d.aligned {
		c.certain()
	}
}

// confirm tells the request that was held back.
func (d *doubt) confirm(c *conn) {
	h := d.held
	if h == nil || len(c.open) > 0 {
		d.misalign(c)
		return
	}
	// What came before its first byte was blank lines, or the end of something.
	d.pending -= min(d.pending, c.requests.Offset()-h.request.Offset)
	d.lose(c)
	d.held, d.told = nil, true
	h.request.Resumed = true
	c.open = append(c.open, entry{Open: c.table.builder.Start(&c.info, h.request, h.begun, h.line)})
	c.open[0].Changed(h.end)
}

// certain ends the doubt: both ends and we agree.
func (c *conn) certain() {
	d := c.doubt
	c.marked = c.marked || c.guessed && !d.late
	c.markNext = !d.late
	d.lose(c)
	c.doubt = nil
	c.responses.Wary = false
}
