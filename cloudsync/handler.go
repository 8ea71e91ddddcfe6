package cloudsync

import (
	"context"
	"sync/atomic"

	"google.golang.org/grpc/codes"
	grpcstatus "google.golang.org/grpc/status"

	"github.com/sidelight/sidelight/cloudsync/internal/journal"
	"github.com/sidelight/sidelight/cloudsync/internal/status"
	cloudsyncv1 "github.com/sidelight/sidelight/proto/gen/sidelight/cloudsync/v1"
)

// handler is the RPC edge: messages in, the journal's answers out.
type handler struct {
	cloudsyncv1.UnimplementedJournalServiceServer
	cloudsyncv1.UnimplementedInventoryServiceServer
	cloudsyncv1.UnimplementedStatusServiceServer
	cloudsyncv1.UnimplementedPolicyServiceServer

	journal  *atomic.Pointer[journal.Journal]
	statuses *status.Board
}

const (
	defaultPage = 100
	maxPage     = 1000
	// An id is longer than the 16 bytes that agents make only when somebody plays.
	maxID = 64
)

func (h *handler) open() (*journal.Journal, error) {
	if j := h.journal.Load(); j != nil {
		return j, nil
	}
	return nil, grpcstatus.Error(codes.Unavailable, "the journal is not open")
}

// Commit answers when all of it is fsynced.
func (h *handler) Commit(ctx context.Context, r *cloudsyncv1.CommitRequest) (*cloudsyncv1.CommitResponse, error) {
	j, err := h.open()
	if err != nil {
		return nil, err
	}
	for _, hit := range r.GetHits() {
		if n := len(hit.GetExchangeId()); n == 0 || n > maxID || hit.GetType() == "" || hit.GetPoint() == "" || hit.GetObservedAt() == nil {
			return nil, grpcstatus.Error(codes.InvalidArgument, "a hit needs exchange_id, type, point and observed_at")
		}
	}
	if err := j.Commit(ctx, r.GetHits(), r.GetOutcomes()); err != nil {
		return nil, grpcstatus.Error(codes.Unavailable, err.Error())
	}
	return &cloudsyncv1.CommitResponse{}, nil
}

// ListAttacks reads the record, newest first.
func (h *handler) ListAttacks(_ context.Context, r *cloudsyncv1.ListAttacksRequest) (*cloudsyncv1.ListAttacksResponse, error) {
	j, err := h.open()
	if err != nil {
		return nil, err
	}
	size := int(r.GetPageSize())
	if size == 0 {
		size = defaultPage
	}
	list, next, err := j.Attacks(min(size, maxPage), r.GetPageToken())
	if err != nil {
		return nil, grpcstatus.Error(codes.Internal, err.Error())
	}
	return &cloudsyncv1.ListAttacksResponse{Attacks: list, NextPageToken: next}, nil
}

// PushDeltas answers when all of it is kept.
func (h *handler) PushDeltas(ctx context.Context, r *cloudsyncv1.PushDeltasRequest) (*cloudsyncv1.PushDeltasResponse, error) {
	j, err := h.open()
	if err != nil {
		return nil, err
	}
	for _, d := range r.GetDeltas() {
		if d.GetEndpoint().GetId() == "" || d.GetEndpoint().GetVersion() == 0 {
			return nil, grpcstatus.Error(codes.InvalidArgument, "an endpoint needs id and version")
		}
	}
	if err := j.PutEndpoints(ctx, r.GetDeltas()); err != nil {
		return nil, grpcstatus.Error(codes.Unavailable, err.Error())
	}
	return &cloudsyncv1.PushDeltasResponse{}, nil
}

// Report takes every part's report.
func (h *handler) Report(_ context.Context, r *cloudsyncv1.ReportRequest) (*cloudsyncv1.ReportResponse, error) {
	h.statuses.Put(r.GetParts())
	return &cloudsyncv1.ReportResponse{}, nil
}

// Watch stays open and sends nothing yet: a bundle whose signature nobody checks must not be obeyed.
func (h *handler) Watch(_ *cloudsyncv1.WatchRequest, stream cloudsyncv1.PolicyService_WatchServer) error {
	<-stream.Context().Done()
	return nil
}
