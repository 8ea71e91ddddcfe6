package exchange

import (
	"crypto/sha256"
	"encoding/binary"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

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

	// deadline and index are its place in the builder's list.
	deadline uint64
	index    int

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
	o.builder.schedule(o, max(mono+uint64(gather), o.reported+uint64(pace)))
}

// Answered tells that the response's head was read. Its end, which is often close behind, may say it all.
func (o *Open) Answered(r *http1.Response, mono uint64) {
	if o.closed {
		return
	}
	o.answer, o.responseStart = r, mono
	if o.revision > 0 {
		o.builder.schedule(o, max(mono+uint64(o.builder.cfg.Patience), o.reported+uint64(o.builder.cfg.Pace)))
	}
}

// HasAnswer tells whether a response's head was read.
func (o *Open) HasAnswer() bool { return o.answer != nil }

// Request gives what it is about.
func (o *Open) Request() *http1.Request { return o.request }

// Close ends the exchange.
func (o *Open) Close(reason trafficv1.CloseReason) {
	if o.closed {
		return
	}
	o.closed = true
	o.send(trafficv1.Phase_PHASE_CLOSED, reason)
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
	o.builder.unschedule(o)
	o.revision++
	extent := o.request.Extent()
	content := o.revision == 1 || extent != o.sent
	if content {
		o.contentRevision = o.revision
	}
	o.sent, o.gapSent = extent, len(o.request.Gaps) > 0
	o.builder.emit(&trafficv1.Exchange{
		Id:       o.id(),
		Revision: o.revision, ContentRevision: o.contentRevision, Phase: phase, CloseReason: reason,
		Request: request(o.request, content), Response: response(o.answer),
		Connection: &trafficv1.Connection{
			Id: o.connID(), Peer: socketAddress(o.conn.Remote), Local: socketAddress(o.conn.Local), Netns: o.conn.Netns,
		},
		Gaps: gaps(o.request), Times: o.times(), Resumed: o.request.Resumed,
	}, o.conn.Workload)
}

func (o *Open) times() *trafficv1.Times {
	t := &trafficv1.Times{RequestStart: timestamppb.New(o.builder.wall(o.started)), RequestStartMonoNs: o.started}
	if o.requestEnd != o.started {
		t.RequestEnd = timestamppb.New(o.builder.wall(o.requestEnd))
	}
	if o.responseStart != 0 {
		t.ResponseStart = timestamppb.New(o.builder.wall(o.responseStart))
	}
	return t
}

// id names the bytes, not the sighting: host, boot, connection and the sequence number of the request's first byte.
func (o *Open) id() []byte {
	return o.hash(o.conn.FirstSeq + uint32(o.request.Offset))
}

func (o *Open) connID() []byte { return o.hash(0)[:8] }

func (o *Open) hash(seq uint32) []byte {
	var b []byte
	b = append(b, o.builder.cfg.BootID...)
	b = binary.BigEndian.AppendUint32(b, o.conn.Netns)
	b = append(b, o.conn.Local.Addr().AsSlice()...)
	b = binary.BigEndian.AppendUint16(b, o.conn.Local.Port())
	b = append(b, o.conn.Remote.Addr().AsSlice()...)
	b = binary.BigEndian.AppendUint16(b, o.conn.Remote.Port())
	b = binary.BigEndian.AppendUint32(b, seq)
	sum := sha256.Sum256(b)
	return sum[:16]
}
