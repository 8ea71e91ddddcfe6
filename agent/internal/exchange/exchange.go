// Package exchange turns what parsers know of a request and its response into revisions of an exchange: one that has it
// all when the answer is quick, and early ones when it is not.
package exchange

import (
	"container/heap"
	"math"
	"net/netip"
	"time"

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
	wall func(mono uint64) time.Time
	emit func(*trafficv1.Exchange, *workload.Workload)
	// due holds the open exchanges that have something to tell.
	due deadlines
}

// NewBuilder makes a builder; wall turns the kernel's monotonic nanoseconds into time. What emit is given names no workload:
// it comes beside it.
func NewBuilder(cfg Config, wall func(uint64) time.Time, emit func(*trafficv1.Exchange, *workload.Workload)) *Builder {
	if cfg.Patience == 0 {
		cfg.Patience = DefaultPatience
	}
	if cfg.Pace == 0 {
		cfg.Pace = DefaultPace
	}
	return &Builder{cfg: cfg, wall: wall, emit: emit}
}

// Start begins an exchange whose first byte came at `began`, now that its first line was read.
func (b *Builder) Start(conn *Connection, r *http1.Request, began, mono uint64) *Open {
	o := &Open{builder: b, conn: conn, request: r, started: began, requestEnd: mono, index: unscheduled}
	b.schedule(o, began+uint64(b.cfg.Patience))
	return o
}

// Tick reports what has waited long enough.
func (b *Builder) Tick(mono uint64) {
	for len(b.due) > 0 && b.due[0].deadline <= mono {
		b.due[0].report(mono)
	}
}

// Waiting counts what has a deadline.
func (b *Builder) Waiting() int { return len(b.due) }

// Oldest is when the oldest exchange began that was not reported at all, in monotonic time; far in the future if there is none.
func (b *Builder) Oldest() uint64 {
	oldest := uint64(math.MaxUint64)
	for _, o := range b.due {
		if o.revision == 0 {
			oldest = min(oldest, o.started)
		}
	}
	return oldest
}

// schedule makes an exchange be reported at a time, or before if it is due before.
func (b *Builder) schedule(o *Open, deadline uint64) {
	if o.index == unscheduled {
		o.deadline = deadline
		heap.Push(&b.due, o)
		return
	}
	if deadline < o.deadline {
		o.deadline = deadline
		heap.Fix(&b.due, o.index)
	}
}

func (b *Builder) unschedule(o *Open) {
	if o.index != unscheduled {
		heap.Remove(&b.due, o.index)
	}
}

const unscheduled = -1

// deadlines is a heap: the first is due first.
type deadlines []*Open

func (d deadlines) Len() int           { return len(d) }
func (d deadlines) Less(i, j int) bool { return d[i].deadline < d[j].deadline }
func (d deadlines) Swap(i, j int) {
	d[i], d[j] = d[j], d[i]
	d[i].index, d[j].index = i, j
}

// Push is the heap's.
func (d *deadlines) Push(x any) {
	o := x.(*Open) //nolint:forcetypeassert // the heap holds nothing else
	o.index = len(*d)
	*d = append(*d, o)
}

// Pop is the heap's.
func (d *deadlines) Pop() any {
	last := len(*d) - 1
	o := (*d)[last]
	(*d)[last] = nil
	*d = (*d)[:last]
	o.index = unscheduled
	return o
}
