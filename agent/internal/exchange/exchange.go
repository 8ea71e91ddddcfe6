// Package exchange turns what parsers know of a request and its response into revisions of an exchange: one that has it
// all when the answer is quick, and early ones when it is not.
package exchange

import (
	"crypto/sha256"
	"encoding/binary"
	"net/netip"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/sidelight/sidelight/agent/internal/http1"
	trafficv1 "github.com/sidelight/sidelight/proto/gen/sidelight/traffic/v1"
)

// Connection is what all exchanges of a connection share.
type Connection struct {
	Netns         uint32
	Local, Remote netip.AddrPort
	Workload      *trafficv1.Workload
	// FirstSeq is the TCP sequence number at offset 0 of the inbound stream.
	FirstSeq uint32
}

// Config is the builder's times and names.
type Config struct {
	// BootID of the host makes ids of different hosts and boots differ.
	BootID string
	// Patience is how long a request may stay unreported.
	Patience time.Duration
}

// DefaultPatience keeps an attack that hangs its backend visible.
const DefaultPatience = 500 * time.Millisecond

// Builder makes exchanges. It is used from one goroutine at a time.
type Builder struct {
	cfg  Config
	wall func(mono uint64) time.Time
	emit func(*trafficv1.Exchange)
	// due is open exchanges in order of their deadline: all wait equally long.
	due []*Open
}

// NewBuilder makes a builder; wall turns the kernel's monotonic nanoseconds into time.
func NewBuilder(cfg Config, wall func(uint64) time.Time, emit func(*trafficv1.Exchange)) *Builder {
	if cfg.Patience == 0 {
		cfg.Patience = DefaultPatience
	}
	return &Builder{cfg: cfg, wall: wall, emit: emit}
}

// Open is an exchange that is not closed yet.
type Open struct {
	builder *Builder
	conn    *Connection
	request *http1.Request
	answer  *http1.Response

	started, requestEnd, responseStart uint64 // monotonic
	deadline                           uint64

	revision, contentRevision uint32
	// dirty: the request has content that was not sent. news: anything has.
	dirty, news bool
	closed      bool
}

// Start begins an exchange at its request's first line.
func (b *Builder) Start(conn *Connection, r *http1.Request, mono uint64) *Open {
	o := &Open{builder: b, conn: conn, request: r, started: mono, requestEnd: mono, dirty: true, news: true}
	b.wait(o, mono)
	return o
}

func (b *Builder) wait(o *Open, mono uint64) {
	o.deadline = mono + uint64(b.cfg.Patience)
	b.due = append(b.due, o)
}

// Tick reports what has waited long enough.
func (b *Builder) Tick(mono uint64) {
	n := 0
	for ; n < len(b.due) && b.due[n].deadline <= mono; n++ {
		o := b.due[n]
		if o.closed {
			continue
		}
		if o.news {
			o.report()
		}
		b.wait(o, mono)
	}
	if n > 0 {
		b.due = append(b.due[:0], b.due[n:]...)
	}
}

// Waiting counts what is in the list of deadlines.
func (b *Builder) Waiting() int { return len(b.due) }

// report sends a revision that is not the last.
func (o *Open) report() {
	phase := trafficv1.Phase_PHASE_UPDATE
	if o.revision == 0 {
		phase = trafficv1.Phase_PHASE_REQUEST
	}
	o.send(phase, trafficv1.CloseReason_CLOSE_REASON_UNSPECIFIED)
}

// Changed tells that more of the request is known. A body over its budget is reported at once: nothing will make it whole.
func (o *Open) Changed(mono uint64) {
	if o.closed {
		return
	}
	o.dirty, o.news, o.requestEnd = true, true, mono
	if o.revision == 0 && o.request.Lost() && o.request.HeadDone {
		o.report()
	}
}

// Answered tells that the response's head was read.
func (o *Open) Answered(r *http1.Response, mono uint64) {
	if o.closed {
		return
	}
	o.answer, o.news, o.responseStart = r, true, mono
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

func (o *Open) send(phase trafficv1.Phase, reason trafficv1.CloseReason) {
	o.revision++
	content := o.dirty
	if content {
		o.contentRevision = o.revision
	}
	o.dirty, o.news = false, false
	o.builder.emit(&trafficv1.Exchange{
		Id:       o.id(),
		Revision: o.revision, ContentRevision: o.contentRevision, Phase: phase, CloseReason: reason,
		Request: request(o.request, content), Response: response(o.answer),
		Connection: &trafficv1.Connection{
			Id: o.connID(), Peer: socketAddress(o.conn.Remote), Local: socketAddress(o.conn.Local), Netns: o.conn.Netns,
		},
		Workload: o.conn.Workload, Gaps: gaps(o.request), Times: o.times(), Resumed: o.request.Resumed,
	})
}

func (o *Open) times() *trafficv1.Times {
	t := &trafficv1.Times{
		RequestStart: timestamppb.New(o.builder.wall(o.started)), RequestEnd: timestamppb.New(o.builder.wall(o.requestEnd)),
		RequestStartMonoNs: o.started,
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
