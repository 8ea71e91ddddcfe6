package report

import (
	"context"
	"log/slog"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

	cloudsyncv1 "github.com/sidelight/sidelight/proto/gen/sidelight/cloudsync/v1"
	statusv1 "github.com/sidelight/sidelight/proto/gen/sidelight/status/v1"

	"github.com/sidelight/sidelight/internal/logkey"
	"github.com/sidelight/sidelight/internal/losses"
)

const (
	statusEvery   = 10 * time.Second
	statusTimeout = 5 * time.Second
)

// Status reports the part's state every ten seconds.
type Status struct {
	client   cloudsyncv1.StatusServiceClient
	self     *statusv1.PartStatus
	ready    func() error
	counters *Counters
	losses   *losses.Losses
	log      *slog.Logger
	more     func(*statusv1.PartStatus)
}

// NewStatus makes a reporter; self holds what does not change, and more adds what other packages know.
func NewStatus(
	conn grpc.ClientConnInterface, self *statusv1.PartStatus, ready func() error, more func(*statusv1.PartStatus), c *Counters, l *losses.Losses, log *slog.Logger,
) *Status {
	return &Status{client: cloudsyncv1.NewStatusServiceClient(conn), self: self, ready: ready, more: more, counters: c, losses: l, log: log}
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
	_, err := s.client.Report(ctx, &cloudsyncv1.ReportRequest{Parts: []*statusv1.PartStatus{s.Now()}})
	if err != nil && ctx.Err() == nil {
		s.log.Debug("status was not taken; the next report replaces it", logkey.Error, err)
	}
}

// Now is the state of this moment.
func (s *Status) Now() *statusv1.PartStatus {
	p := &statusv1.PartStatus{
		Part: s.self.GetPart(), Instance: s.self.GetInstance(), Version: s.self.GetVersion(), Cluster: s.self.GetCluster(),
		StartedAt: s.self.GetStartedAt(), ReportedAt: timestamppb.Now(), Ready: true, Counters: s.counters.Snapshot(),
	}
	if err := s.ready(); err != nil {
		p.Ready, p.NotReadyBecause = false, err.Error()
	}
	for _, l := range s.losses.Snapshot() {
		p.Losses = append(p.Losses, &statusv1.Loss{Place: l.Place, Reason: l.Reason, Count: l.Count})
	}
	s.more(p)
	return p
}
