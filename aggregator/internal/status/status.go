// Package status reports this part's state and passes on what its agents say of theirs.
package status

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

	cloudsyncv1 "github.com/sidelight/sidelight/proto/gen/sidelight/cloudsync/v1"
	statusv1 "github.com/sidelight/sidelight/proto/gen/sidelight/status/v1"

	"github.com/sidelight/sidelight/internal/logkey"
	"github.com/sidelight/sidelight/internal/losses"
)

const (
	// own is how often this part reports; agents' reports go on at the next look.
	own     = 10 * time.Second
	look    = time.Second
	timeout = 5 * time.Second
	// lastWords bounds what a stop waits for.
	lastWords = time.Second
	// maxParts keeps a report well under what a call may carry.
	maxParts = 200
)

type reporter interface {
	Report(ctx context.Context, in *cloudsyncv1.ReportRequest, opts ...grpc.CallOption) (*cloudsyncv1.ReportResponse, error)
}

// Deps is what the status is made of.
type Deps struct {
	Cloudsync reporter
	// Self holds what does not change.
	Self     *statusv1.PartStatus
	Ready    func() error
	Counters func() []*statusv1.Counter
	// Policy is the sequence in force, and why a newer one was refused.
	Policy func() (sequence uint64, refused string)
	Losses *losses.Losses
	Log    *slog.Logger
}

// Status reports.
type Status struct {
	deps   Deps
	agents *Agents
}

// New makes a status that does nothing until Run.
func New(agents *Agents, deps Deps) *Status { return &Status{deps: deps, agents: agents} }

// Run reports until ctx ends, and then once more of agents: that their streams have ended.
func (s *Status) Run(ctx context.Context) error {
	ticker := time.NewTicker(look)
	defer ticker.Stop()
	var last time.Time
	for {
		s.passOn(ctx, timeout)
		if time.Since(last) >= own {
			last = time.Now()
			s.report(ctx, timeout, []*statusv1.PartStatus{s.Now()})
		}
		select {
		case <-ctx.Done():
			s.passOn(context.WithoutCancel(ctx), lastWords)
			return nil
		case <-ticker.C:
		}
	}
}

func (s *Status) passOn(ctx context.Context, within time.Duration) {
	for chunk := range slices.Chunk(s.agents.take(time.Now()), maxParts) {
		parts := make([]*statusv1.PartStatus, len(chunk))
		for i, t := range chunk {
			parts[i] = t.part
		}
		if !s.report(ctx, within, parts) {
			s.agents.putBack(chunk)
		}
	}
}

func (s *Status) report(ctx context.Context, within time.Duration, parts []*statusv1.PartStatus) bool {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	if _, err := s.deps.Cloudsync.Report(ctx, &cloudsyncv1.ReportRequest{Parts: parts}); err != nil {
		s.deps.Log.Debug("status was not taken; it is told again", logkey.Error, err)
		return false
	}
	return true
}

// Now is the state of this moment.
func (s *Status) Now() *statusv1.PartStatus {
	self := s.deps.Self
	p := &statusv1.PartStatus{
		Part: self.GetPart(), Instance: self.GetInstance(), Version: self.GetVersion(), Cluster: self.GetCluster(),
		StartedAt: self.GetStartedAt(), ReportedAt: timestamppb.Now(), Ready: true, Counters: s.deps.Counters(),
	}
	if err := s.deps.Ready(); err != nil {
		p.Ready, p.NotReadyBecause = false, err.Error()
	}
	p.PolicySequence, p.PolicyRefusedBecause = s.deps.Policy()
	for _, l := range s.deps.Losses.Snapshot() {
		p.Losses = append(p.Losses, &statusv1.Loss{Place: l.Place, Reason: l.Reason, Count: l.Count})
	}
	return p
}
