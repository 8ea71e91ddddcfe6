package processor

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

	cloudsyncv1 "github.com/sidelight/sidelight/proto/gen/sidelight/cloudsync/v1"
	processorv1 "github.com/sidelight/sidelight/proto/gen/sidelight/processor/v1"
	statusv1 "github.com/sidelight/sidelight/proto/gen/sidelight/status/v1"

	"github.com/sidelight/sidelight/internal/app"
	"github.com/sidelight/sidelight/internal/logkey"
	"github.com/sidelight/sidelight/internal/losses"
	"github.com/sidelight/sidelight/internal/opsport"
	"github.com/sidelight/sidelight/internal/policy"
	"github.com/sidelight/sidelight/internal/rpc"
	"github.com/sidelight/sidelight/internal/telemetry"
	"github.com/sidelight/sidelight/internal/tlsreload"

	"github.com/sidelight/sidelight/processor/internal/behaviour"
	"github.com/sidelight/sidelight/processor/internal/report"
)

// Deps is what the service works with.
type Deps struct {
	Log *slog.Logger
	// Listener is optional, already bound, and used instead of Config.RPC.Listen.
	Listener net.Listener
	// TLS is optional; else it is made from Config.TLS. Whoever makes it runs it.
	TLS *tlsreload.Source
	// Inspector is optional; else Run compiles one from Config.Inspect.
	Inspector *Inspector
}

// Service is the processor.
type Service struct {
	cfg       Config
	deps      Deps
	ownTLS    bool
	telemetry *telemetry.Provider
	counters  *report.Counters
	losses    *losses.Losses
	server    *rpc.Server
	ops       *opsport.Server
	handler   *handler
	observer  *report.Observer
	gate      *report.Gate
	tracker   *behaviour.Tracker
	facts     *report.Facts
	keeper    *report.Keeper
	watcher   *policy.Watcher
	status    *report.Status
	conns     []*grpc.ClientConn
	compiled  atomic.Bool
}

// New makes a service that does nothing until Run.
func New(cfg Config, deps Deps) (*Service, error) {
	s := &Service{cfg: cfg, deps: deps, ownTLS: deps.TLS == nil}
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	var err error
	if s.telemetry, err = telemetry.New("processor", telemetry.Version()); err != nil {
		return nil, fmt.Errorf("starting telemetry: %w", err)
	}
	meter := s.telemetry.Meter()
	if s.ownTLS {
		if err := cfg.TLS.Validate(); err != nil {
			return nil, err
		}
		s.deps.TLS = tlsreload.New(cfg.TLS, tlsreload.Deps{Log: deps.Log, Meter: meter})
	}
	s.counters, s.losses = report.NewCounters(meter), losses.NewLosses(meter, "processor")
	if err := s.connect(); err != nil {
		return nil, err
	}
	s.server = rpc.NewServer(cfg.RPC, rpc.ServerDeps{
		Log: deps.Log, TLS: s.deps.TLS, Ready: s.Ready, Listener: deps.Listener, Register: s.register,
		Rules: []rpc.Rule{
			{Method: processorv1.InspectService_Inspect_FullMethodName, Allow: []rpc.Identity{"aggregator"}},
			{Method: processorv1.BehaviourService_Track_FullMethodName, Allow: []rpc.Identity{"processor"}},
		},
	})
	s.ops = opsport.New(cfg.Ops, opsport.Deps{
		Log: deps.Log, Metrics: s.telemetry.Handler(), Ready: s.Ready, Status: func() any { return s.status.Now() },
	})
	return s, nil
}

// connect makes the clients; they connect when they are first used.
func (s *Service) connect() error {
	journal, err := rpc.Dial(s.cfg.CloudSync, rpc.ClientDeps{TLS: s.deps.TLS, Server: "cloudsync"})
	if err != nil {
		return fmt.Errorf("cloudsync.address: %w", err)
	}
	inventory, err := rpc.Dial(s.cfg.APIDiscovery, rpc.ClientDeps{TLS: s.deps.TLS, Server: "apidiscovery"})
	if err != nil {
		return fmt.Errorf("apidiscovery.address: %w", err)
	}
	s.conns = []*grpc.ClientConn{journal, inventory}
	if err := s.behave(journal); err != nil {
		return err
	}
	s.observer = report.NewObserver(inventory, s.cfg.Observations.Items, int64(s.cfg.Observations.Bytes), s.counters, s.losses, s.deps.Log)
	s.gate = report.NewGate(journal, s.cfg.CommitTimeout.Duration(), s.deps.Log)
	s.handler = newHandler(journal, s.gate, s.cfg.CommitTimeout.Duration(), s.cfg.BatchTime.Duration(), s.observer, s.facts, s.counters, s.losses)
	s.watcher = policy.NewWatcher(policy.WatcherDeps{
		Client: cloudsyncv1.NewPolicyServiceClient(journal), Part: "processor", Apply: s.obey, Log: s.deps.Log,
	})
	s.status = report.NewStatus(journal, s.self(), s.Ready, s.more, s.counters, s.losses, s.deps.Log)
	return nil
}

// behave makes what follows clients over time.
func (s *Service) behave(journal *grpc.ClientConn) error {
	cfg := s.cfg.Behaviour
	s.keeper = report.NewKeeper(journal, s.cfg.CommitTimeout.Duration(), s.counters, s.losses, s.deps.Log)
	s.tracker = behaviour.NewTracker(cfg.Config, s.losses, s.keeper.Push)
	var peers grpc.ClientConnInterface
	if cfg.Peers.Address != "" {
		conn, err := rpc.Dial(cfg.Peers, rpc.ClientDeps{TLS: s.deps.TLS, Server: "processor", HashHeader: report.OwnerHeader})
		if err != nil {
			return fmt.Errorf("behaviour.peers.address: %w", err)
		}
		s.conns, peers = append(s.conns, conn), conn
	}
	s.facts = report.NewFacts(s.tracker, peers, cfg.Facts.Items, int64(cfg.Facts.Bytes), s.losses, s.deps.Log)
	return nil
}

// obey puts a policy in force: calls under way end with the old one.
func (s *Service) obey(p policy.Policy) error {
	next, err := s.deps.Inspector.With(p)
	if err != nil {
		return err
	}
	s.handler.inspector.Store(next)
	return nil
}

// more says in the status what the packages besides know.
func (s *Service) more(p *statusv1.PartStatus) {
	p.PolicySequence, p.PolicyRefusedBecause = s.watcher.State()
	p.Counters = append(p.Counters,
		&statusv1.Counter{Name: "facts", Value: s.tracker.Facts.Load()},
		&statusv1.Counter{Name: "fact_duplicates", Value: s.tracker.Duplicates.Load()},
	)
	if since := s.tracker.Since(); !since.IsZero() {
		// Seconds since 1970: what clients did before is not known.
		p.Counters = append(p.Counters, &statusv1.Counter{Name: "behaviour_windows_since", Value: since.Unix()})
	}
}

func (s *Service) self() *statusv1.PartStatus {
	instance := s.cfg.Instance
	if instance == "" {
		// Without a name the replica is only harder to tell apart.
		instance, _ = os.Hostname()
	}
	return &statusv1.PartStatus{
		Part: "processor", Instance: instance, Cluster: s.cfg.Cluster, Version: telemetry.Version(), StartedAt: timestamppb.Now(),
	}
}

func (s *Service) register(g *grpc.Server) {
	processorv1.RegisterInspectServiceServer(g, s.handler)
	processorv1.RegisterBehaviourServiceServer(g, &owner{tracker: s.tracker})
}

// Run compiles the rules and serves until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	defer s.close()
	if s.deps.Inspector == nil {
		i, err := NewInspector(s.cfg.Inspect)
		if err != nil {
			return err
		}
		s.deps.Inspector = i
		s.deps.Log.Info("rules are compiled", logkey.Duration, i.BuildTime())
	}
	s.handler.inspector.Store(s.deps.Inspector)
	s.tracker.Start()
	s.compiled.Store(true)
	tasks := []app.Task{
		{Name: "rpc", Run: s.server.Run}, {Name: "ops", Run: s.ops.Run},
		{Name: "observations", Run: s.observer.Run}, {Name: "journal", Run: s.gate.Run}, {Name: "status", Run: s.status.Run},
		{Name: "facts", Run: s.facts.Run}, {Name: "behaviour hits", Run: s.keeper.Run}, {Name: "policy", Run: s.watcher.Run},
	}
	if s.ownTLS {
		tasks = append(tasks, app.Task{Name: "tls", Run: s.deps.TLS.Run})
	}
	if err := app.Run(ctx, tasks...); err != nil {
		return fmt.Errorf("processor: %w", err)
	}
	return nil
}

func (s *Service) close() {
	for _, c := range s.conns {
		// A connection that cannot be closed any more is closed.
		_ = c.Close()
	}
	_ = s.telemetry.Shutdown(context.WithoutCancel(context.Background()))
}

// Ready says why the service cannot judge.
func (s *Service) Ready() error {
	if !s.compiled.Load() {
		return errNotCompiled
	}
	return s.server.Ready()
}

// Addr is the address that the service really listens on.
func (s *Service) Addr() string { return s.server.Addr() }

// OpsAddr is the address of the operators' port.
func (s *Service) OpsAddr() string { return s.ops.Addr() }
