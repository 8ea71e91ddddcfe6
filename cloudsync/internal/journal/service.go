package journal

import (
	"context"
	"errors"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	cloudsyncv1 "github.com/sidelight/sidelight/proto/gen/sidelight/cloudsync/v1"
)

const (
	defaultPage = 100
	largestPage = 1000
)

// Service answers JournalService and InventoryService.
type Service struct {
	cloudsyncv1.UnimplementedJournalServiceServer
	cloudsyncv1.UnimplementedInventoryServiceServer
	open func() (*Journal, error)
}

// NewService makes the service of a journal that may not be open yet.
func NewService(open func() (*Journal, error)) *Service { return &Service{open: open} }

// Commit answers when all is on the disk.
func (s *Service) Commit(ctx context.Context, req *cloudsyncv1.CommitRequest) (*cloudsyncv1.CommitResponse, error) {
	j, err := s.open()
	if err == nil {
		err = j.Commit(ctx, req.GetHits(), req.GetOutcomes())
	}
	if err != nil {
		return nil, failure(err)
	}
	return &cloudsyncv1.CommitResponse{}, nil
}

// ListAttacks reads, newest first.
func (s *Service) ListAttacks(_ context.Context, req *cloudsyncv1.ListAttacksRequest) (*cloudsyncv1.ListAttacksResponse, error) {
	size := int(req.GetPageSize())
	if size == 0 {
		size = defaultPage
	}
	j, err := s.open()
	if err != nil {
		return nil, failure(err)
	}
	list, next, err := j.List(req.GetPageToken(), min(size, largestPage))
	if err != nil {
		return nil, failure(err)
	}
	return &cloudsyncv1.ListAttacksResponse{Attacks: list, NextPageToken: next}, nil
}

// PushDeltas answers when all is kept.
func (s *Service) PushDeltas(ctx context.Context, req *cloudsyncv1.PushDeltasRequest) (*cloudsyncv1.PushDeltasResponse, error) {
	j, err := s.open()
	if err == nil {
		err = j.PutEndpoints(ctx, req.GetDeltas())
	}
	if err != nil {
		return nil, failure(err)
	}
	return &cloudsyncv1.PushDeltasResponse{}, nil
}

// failure says whether coming again may help. It nearly always may.
func failure(err error) error {
	switch {
	case errors.Is(err, errToken):
		return status.Error(codes.InvalidArgument, err.Error())
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return status.FromContextError(err).Err()
	}
	return status.Error(codes.Unavailable, err.Error())
}
