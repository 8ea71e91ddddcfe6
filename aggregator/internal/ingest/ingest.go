// Package ingest takes exchanges from agents and acknowledges a batch when all of it is judged, never before.
package ingest

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"
	"google.golang.org/grpc"

	aggregatorv1 "github.com/sidelight/sidelight/proto/gen/sidelight/aggregator/v1"
	statusv1 "github.com/sidelight/sidelight/proto/gen/sidelight/status/v1"
	trafficv1 "github.com/sidelight/sidelight/proto/gen/sidelight/traffic/v1"

	"github.com/sidelight/sidelight/internal/losses"

	"github.com/sidelight/sidelight/aggregator/internal/route"
)

const (
	// maxExchange is far over what an agent sends, and well under what a call to the processor can carry.
	maxExchange = 8 << 20
	// overhead is what a small exchange costs in memory beyond its bytes on the wire.
	overhead = 1 << 10
	// maxInFlight bounds the batches of one stream whose acknowledgements were not sent yet.
	maxInFlight = 256
	// drain is how long a stream may go on to give answers when the aggregator stops.
	drain = 4 * time.Second
)

type router interface {
	Submit([]route.Item)
}

type resolver interface {
	Resolve(*trafficv1.Exchange) *trafficv1.Client
}

type statuses interface {
	FromAgent(node string, s *statusv1.PartStatus)
}

// Config is what the service is told.
type Config struct {
	Cluster string
	// MaxPendingBytes bounds what is read and not judged, over all streams.
	MaxPendingBytes int64
}

// Deps is what the service works with.
type Deps struct {
	Router   router
	Clients  resolver
	Statuses statuses
	Log      *slog.Logger
	Losses   *losses.Losses
	// Now is the aggregator's clock; nil = time.Now.
	Now func() time.Time
}

// Service answers MirrorService.
type Service struct {
	aggregatorv1.UnimplementedMirrorServiceServer
	cfg     Config
	deps    Deps
	room    *semaphore.Weighted
	stopped chan struct{}
	once    sync.Once

	// What the part says of itself. Streams and PendingBytes are of this moment.
	Streams, PendingBytes, Batches, Exchanges, Acks, Refused, Waits atomic.Int64
}

// New makes a service that does nothing until it is called.
func New(cfg Config, deps Deps) *Service {
	if deps.Now == nil {
		deps.Now = time.Now
	}
	return &Service{cfg: cfg, deps: deps, room: semaphore.NewWeighted(cfg.MaxPendingBytes), stopped: make(chan struct{})}
}

// Stop makes every stream read no more, and end once what it read is judged and acknowledged, or after some seconds.
func (s *Service) Stop() { s.once.Do(func() { close(s.stopped) }) }

// Mirror serves one agent's stream.
func (s *Service) Mirror(g grpc.BidiStreamingServer[aggregatorv1.MirrorRequest, aggregatorv1.MirrorResponse]) error {
	s.Streams.Add(1)
	defer s.Streams.Add(-1)
	ctx, cancel := context.WithCancel(g.Context())
	defer cancel()
	st := &stream{service: s, wire: g, ready: make(chan struct{}, 1), ended: make(chan error, 1), slots: make(chan struct{}, maxInFlight)}
	go st.read(ctx)
	return st.serve(ctx)
}

// reserve waits for room; while it does, the agent's stream is not read, and so the agent is held up.
func (s *Service) reserve(ctx context.Context, size int64) (release func(), err error) {
	// A batch over the whole bound goes alone.
	size = min(size, s.cfg.MaxPendingBytes)
	if !s.room.TryAcquire(size) {
		s.Waits.Add(1)
		if err := s.room.Acquire(ctx, size); err != nil {
			return nil, err
		}
	}
	s.PendingBytes.Add(size)
	return func() {
		s.PendingBytes.Add(-size)
		s.room.Release(size)
	}, nil
}
