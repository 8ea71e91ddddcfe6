package exchange

import (
	"time"

	"github.com/sidelight/sidelight/agent/internal/http1"
	trafficv1 "github.com/sidelight/sidelight/proto/gen/sidelight/traffic/v1"
)

// Open is an exchange that is not closed yet.
type Open struct {
	builder *Builder
	conn    *Connection
	request *http1.Request
	answer  *http1.Response

	started, requestEnd, responseStart, reported uint64 // monotonic

	// deadline and place are those in the builder's agenda, as are its neighbours there.
	deadline       uint64
	place          place
	before, behind *Open

	id                        ID
	revision, contentRevision uint32
	// sent is what of the request was in the last revision that had content; gapSent: that it is not whole was told.
	sent    http1.Extent
	gapSent bool
	closed  bool
}

const (
	// gather is how long a piece of news waits for what comes with it.
	gather = 100 * time.Millisecond
	// grown is the share of what was sent that is worth a revision as soon as the pace allows. Less waits a share of the
	// exchange's age: each revision is inspected as a whole, and a body that comes drop by drop must not cost that for every drop.
	grown    = 8
	ageShare = 32
)

// Changed tells that more of the request is known. A body over its budget is reported at once: nothing will make it whole.
func (o *Open) Changed(mono uint64) {
	if o.closed {
		return
	}
	o.requestEnd = mono
	lost := o.request.Lost() && o.request.HeadDone
	if o.revision == 0 {
		if lost {
			o.report(mono)
		}
		return
	}
	more := o.request.Extent().Beyond(o.sent)
	gap := !o.gapSent && len(o.request.Gaps) > 0
	if more == 0 && !gap {
		return
	}
	pace := o.builder.cfg.Pace
	if !lost && !o.request.Complete && !gap && more*grown < o.sent.Bytes {
		pace = max(pace, time.Duration(mono-o.started)/ageShare)
	}
	o.builder.due.at(o, max(mono+uint64(gather), o.reported+uint64(pace)))
}

// Answered tells that the response's head was read. Its end, which is often close behind, may say it all.
func (o *Open) Answered(r *http1.Response, mono uint64) {
	if o.closed {
		return
	}
	o.answer, o.responseStart = r, mono
	if o.revision > 0 {
		o.builder.due.at(o, max(mono+uint64(o.builder.cfg.Patience), o.reported+uint64(o.builder.cfg.Pace)))
	}
}

// HasAnswer tells whether a response's head was read.
func (o *Open) HasAnswer() bool { return o.answer != nil }

// Request gives what it is about.
func (o *Open) Request() *http1.Request { return o.request }

// Close ends the exchange. Nothing of the request and its response is kept, and nothing more may be told of it: its memory is
// another one's next.
func (o *Open) Close(reason trafficv1.CloseReason) {
	if o.closed {
		return
	}
	o.closed = true
	o.send(trafficv1.Phase_PHASE_CLOSED, reason)
	b := o.builder
	*o = Open{closed: true}
	if len(b.free) < keptFree {
		b.free = append(b.free, o)
	}
}

// report sends a revision that is not the last.
func (o *Open) report(mono uint64) {
	phase := trafficv1.Phase_PHASE_UPDATE
	if o.revision == 0 {
		phase = trafficv1.Phase_PHASE_REQUEST
	}
	o.reported = mono
	o.send(phase, trafficv1.CloseReason_CLOSE_REASON_UNSPECIFIED)
}

func (o *Open) send(phase trafficv1.Phase, reason trafficv1.CloseReason) {
	b := o.builder
	b.due.remove(o)
	if o.revision++; o.revision == 1 {
		o.id = b.identify(o.conn, o.request.Offset)
	}
	extent := o.request.Extent()
	content := o.revision == 1 || extent != o.sent
	if content {
		o.contentRevision = o.revision
	}
	o.sent, o.gapSent = extent, len(o.request.Gaps) > 0
	r := &b.revision
	*r = Revision{
		ID: o.id, Number: o.revision, Content: content, Last: phase == trafficv1.Phase_PHASE_CLOSED,
		Connection: b.name(o.conn).wire, Workload: o.conn.Workload, Start: o.started,
	}
	o.encode(r, b.wire[:0], phase, reason)
	if b.wire = r.Wire; cap(b.wire) > keptWire {
		b.wire = nil
	}
	b.emit(r)
}
