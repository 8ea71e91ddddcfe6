// Package policy hands the last good policy to the parts. There is none yet: bundles are served once their signatures are
// checked against the key that was pinned at registration, and not a release earlier.
package policy

import (
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	cloudsyncv1 "github.com/sidelight/sidelight/proto/gen/sidelight/cloudsync/v1"
)

// Service answers PolicyService.
type Service struct {
	cloudsyncv1.UnimplementedPolicyServiceServer
	stopped chan struct{}
	once    sync.Once
}

// New makes a service without a policy.
func New() *Service { return &Service{stopped: make(chan struct{})} }

// Stop ends all streams.
func (s *Service) Stop() { s.once.Do(func() { close(s.stopped) }) }

// Watch stays open and sends nothing: a part that hears nothing runs on what it has.
func (s *Service) Watch(_ *cloudsyncv1.WatchRequest, out grpc.ServerStreamingServer[cloudsyncv1.WatchResponse]) error {
	if err := out.SendHeader(nil); err != nil {
		return err
	}
	select {
	case <-out.Context().Done():
		return status.FromContextError(out.Context().Err()).Err()
	case <-s.stopped:
		return status.Error(codes.Unavailable, "cloudsync stops: watch again")
	}
}
