// Package exchange turns what parsers know of a request and its response into revisions of an exchange: one that has it
// all when the answer is quick, and early ones when it is not.
package exchange

import (
	"fmt"
	"math"
	"net/netip"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/sidelight/sidelight/agent/internal/http1"
	"github.com/sidelight/sidelight/agent/internal/workload"
	trafficv1 "github.com/sidelight/sidelight/proto/gen/sidelight/traffic/v1"
)

// Connection is what all exchanges of a connection share.
type Connection struct {
	Netns         uint32
	Local, Remote netip.AddrPort
	Workload      *workload.Workload
	// FirstSeq is the TCP sequence number at offset 0 of the inbound stream.
	FirstSeq uint32
	// TLS is nil where the bytes went over the network as they are.
	TLS *trafficv1.Tls

	named named
}

// Revision is one state of an exchange, ready for the wire.
type Revision struct {
	ID ID
	// Number counts the states of an exchange from 1. Content: the request's headers and body are in this one.
	Number  uint32
	Content bool
	// Last: the exchange is closed.
	Last bool
	// Wire is the Exchange message without what others of its batch say too, its workload and connection; without the
	// authority that its first Host header says; and with times by their distance from the start. Whoever is told may keep it
	// only as a copy.
	Wire []byte
	// Connection is the Connection message on the wire; Workload is whose exchange it is.
	Connection string
	Workload   *workload.Workload
	// Start of the request on the monotonic clock.
	Start uint64
	// Body is how many bytes of the request's body are in Wire, Heads how many the response's headers have as text.
	Body, Heads int
}

// Message reads a revision back, with its connection.
func (r *Revision) Message() (*trafficv1.Exchange, error) {
	e := &trafficv1.Exchange{}
	if err := proto.Unmarshal(r.Wire, e); err != nil {
		return nil, fmt.Errorf("reading an exchange: %w", err)
	}
	if r.Connection != "" {
		e.Connection = &trafficv1.Connection{}
		if err := proto.Unmarshal([]byte(r.Connection), e.Connection); err != nil {
			return nil, fmt.Errorf("reading a connection: %w", err)
		}
	}
	return e, nil
}

// Config is the builder's times and names.
type Config struct {
	// BootID of the host makes ids of different hosts and boots differ.
	BootID string
	// Patience is how long a request may stay unreported.
	Patience time.Duration
	// Pace is the least time between two revisions of one exchange, but for its last.
	Pace time.Duration
}

// The defaults keep an attack that hangs its backend, or sits in an upload without end, visible within two seconds.
const (
	DefaultPatience = 500 * time.Millisecond
	DefaultPace     = time.Second
)

// Builder makes exchanges. It is used from one goroutine at a time.
type Builder struct {
	cfg  Config
	emit func(*Revision)
	// due holds the open exchanges that have something to tell.
	due agenda
	// free are closed ones, whose memory the next take.
	free []*Open
	// revision, wire and hashed are written anew for each revision.
	revision Revision
	wire     []byte
	hashed   []byte
}

const (
	// keptFree is how many closed exchanges are kept for their memory.
	keptFree = 1024
	// keptWire bounds the memory kept for the next revision: one large body is no reason to hold on to its size.
	keptWire = 128 << 10
)

// New makes a builder. What emit is given is written over when it returns.
func New(cfg Config, emit func(*Revision)) *Builder {
	if cfg.Patience == 0 {
		cfg.Patience = DefaultPatience
	}
	if cfg.Pace == 0 {
		cfg.Pace = DefaultPace
	}
	return &Builder{cfg: cfg, emit: emit}
}

// Start begins an exchange whose first byte came at `began`, now that its first line was read.
func (b *Builder) Start(conn *Connection, r *http1.Request, began, mono uint64) *Open {
	var o *Open
	if n := len(b.free); n > 0 {
		o, b.free = b.free[n-1], b.free[:n-1]
	} else {
		o = &Open{}
	}
	*o = Open{builder: b, conn: conn, request: r, started: began, requestEnd: mono}
	b.due.first(o, began+uint64(b.cfg.Patience))
	return o
}

// Tick reports what has waited long enough.
func (b *Builder) Tick(mono uint64) {
	for o := b.due.next(); o != nil && o.deadline <= mono; o = b.due.next() {
		o.report(mono)
	}
}

// Waiting counts what has a deadline.
func (b *Builder) Waiting() int { return b.due.len() }

// Oldest is when the oldest exchange began that was not reported at all, in monotonic time; far in the future if there is none.
func (b *Builder) Oldest() uint64 {
	oldest := uint64(math.MaxUint64)
	for o := range b.due.all() {
		if o.revision == 0 {
			oldest = min(oldest, o.started)
		}
	}
	return oldest
}
