// Package stream follows the connections of mirrored processes: events become streams, streams become messages, and each
// request meets its response.
package stream

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/sidelight/sidelight/agent/internal/exchange"
	"github.com/sidelight/sidelight/agent/internal/http1"
	"github.com/sidelight/sidelight/agent/internal/probe"
	"github.com/sidelight/sidelight/agent/internal/workload"
	"github.com/sidelight/sidelight/internal/losses"
	trafficv1 "github.com/sidelight/sidelight/proto/gen/sidelight/traffic/v1"
)

// Config bounds the table.
type Config struct {
	MaxConnections int
	// MaxPipelined requests may wait for their answers on one connection.
	MaxPipelined int
	// Idle connections are forgotten after this time without a byte.
	Idle time.Duration
	// Reorder is how long bytes that came early wait for those before them.
	Reorder time.Duration
}

// DefaultConfig keeps the agent small.
func DefaultConfig() Config {
	return Config{MaxConnections: 20000, MaxPipelined: 256, Idle: 10 * time.Minute, Reorder: 50 * time.Millisecond}
}

// Deps is what a table works with.
type Deps struct {
	Builder *exchange.Builder
	Losses  *losses.Losses
	// Workload names a process.
	Workload func(tgid uint32) *workload.Workload
}

// Table is all connections. Handle and Tick may be called from different goroutines.
type Table struct {
	cfg      Config
	limits   http1.Limits
	builder  *exchange.Builder
	workload func(uint32) *workload.Workload
	losses   *losses.Losses

	mu    sync.Mutex
	conns map[probe.ConnKey]*conn
	swept uint64

	// Counters of the status lane.
	BytesSeen, BytesSkipped, BytesLost atomic.Uint64
}

// NewTable makes an empty table.
func NewTable(cfg Config, deps Deps) *Table {
	return &Table{cfg: cfg, limits: http1.DefaultLimits(), builder: deps.Builder, workload: deps.Workload, losses: deps.Losses, conns: map[probe.ConnKey]*conn{}}
}

// Handle takes one event.
func (t *Table) Handle(e *probe.Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.conns[e.Conn]
	if e.Flags&probe.FlagClose != 0 {
		if c != nil {
			c.lastMono = e.Mono
			delete(t.conns, e.Conn)
			c.end(trafficv1.CloseReason_CLOSE_REASON_RESET)
		}
		return
	}
	if c == nil {
		if len(t.conns) >= t.cfg.MaxConnections {
			t.losses.Add("connections", "full", 1)
			t.lostBytes(t.workload(e.Tgid), uint64(e.Len))
			return
		}
		c = newConn(t, e)
		t.conns[e.Conn] = c
	}
	t.seen(c.info.Workload, uint64(len(e.Data)))
	c.handle(e)
}

// sweepEvery is how often all connections are looked at.
const sweepEvery = uint64(20 * time.Millisecond)

// Tick lets deadlines pass; mono is the kernel's clock.
func (t *Table) Tick(mono uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if mono-t.swept < sweepEvery {
		return
	}
	t.swept = mono
	for key, c := range t.conns {
		quiet := time.Duration(0)
		if mono > c.lastMono {
			quiet = time.Duration(mono - c.lastMono)
		}
		if quiet > t.cfg.Reorder {
			c.in.flush()
			c.out.flush()
		}
		if quiet > t.cfg.Idle {
			delete(t.conns, key)
			c.end(trafficv1.CloseReason_CLOSE_REASON_IDLE)
			t.losses.Add("connections", "idle", 1)
		}
	}
	t.builder.Tick(mono)
}

// CloseAll ends every connection: nothing of them will be seen any more.
func (t *Table) CloseAll(reason trafficv1.CloseReason) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for key, c := range t.conns {
		delete(t.conns, key)
		c.end(reason)
	}
}

// Len counts connections.
func (t *Table) Len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.conns)
}

// slowLine is how long the first line of a request may take before Oldest looks no more at it: else one client that never
// ends its line would hold up what is known of all others.
const slowLine = uint64(5 * time.Second)

// Oldest is when the oldest exchange began that was not handed on in any revision, as far as it lies before `until`; else it is
// `until`.
func (t *Table) Oldest(until uint64) uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	oldest := min(until, t.builder.Oldest())
	for _, c := range t.conns {
		oldest = min(oldest, c.in.oldest())
		if !c.opaque && c.requests.LineUnderWay() && c.begun+slowLine > until {
			oldest = min(oldest, c.begun)
		}
	}
	return oldest
}

func (t *Table) lost(place, why string, n int64) { t.losses.Add(place, why, n) }

var gapWords = map[trafficv1.GapReason]string{
	trafficv1.GapReason_GAP_REASON_BUDGET: "budget", trafficv1.GapReason_GAP_REASON_RING_FULL: "ring_full",
	trafficv1.GapReason_GAP_REASON_SENDFILE: "sendfile", trafficv1.GapReason_GAP_REASON_FAULT: "fault",
}
