package policy

import (
	"sync"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	cloudsyncv1 "github.com/sidelight/sidelight/proto/gen/sidelight/cloudsync/v1"
)

// Service answers PolicyService.
type Service struct {
	cloudsyncv1.UnimplementedPolicyServiceServer
	store   *Store
	stopped chan struct{}
	once    sync.Once
	// Watchers is how many parts listen.
	Watchers atomic.Int64
}

// NewService makes the service of a store.
func NewService(store *Store) *Service { return &Service{store: store, stopped: make(chan struct{})} }

// Stop ends all streams.
func (s *Service) Stop() { s.once.Do(func() { close(s.stopped) }) }

// Watch gives the newest bundle at once, unless the part has it, and each newer one. A slow part misses those in between.
func (s *Service) Watch(req *cloudsyncv1.WatchRequest, out grpc.ServerStreamingServer[cloudsyncv1.WatchResponse]) error {
	s.Watchers.Add(1)
	defer s.Watchers.Add(-1)
	if err := out.SendHeader(nil); err != nil {
		return err
	}
	have := req.GetHaveSequence()
	for {
		bundle, sequence, changed := s.store.newest()
		if bundle != nil && sequence > have {
			if err := out.Send(&cloudsyncv1.WatchResponse{Bundle: bundle}); err != nil {
				return err
			}
			have = sequence
		}
		select {
		case <-changed:
		case <-out.Context().Done():
			return status.FromContextError(out.Context().Err()).Err()
		case <-s.stopped:
			return status.Error(codes.Unavailable, "cloudsync stops: watch again")
		}
	}
}
