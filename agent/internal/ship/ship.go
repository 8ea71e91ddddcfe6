// Package ship brings exchanges to an aggregator over one Mirror stream: in batches, again when the stream broke, and never
// twice knowingly.
package ship

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/timestamppb"

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
	// Drain bounds the wait for acknowledgements at the end of a stream, and of the agent.
	Drain time.Duration
}

// DefaultConfig is made for many small exchanges.
func DefaultConfig() Config {
	return Config{
		BufferBytes: 64 << 20, BatchItems: 256, BatchBytes: 256 << 10, Linger: 5 * time.Millisecond,
		Renew: time.Minute, StatusEvery: 10 * time.Second, Drain: 3 * time.Second,
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
	Mono   func() uint64
	Status func() *statusv1.PartStatus
	Policy func(*policyv1.AgentPolicy)
}

// Shipper is the agent's end of the Mirror stream.
type Shipper struct {
	cfg  Config
	deps Deps

	mu     sync.Mutex
	buffer *buffer
	// wake has room for one token: something waits, or was acknowledged.
	wake      chan struct{}
	connected atomic.Bool
}

// New makes a shipper that sends nothing until Run.
func New(cfg Config, deps Deps) *Shipper {
	return &Shipper{cfg: cfg, deps: deps, buffer: newBuffer(cfg.BufferBytes, deps.Losses), wake: make(chan struct{}, 1)}
}

// Add takes an exchange. It never waits.
func (s *Shipper) Add(e *trafficv1.Exchange) {
	s.mu.Lock()
	s.buffer.add(e)
	s.mu.Unlock()
	s.notify()
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
	n := len(s.buffer.waiting)
	for _, b := range s.buffer.unacknowledged() {
		n += len(b.exchanges)
	}
	if n > 0 {
		s.deps.Losses.Add("exchanges", "agent_stop", int64(n))
		s.deps.Log.Warn("exchanges were not acknowledged when the agent stopped", logkey.Count, n)
	}
}

// session is one stream's life. Nil: it was renewed.
func (s *Shipper) session(ctx, streamCtx context.Context) error {
	streamCtx, cancel := context.WithCancel(streamCtx)
	defer cancel()
	stream, err := s.deps.Client.Mirror(streamCtx)
	if err != nil {
		return fmt.Errorf("opening: %w", err)
	}
	if err := stream.Send(s.hello()); err != nil {
		return fmt.Errorf("greeting: %w", err)
	}
	received := make(chan error, 1)
	go func() { received <- s.receive(stream) }()
	err = s.send(ctx, stream, received)
	// The receiver ends with the stream.
	cancel()
	<-received //nolint:errcheck // it only says that the stream was ended from here; the sender knows why
	return err
}

type mirrorStream = interface {
	Send(*aggregatorv1.MirrorRequest) error
	Recv() (*aggregatorv1.MirrorResponse, error)
	Header() (metadata.MD, error)
	CloseSend() error
}

func (s *Shipper) hello() *aggregatorv1.MirrorRequest {
	hello := &aggregatorv1.Hello{
		Node: s.deps.Hello.GetNode(), BootId: s.deps.Hello.GetBootId(), Version: s.deps.Hello.GetVersion(),
		Wall: timestamppb.Now(), MonoNs: s.deps.Mono(),
	}
	return &aggregatorv1.MirrorRequest{Message: &aggregatorv1.MirrorRequest_Hello{Hello: hello}}
}

func (s *Shipper) receive(stream mirrorStream) error {
	// The aggregator answers the greeting with the stream's header. An error shows in Recv, too.
	if _, err := stream.Header(); err == nil {
		s.connected.Store(true)
	}
	for {
		message, err := stream.Recv()
		if err != nil {
			return fmt.Errorf("receiving: %w", err)
		}
		if ack := message.GetAck(); ack != nil {
			s.mu.Lock()
			s.buffer.acknowledge(ack.GetSequence())
			s.mu.Unlock()
			if n := ack.GetRefused(); n > 0 {
				s.deps.Losses.Add("exchanges", "refused", int64(n))
			}
			s.notify()
		}
		if policy := message.GetPolicy(); policy != nil {
			s.deps.Policy(policy)
		}
	}
}

// send plays what is not acknowledged, then what comes, until the stream breaks, its time is up or ctx ends.
func (s *Shipper) send(ctx context.Context, stream mirrorStream, received chan error) error {
	s.mu.Lock()
	again := s.buffer.unacknowledged()
	s.mu.Unlock()
	for _, b := range again {
		if err := sendBatch(stream, b); err != nil {
			return err
		}
	}
	if err := s.sendStatus(stream); err != nil {
		return err
	}
	renew := time.NewTimer(s.cfg.Renew*4/5 + rand.N(s.cfg.Renew*2/5))
	defer renew.Stop()
	status := time.NewTicker(s.cfg.StatusEvery)
	defer status.Stop()
	linger := time.NewTimer(0)
	defer linger.Stop()
	var armed bool
	for {
		select {
		case err := <-received:
			received <- err
			return err
		case <-ctx.Done():
			return s.drain(stream, received, true)
		case <-renew.C:
			return s.drain(stream, received, false)
		case <-status.C:
			if err := s.sendStatus(stream); err != nil {
				return err
			}
		case <-s.wake:
			if !armed {
				linger.Reset(s.cfg.Linger)
				armed = true
			}
		case <-linger.C:
			armed = false
			if err := s.sendWaiting(stream); err != nil {
				return err
			}
		}
	}
}

func (s *Shipper) sendWaiting(stream mirrorStream) error {
	for {
		s.mu.Lock()
		b := s.buffer.cut(s.cfg.BatchItems, s.cfg.BatchBytes)
		s.mu.Unlock()
		if b == nil {
			return nil
		}
		if err := sendBatch(stream, b); err != nil {
			return err
		}
	}
}

// drain waits for acknowledgements before the stream ends: so a renewal sends nothing twice.
func (s *Shipper) drain(stream mirrorStream, received chan error, last bool) error {
	if last {
		if err := s.sendWaiting(stream); err != nil {
			return err
		}
	}
	deadline := time.NewTimer(s.cfg.Drain)
	defer deadline.Stop()
	for {
		s.mu.Lock()
		done := len(s.buffer.inflight) == 0
		s.mu.Unlock()
		if done {
			break
		}
		select {
		case err := <-received:
			received <- err
			return err
		case <-deadline.C:
			return stream.CloseSend()
		case <-s.wake:
		}
	}
	// What came meanwhile waits for the next stream.
	s.notify()
	return stream.CloseSend()
}

func (s *Shipper) sendStatus(stream mirrorStream) error {
	message := &aggregatorv1.MirrorRequest{Message: &aggregatorv1.MirrorRequest_Status{Status: s.deps.Status()}}
	if err := stream.Send(message); err != nil {
		return fmt.Errorf("sending status: %w", err)
	}
	return nil
}

func sendBatch(stream mirrorStream, b *batch) error {
	message := &aggregatorv1.MirrorRequest{Message: &aggregatorv1.MirrorRequest_Batch{
		Batch: &aggregatorv1.Batch{Sequence: b.sequence, Exchanges: b.exchanges},
	}}
	if err := stream.Send(message); err != nil {
		return fmt.Errorf("sending: %w", err)
	}
	return nil
}
