// Package ingest takes exchanges from agents and acknowledges a batch when all of it is judged, never before.
package ingest

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"

	aggregatorv1 "github.com/sidelight/sidelight/proto/gen/sidelight/aggregator/v1"
	policyv1 "github.com/sidelight/sidelight/proto/gen/sidelight/policy/v1"
	statusv1 "github.com/sidelight/sidelight/proto/gen/sidelight/status/v1"
	trafficv1 "github.com/sidelight/sidelight/proto/gen/sidelight/traffic/v1"

	"github.com/sidelight/sidelight/internal/losses"

	"github.com/sidelight/sidelight/aggregator/internal/route"
	agents "github.com/sidelight/sidelight/aggregator/internal/status"
)

const (
	// maxExchange is far over what an agent sends, and well under what a call to the processor can carry.
	maxExchange = 8 << 20
	// maxInFlight bounds the batches of one stream whose acknowledgements were not sent yet.
	maxInFlight = 1024
	// drain is how long a stream may go on to give answers when the aggregator stops.
	drain = 4 * time.Second
)

type router interface {
	Submit([]route.Item)
}

type resolver interface {
	Resolve(*trafficv1.Exchange) *trafficv1.Client
}

// presence is told what becomes known of a life of an agent.
type presence interface {
	Opened(life agents.Life, version string)
	Reported(life agents.Life, s *statusv1.PartStatus)
	Watched(life agents.Life, until time.Time)
	Closed(life agents.Life)
}

// Config is what the service is told.
type Config struct {
	Cluster string
	// MaxPendingBytes bounds what is read and not judged, over all streams.
	MaxPendingBytes int64
}

// Deps is what the service works with.
type Deps struct {
	Router  router
	Clients resolver
	Agents  presence
	Log     *slog.Logger
	Losses  *losses.Losses
	// Now is the aggregator's clock; nil = time.Now.
	Now func() time.Time
}

// Service answers MirrorService.
type Service struct {
	aggregatorv1.UnimplementedMirrorServiceServer
	cfg     Config
	deps    Deps
	room    *room
	stopped chan struct{}
	once    sync.Once
	policy  atomic.Pointer[policyv1.AgentPolicy]

	mu      sync.Mutex
	streams map[*stream]struct{}

	// What the part says of itself. Streams and PendingBytes are of this moment.
	Streams, PendingBytes, Batches, Exchanges, Acks, Refused, Waits atomic.Int64
}

// New makes a service that does nothing until it is called.
func New(cfg Config, deps Deps) *Service {
	if deps.Now == nil {
		deps.Now = time.Now
	}
	return &Service{cfg: cfg, deps: deps, streams: map[*stream]struct{}{}, room: newRoom(cfg.MaxPendingBytes), stopped: make(chan struct{})}
}

// Stop makes every stream read no more, and end once what it read is judged and acknowledged, or after some seconds.
func (s *Service) Stop() { s.once.Do(func() { close(s.stopped) }) }

// Obey hands a policy to every agent that is connected, and to each that will be.
func (s *Service) Obey(p *policyv1.AgentPolicy) {
	s.policy.Store(p)
	s.mu.Lock()
	defer s.mu.Unlock()
	for st := range s.streams {
		st.signal()
	}
}

// Mirror serves one agent's stream.
func (s *Service) Mirror(g grpc.BidiStreamingServer[aggregatorv1.MirrorRequest, aggregatorv1.MirrorResponse]) error {
	s.Streams.Add(1)
	defer s.Streams.Add(-1)
	ctx, cancel := context.WithCancel(g.Context())
	defer cancel()
	st := &stream{service: s, wire: g, ready: make(chan struct{}, 1), ended: make(chan error, 1), slots: make(chan struct{}, maxInFlight)}
	s.mu.Lock()
	s.streams[st] = struct{}{}
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.streams, st)
		s.mu.Unlock()
		st.close()
	}()
	go st.read(ctx)
	return st.serve(ctx)
}

// reserve waits for room; while it does, the agent's stream is not read, and so the agent is held up.
func (s *Service) reserve(ctx context.Context, node string, size int64) (held int64, err error) {
	// A batch over the whole bound goes alone.
	held = min(size, s.cfg.MaxPendingBytes)
	if err := s.room.acquire(ctx, node, held, func() { s.Waits.Add(1) }); err != nil {
		return 0, err
	}
	s.PendingBytes.Add(held)
	return held, nil
}

func (s *Service) release(node string, held int64) {
	s.PendingBytes.Add(-held)
	s.room.release(node, held)
}
