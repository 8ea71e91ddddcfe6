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

	"github.com/sidelight/sidelight/agent/internal/workload"
	"github.com/sidelight/sidelight/internal/logkey"
	"github.com/sidelight/sidelight/internal/losses"
	aggregatorv1 "github.com/sidelight/sidelight/proto/gen/sidelight/aggregator/v1"
	policyv1 "github.com/sidelight/sidelight/proto/gen/sidelight/policy/v1"
	statusv1 "github.com/sidelight/sidelight/proto/gen/sidelight/status/v1"
	trafficv1 "github.com/sidelight/sidelight/proto/gen/sidelight/traffic/v1"
)

// Config bounds buffer and batches.
type Config struct {
	BufferBytes int
	BatchItems  int
	BatchBytes  int
	// Linger is how long the first exchange of a batch waits for others.
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
		BufferBytes: 64 << 20, BatchItems: 256, BatchBytes: 256 << 10, Linger: 30 * time.Millisecond,
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
	// Added tells up to when, on that clock, every exchange that began was given to Add.
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
	// watched is the last watermark: it never goes back.
	watched uint64
	// wake has room for one token: something waits, or was acknowledged.
	wake      chan struct{}
	connected atomic.Bool
	// BytesSent counts batches as they go on the wire, resends too.
	BytesSent atomic.Uint64
}

// New makes a shipper that sends nothing until Run.
func New(cfg Config, deps Deps) *Shipper {
	return &Shipper{cfg: cfg, deps: deps, buffer: newBuffer(cfg.BufferBytes, deps.Losses), wake: make(chan struct{}, 1)}
}

// Add takes an exchange of a workload. It never waits.
func (s *Shipper) Add(e *trafficv1.Exchange, w *workload.Workload) {
	s.mu.Lock()
	s.buffer.add(e, w)
	s.mu.Unlock()
	s.notify()
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
