// Package stream follows the connections of mirrored processes: events become streams, streams become messages, and each
// request meets its response.
package stream

import (
	"slices"
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
	// MaxKept bytes of heads and bodies are held for all connections together; beyond them, bodies are left out and heads
	// cut short.
	MaxKept int
	// Idle connections are forgotten after this time without a byte.
	Idle time.Duration
	// Reorder is how long bytes that came early wait for those before them.
	Reorder time.Duration
}

// DefaultConfig keeps the agent small.
func DefaultConfig() Config {
	return Config{MaxConnections: 20000, MaxPipelined: 256, MaxKept: 64 << 20, Idle: 10 * time.Minute, Reorder: 50 * time.Millisecond}
}

const (
	// maxEarlyBytes wait for those before them, on all connections together.
	maxEarlyBytes = 16 << 20
	// maxDropped is how many connections are remembered, for each that is followed, after they were given up.
	maxDropped = 5
	// tightHead is what is kept of a head when memory is short, and tightPipeline the requests that may wait for answers.
	tightHead     = 4 << 10
	tightPipeline = 16
	// stale is how long a connection with an open exchange must be quiet to give way to a new one.
	stale = uint64(30 * time.Second)
)

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
	shelf    http1.Shelf
	builder  *exchange.Builder
	workload func(uint32) *workload.Workload
	losses   *losses.Losses

	mu    sync.Mutex
	conns map[probe.ConnKey]*conn
	// busy connections have an open exchange, quiet ones have none.
	busy, quiet list
	// watched connections have bytes that wait, or a request that began and was not handed on.
	watched []*conn
	dropped drops
	// kept and early are bytes of memory.
	kept, early int
	swept       uint64

	// Counters of the status lane.
	BytesSeen, BytesSkipped, BytesLost atomic.Uint64
}

// NewTable makes an empty table.
func NewTable(cfg Config, deps Deps) *Table {
	return &Table{cfg: cfg, limits: http1.DefaultLimits(), builder: deps.Builder, workload: deps.Workload, losses: deps.Losses,
		conns: map[probe.ConnKey]*conn{}, dropped: drops{most: maxDropped * cfg.MaxConnections, by: map[probe.ConnKey]dropped{}}}
}

// Handle takes one event.
func (t *Table) Handle(e *probe.Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.shelf.Clear()
	c := t.conns[e.Conn]
	if e.Flags&probe.FlagClose != 0 {
		delete(t.dropped.by, e.Conn)
		if c != nil {
			c.lastMono = e.Mono
			c.closed(e)
			reason := trafficv1.CloseReason_CLOSE_REASON_RESET
			if e.Flags&probe.FlagShed != 0 {
				// It goes on, and nobody looks.
				reason = trafficv1.CloseReason_CLOSE_REASON_LOST
			}
			t.remove(c, reason)
		} else if e.Lost > 0 {
			// All of it was lost, and whose it was.
			t.losses.Add("request_bytes", gapWords[trafficv1.GapReason_GAP_REASON_RING_FULL], int64(e.Lost))
			t.BytesLost.Add(uint64(e.Lost))
		}
		return
	}
	if c == nil {
		if len(t.conns) >= t.cfg.MaxConnections && !t.makeRoom(e.Mono) {
			t.losses.Add("connections", "full", 1)
			t.lostBytes(t.workload(e.Tgid), uint64(e.Len))
			t.dropped.add(e.Conn, dropped{})
			return
		}
		c = newConn(t, e)
		t.conns[e.Conn] = c
	}
	t.seen(c.info.Workload, uint64(len(e.Data)))
	c.handle(e)
	t.touch(c)
	t.weigh()
}

// weigh sheds what is still to come when memory is short.
func (t *Table) weigh() {
	switch tight := t.tight(); {
	case !tight && t.kept > t.cfg.MaxKept:
		t.losses.Add("bodies", "memory", 1)
		t.limits.HeadKept, t.limits.Body, t.limits.Why = tightHead, 0, trafficv1.GapReason_GAP_REASON_SHED
	case tight && t.kept < t.cfg.MaxKept-t.cfg.MaxKept/8:
		t.limits = http1.DefaultLimits()
	}
}

// tight: memory is short.
func (t *Table) tight() bool { return t.limits.Body == 0 }

// full tells whether one more request may be followed on a connection that has some open.
func (t *Table) full(open int) bool {
	return open >= t.cfg.MaxPipelined || t.tight() && open >= tightPipeline || t.kept > 2*t.cfg.MaxKept
}

// makeRoom drops the connection that had no byte for the longest time: one without an open exchange, or else a stale one.
func (t *Table) makeRoom(mono uint64) bool {
	c := t.quiet.first
	if c == nil {
		if c = t.busy.first; c == nil || mono < c.lastMono+stale {
			return false
		}
	}
	t.losses.Add("connections", "dropped", 1)
	t.giveUp(c)
	return true
}

// giveUp ends a connection that may go on, and remembers where it stood.
func (t *Table) giveUp(c *conn) {
	where := c.where()
	t.remove(c, trafficv1.CloseReason_CLOSE_REASON_IDLE)
	t.dropped.add(c.key, where)
}

func (t *Table) remove(c *conn, reason trafficv1.CloseReason) {
	delete(t.conns, c.key)
	c.end(reason)
	c.leave()
	t.watch(c, false)
}

// sweepEvery is how often what is due is looked for.
const sweepEvery = uint64(20 * time.Millisecond)

// Tick lets deadlines pass; mono is the kernel's clock.
func (t *Table) Tick(mono uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if mono-t.swept < sweepEvery {
		return
	}
	t.swept = mono
	// Backward: the last takes the place of one that leaves.
	for _, c := range slices.Backward(t.watched) {
		if len(c.in.early)+len(c.out.early) > 0 && c.quietFor(mono) > t.cfg.Reorder {
			c.flush()
			t.watch(c, c.waits())
		}
	}
	for _, l := range []*list{&t.quiet, &t.busy} {
		for l.first != nil && l.first.quietFor(mono) > t.cfg.Idle {
			t.giveUp(l.first)
			t.losses.Add("connections", "idle", 1)
		}
	}
	t.weigh()
	t.builder.Tick(mono)
}

func (c *conn) quietFor(mono uint64) time.Duration {
	if mono <= c.lastMono {
		return 0
	}
	return time.Duration(mono - c.lastMono)
}

// CloseAll ends every connection: nothing of them will be seen any more.
func (t *Table) CloseAll(reason trafficv1.CloseReason) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range t.conns {
		t.remove(c, reason)
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
	for _, c := range t.watched {
		oldest = min(oldest, c.in.oldest())
		if !c.waits() {
			continue
		}
		begun := c.begun
		if c.doubt != nil && c.doubt.held != nil {
			begun = c.doubt.held.begun
		}
		if begun+slowLine > until {
			oldest = min(oldest, begun)
		}
	}
	return oldest
}

func (t *Table) lost(place, why string, n int64) { t.losses.Add(place, why, n) }

var gapWords = map[trafficv1.GapReason]string{
	trafficv1.GapReason_GAP_REASON_BUDGET: "budget", trafficv1.GapReason_GAP_REASON_RING_FULL: "ring_full",
	trafficv1.GapReason_GAP_REASON_SENDFILE: "sendfile", trafficv1.GapReason_GAP_REASON_FAULT: "fault",
	trafficv1.GapReason_GAP_REASON_SHED: "shed", trafficv1.GapReason_GAP_REASON_IO_URING: "io_uring",
	trafficv1.GapReason_GAP_REASON_NOT_FOLLOWED: "not_followed",
}
