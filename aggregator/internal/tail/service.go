package tail

import (
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	aggregatorv1 "github.com/sidelight/sidelight/proto/gen/sidelight/aggregator/v1"
)

// Service answers TailService.
type Service struct {
	aggregatorv1.UnimplementedTailServiceServer
	hub *Hub
}

// NewService makes the service of a hub.
func NewService(hub *Hub) *Service { return &Service{hub: hub} }

// Tail sends summaries until the reader goes away.
func (s *Service) Tail(req *aggregatorv1.TailRequest, out grpc.ServerStreamingServer[aggregatorv1.TailResponse]) error {
	if req.GetFilter() != "" {
		return status.Error(codes.InvalidArgument, "filters come later: leave filter empty, or set attacks_only")
	}
	r, ok := s.hub.subscribe(req.GetAttacksOnly())
	if !ok {
		return status.Errorf(codes.ResourceExhausted, "%d readers watch already: try again when one has left", maxReaders)
	}
	defer s.hub.unsubscribe(r)
	// The reader learns that all from here on is seen.
	if err := out.SendHeader(nil); err != nil {
		return err
	}
	for {
		select {
		case <-out.Context().Done():
			return status.FromContextError(out.Context().Err()).Err()
		case <-s.hub.stopped:
			return status.Error(codes.Unavailable, "the aggregator stops: connect again")
		case <-r.arrived:
		}
		items, dropped := r.take()
		for _, item := range items {
			if err := out.Send(&aggregatorv1.TailResponse{Summary: item.summary, Dropped: dropped}); err != nil {
				return err
			}
			dropped = 0
		}
	}
}
