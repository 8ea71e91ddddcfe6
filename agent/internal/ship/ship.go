// Package ship brings exchanges to an aggregator over one Mirror stream: in batches, again when the stream broke, and never
// twice knowingly.
package ship

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sidelight/sidelight/agent/internal/exchange"
	"github.com/sidelight/sidelight/internal/logkey"
	"github.com/sidelight/sidelight/internal/losses"
	aggregatorv1 "github.com/sidelight/sidelight/proto/gen/sidelight/aggregator/v1"
	policyv1 "github.com/sidelight/sidelight/proto/gen/sidelight/policy/v1"
	statusv1 "github.com/sidelight/sidelight/proto/gen/sidelight/status/v1"
)

// Config bounds buffer and batches.
type Config struct {
	BufferBytes int
	BatchItems  int
	BatchBytes  int
	// Linger is how long the first exchange of a batch waits for others. A batch that is full waits for nothing.
	Linger time.Duration
	// Renew is how long a stream lives, ± a fifth, so that load spreads over new replicas.
	Renew time.Duration
	// StatusEvery is the rhythm of the status lane.
	StatusEvery time.Duration
	// HeartbeatEvery is how often the aggregator learns up to when all is acknowledged; while exchanges are, ten times as often: a
	// blind interval begins where the last word was.
	HeartbeatEvery time.Duration
	// Drain bounds the wait for acknowledgements at the end of a stream, and of the agent.
	Drain time.Duration
}

// DefaultConfig is made for many small exchanges.
func DefaultConfig() Config {
	return Config{
		BufferBytes: 64 << 20, BatchItems: 512, BatchBytes: 256 << 10, Linger: 30 * time.Millisecond,
		Renew: time.Minute, StatusEvery: 10 * time.Second, HeartbeatEvery: time.Second, Drain: 3 * time.Second,
	}
}

// Deps is what a shipper works with.
type Deps struct {
	Log    *slog.Logger
	Client aggregatorv1.MirrorServiceClient
	Losses *losses.Losses
	// Hello names the agent; the clocks are filled in when it is sent.
	Hello *aggregatorv1.Hello
	// Mono is the kernel's monotonic clock.
	Mono func() uint64
	// Added tells up to when, on that clock, every exchange that began was given to Take.
	Added  func() uint64
	Status func() *statusv1.PartStatus
	Policy func(*policyv1.AgentPolicy)
}

// Shipper is the agent's end of the Mirror stream.
type Shipper struct {
	cfg  Config
	deps Deps

	mu     sync.Mutex
	buffer *buffer
	// lingers: the timer is set for what waits. called: the session was told of a full batch, and has not looked yet. stuck: it
	// can send nothing before something is acknowledged. draining: it waits for every acknowledgement.
	lingers, called, stuck, draining bool
	// watched is the last watermark: it never goes back.
	watched uint64
	// linger runs out when what waits has waited long enough.
	linger *time.Timer
	// wake has room for one token: there is something to look at.
	wake      chan struct{}
	connected atomic.Bool
	// BytesSent counts batches as they go on the wire, resends too.
	BytesSent atomic.Uint64
}

// New makes a shipper that sends nothing until Run.
func New(cfg Config, deps Deps) *Shipper {
	s := &Shipper{cfg: cfg, deps: deps, buffer: newBuffer(cfg.BufferBytes, deps.Losses), linger: time.NewTimer(0), wake: make(chan struct{}, 1)}
	// The first exchange sets it.
	s.linger.Stop()
	return s
}

// Take takes a copy of an exchange's newest state. It never waits, and wakes the session for full batches only: waking costs more
// than all else that is done here.
func (s *Shipper) Take(r *exchange.Revision) {
	s.mu.Lock()
	s.buffer.add(r)
	s.await()
	call := !s.called && !s.stuck && s.full()
	s.called = s.called || call
	s.mu.Unlock()
	if call {
		s.notify()
	}
}

// Shed gives up an exchange's newest state without looking at it: the agent is over its share of the host.
func (s *Shipper) Shed(r *exchange.Revision) {
	if r.Number > 1 {
		s.deps.Losses.Add("revisions", "shed", 1)
		return
	}
	r.Workload.Exchanges.Add(1)
	r.Workload.Lost.Add(1)
	s.deps.Losses.Add("exchanges", "shed", 1)
}

// await sets the timer for what waits; the caller holds the lock.
func (s *Shipper) await() {
	if s.buffer.waiting > 0 && !s.lingers && !s.stuck {
		s.lingers = true
		s.linger.Reset(s.cfg.Linger)
	}
}

// full tells whether a whole batch waits; the caller holds the lock.
func (s *Shipper) full() bool {
	return s.buffer.waiting >= s.cfg.BatchItems || s.buffer.waitingBytes >= s.cfg.BatchBytes
}

// Watermark is the time before which every exchange that began is acknowledged, or was given up and counted.
func (s *Shipper) Watermark() uint64 {
	// In this order: an exchange that is added meanwhile is seen in one place or the other.
	added := s.deps.Added()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.watched = max(s.watched, min(added, s.buffer.oldest()))
	return s.watched
}

// Connected tells whether a stream stands.
func (s *Shipper) Connected() bool { return s.connected.Load() }

func (s *Shipper) notify() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

const (
	minBackoff = 100 * time.Millisecond
	maxBackoff = 5 * time.Second
)

// Run keeps a stream up until ctx ends, and then waits a little for what is under way.
func (s *Shipper) Run(ctx context.Context) error {
	// The stream outlives ctx by the drain.
	streamCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	stop := context.AfterFunc(ctx, func() { s.notify(); time.AfterFunc(s.cfg.Drain, cancel) })
	defer stop()
	backoff := minBackoff
	for {
		began := time.Now()
		err := s.session(ctx, streamCtx)
		s.connected.Store(false)
		if ctx.Err() != nil {
			s.giveUp()
			return nil
		}
		if err == nil {
			backoff = minBackoff
			continue
		}
		if time.Since(began) > maxBackoff {
			backoff = minBackoff
		}
		s.deps.Log.Warn("the stream to the aggregator broke; what was not acknowledged is sent again", logkey.Error, err, "again_in", backoff)
		timer := time.NewTimer(backoff/2 + rand.N(backoff/2))
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		timer.Stop()
		backoff = min(2*backoff, maxBackoff)
	}
}

// giveUp counts what the end of the agent loses.
func (s *Shipper) giveUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if exchanges, revisions := s.buffer.giveUp(); exchanges+revisions > 0 {
		s.deps.Log.Warn("exchanges were not acknowledged when the agent stopped", logkey.Count, exchanges, "revisions", revisions)
	}
}
