// Package cloudsync keeps the attack record of its cluster, with or without a console, and is the only part that speaks to
// the outside.
package cloudsync

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

	cloudsyncv1 "github.com/sidelight/sidelight/proto/gen/sidelight/cloudsync/v1"
	statusv1 "github.com/sidelight/sidelight/proto/gen/sidelight/status/v1"

	"github.com/sidelight/sidelight/internal/app"
	"github.com/sidelight/sidelight/internal/losses"
	"github.com/sidelight/sidelight/internal/opsport"
	"github.com/sidelight/sidelight/internal/rpc"
	"github.com/sidelight/sidelight/internal/telemetry"
	"github.com/sidelight/sidelight/internal/tlsreload"

	"github.com/sidelight/sidelight/cloudsync/internal/blind"
	"github.com/sidelight/sidelight/cloudsync/internal/journal"
	"github.com/sidelight/sidelight/cloudsync/internal/policy"
	"github.com/sidelight/sidelight/cloudsync/internal/status"
	"github.com/sidelight/sidelight/cloudsync/internal/upload"
)

// Deps is what the service works with.
type Deps struct {
	Log *slog.Logger
	// Listener is optional, already bound, and used instead of Config.RPC.Listen.
	Listener net.Listener
	// TLS is optional; else it is made from Config.TLS. Whoever makes it runs it.
	TLS *tlsreload.Source
}

// Service is cloudsync.
type Service struct {
	cfg       Config
	deps      Deps
	ownTLS    bool
	telemetry *telemetry.Provider
	losses    *losses.Losses
	server    *rpc.Server
	ops       *opsport.Server
	statuses  *status.Board
	agents    *blind.Tracker
	policies  *policy.Store
	policy    *policy.Service
	self      *statusv1.PartStatus
	// journal and uploader are there while Run runs.
	journal  atomic.Pointer[journal.Journal]
	uploader atomic.Pointer[upload.Uploader]
}

// New makes a service that does nothing until Run.
func New(cfg Config, deps Deps) (*Service, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	s := &Service{cfg: cfg, deps: deps, ownTLS: deps.TLS == nil, policies: policy.NewStore(cfg.DataDir, deps.Log)}
	s.policy = policy.NewService(s.policies)
	var err error
	if s.telemetry, err = telemetry.New("cloudsync", telemetry.Version()); err != nil {
		return nil, fmt.Errorf("starting telemetry: %w", err)
	}
	if s.ownTLS {
		if err := cfg.TLS.Validate(); err != nil {
			return nil, err
		}
		s.deps.TLS = tlsreload.New(cfg.TLS, tlsreload.Deps{Log: deps.Log, Meter: s.telemetry.Meter()})
	}
	s.losses = losses.NewLosses(s.telemetry.Meter(), "cloudsync")
	s.statuses = status.NewBoard(cfg.Cluster, s.losses)
	s.agents = blind.New(blind.Config{Uploads: cfg.Console.Address != ""}, blind.Deps{Store: notes{s.open}, Log: deps.Log, Losses: s.losses})
	export(s.telemetry.Meter(), s.counters())
	s.self = &statusv1.PartStatus{
		Part: "cloudsync", Instance: cfg.Instance, Cluster: cfg.Cluster, Version: telemetry.Version(), StartedAt: timestamppb.Now(),
	}
	if s.self.GetInstance() == "" {
		// Without a name it is only harder to tell apart.
		s.self.Instance, _ = os.Hostname()
	}
	s.server = rpc.NewServer(cfg.RPC, rpc.ServerDeps{
		Log: deps.Log, TLS: s.deps.TLS, Ready: s.Ready, Listener: deps.Listener, Register: s.register, Rules: rules(),
	})
	s.ops = opsport.New(cfg.Ops, opsport.Deps{Log: deps.Log, Metrics: s.telemetry.Handler(), Ready: s.Ready, Status: s.statusPage})
	return s, nil
}

func rules() []rpc.Rule {
	parts := []rpc.Identity{"aggregator", "processor", "apidiscovery"}
	return []rpc.Rule{
		{Method: cloudsyncv1.JournalService_Commit_FullMethodName, Allow: []rpc.Identity{"processor"}},
		{Method: cloudsyncv1.JournalService_ListAttacks_FullMethodName, Allow: []rpc.Identity{"operator"}},
		{Method: cloudsyncv1.InventoryService_PushDeltas_FullMethodName, Allow: []rpc.Identity{"apidiscovery"}},
		{Method: cloudsyncv1.StatusService_Report_FullMethodName, Allow: append([]rpc.Identity{"agent", "console"}, parts...)},
		{Method: cloudsyncv1.StatusService_ListStatus_FullMethodName, Allow: []rpc.Identity{"operator"}},
		{Method: cloudsyncv1.PolicyService_Watch_FullMethodName, Allow: append([]rpc.Identity{"agent"}, parts...)},
	}
}

func (s *Service) register(g *grpc.Server) {
	records := journal.NewService(s.open)
	cloudsyncv1.RegisterJournalServiceServer(g, records)
	cloudsyncv1.RegisterInventoryServiceServer(g, records)
	cloudsyncv1.RegisterStatusServiceServer(g, status.NewService(s.statuses, s.agents, s.losses))
	cloudsyncv1.RegisterPolicyServiceServer(g, s.policy)
}

func (s *Service) open() (*journal.Journal, error) {
	if j := s.journal.Load(); j != nil {
		return j, nil
	}
	return nil, journal.ErrClosed
}

// Run keeps the journal until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	defer func() { _ = s.telemetry.Shutdown(context.WithoutCancel(ctx)) }()
	j, err := journal.Open(journal.Config{
		Dir: s.cfg.DataDir, Cluster: s.cfg.Cluster, Retention: s.cfg.Retention.Duration(), MaxSize: int64(s.cfg.MaxSize),
	}, journal.Deps{Log: s.deps.Log, Losses: s.losses})
	if err != nil {
		return err
	}
	s.journal.Store(j)
	outbound, err := s.prepare(j)
	if err != nil {
		return errors.Join(err, j.Close())
	}
	defer outbound.close()
	// The journal outlives the port and the tracker, so that calls under way get their answers and the last words are kept.
	writing, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var users sync.WaitGroup
	using := func(run func(context.Context) error) func(context.Context) error {
		users.Add(1)
		return func(ctx context.Context) error { defer users.Done(); return run(ctx) }
	}
	tasks := []app.Task{
		{Name: "rpc", Run: using(s.server.Run)},
		{Name: "agents", Run: using(s.agents.Run)},
		{Name: "journal", Run: func(context.Context) error { return j.Run(writing) }},
		{Name: "stop", Run: func(ctx context.Context) error { <-ctx.Done(); s.policy.Stop(); users.Wait(); stop(); return nil }},
		{Name: "status", Run: func(ctx context.Context) error { return s.statuses.ReportSelf(ctx, s.now) }},
		{Name: "ops", Run: s.ops.Run},
	}
	if s.ownTLS {
		tasks = append(tasks, app.Task{Name: "tls", Run: s.deps.TLS.Run})
	}
	if err := app.Run(ctx, append(tasks, outbound.tasks...)...); err != nil {
		return fmt.Errorf("cloudsync: %w", err)
	}
	return nil
}

// Ready says why nothing can be committed. A console that is away is no reason.
func (s *Service) Ready() error {
	j := s.journal.Load()
	if j == nil {
		return errors.New("the journal is not open yet")
	}
	return errors.Join(j.Ready(), s.server.Ready())
}

// Addr is the address that the service really listens on.
func (s *Service) Addr() string { return s.server.Addr() }

// OpsAddr is the address of the operators' port.
func (s *Service) OpsAddr() string { return s.ops.Addr() }
