package push

import (
	"context"
	"log/slog"
	"time"

	"google.golang.org/grpc"

	cloudsyncv1 "github.com/sidelight/sidelight/proto/gen/sidelight/cloudsync/v1"
	statusv1 "github.com/sidelight/sidelight/proto/gen/sidelight/status/v1"

	"github.com/sidelight/sidelight/internal/logkey"
)

const (
	statusEvery   = 10 * time.Second
	statusTimeout = 5 * time.Second
)

// Status reports the part's state every ten seconds.
type Status struct {
	client cloudsyncv1.StatusServiceClient
	now    func() *statusv1.PartStatus
	log    *slog.Logger
}

// NewStatus makes a reporter; `now` gives the state of the moment.
func NewStatus(conn grpc.ClientConnInterface, now func() *statusv1.PartStatus, log *slog.Logger) *Status {
	return &Status{client: cloudsyncv1.NewStatusServiceClient(conn), now: now, log: log}
}

// Run reports until ctx ends.
func (s *Status) Run(ctx context.Context) error {
	ticker := time.NewTicker(statusEvery)
	defer ticker.Stop()
	for {
		s.report(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

func (s *Status) report(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	_, err := s.client.Report(ctx, &cloudsyncv1.ReportRequest{Parts: []*statusv1.PartStatus{s.now()}})
	if err != nil && ctx.Err() == nil {
		s.log.Debug("status was not taken; the next report replaces it", logkey.Error, err)
	}
}
