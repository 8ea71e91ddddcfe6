package processor

import (
	"context"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	processorv1 "github.com/sidelight/sidelight/proto/gen/sidelight/processor/v1"

	"github.com/sidelight/sidelight/processor/internal/behaviour"
)

// mostFacts bounds one call, during which no other fact is counted.
const mostFacts = 4096

// owner answers Track for the clients that this replica owns.
type owner struct {
	processorv1.UnimplementedBehaviourServiceServer
	tracker *behaviour.Tracker
}

// Track counts facts. Facts that come twice count once, so a call may be repeated.
func (o *owner) Track(_ context.Context, req *processorv1.TrackRequest) (*processorv1.TrackResponse, error) {
	if n := len(req.GetFacts()); n > mostFacts {
		return nil, status.Errorf(codes.InvalidArgument, "%d facts are too many for one call: send at most %d", n, mostFacts)
	}
	o.tracker.Track(req.GetFacts())
	return &processorv1.TrackResponse{}, nil
}
