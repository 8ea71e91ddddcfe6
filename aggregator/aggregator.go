// Package aggregator takes exchanges from all agents, says who the client was, and hands them to the processor; the live
// tail reads from it.
package aggregator

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

	aggregatorv1 "github.com/sidelight/sidelight/proto/gen/sidelight/aggregator/v1"
	cloudsyncv1 "github.com/sidelight/sidelight/proto/gen/sidelight/cloudsync/v1"
	processorv1 "github.com/sidelight/sidelight/proto/gen/sidelight/processor/v1"
	statusv1 "github.com/sidelight/sidelight/proto/gen/sidelight/status/v1"

	"github.com/sidelight/sidelight/internal/app"
	"github.com/sidelight/sidelight/internal/losses"
	"github.com/sidelight/sidelight/internal/opsport"
	"github.com/sidelight/sidelight/internal/policy"
	"github.com/sidelight/sidelight/internal/rpc"
	"github.com/sidelight/sidelight/internal/telemetry"
	"github.com/sidelight/sidelight/internal/tlsreload"

	"github.com/sidelight/sidelight/aggregator/internal/clientaddr"
	"github.com/sidelight/sidelight/aggregator/internal/ingest"
	"github.com/sidelight/sidelight/aggregator/internal/route"
	"github.com/sidelight/sidelight/aggregator/internal/status"
	"github.com/sidelight/sidelight/aggregator/internal/tail"
)

// Deps is what the service works with.
type Deps struct {
	Log *slog.Logger
	// Listener is optional, already bound, and used instead of Config.RPC.Listen.
	Listener net.Listener
	// TLS is optional; else it is made from Config.TLS. Whoever makes it runs it.
	TLS *tlsreload.Source
}

// Service is the aggregator.
type Service struct {
	cfg       Config
	deps      Deps
	ownTLS    bool
	telemetry *telemetry.Provider
	losses    *losses.Losses
	server    *rpc.Server
	ops       *opsport.Server
	ingest    *ingest.Service
	router    *route.Router
	clients   *clientaddr.Resolver
	hub       *tail.Hub
	recall    *tail.Recall
	policy    *policy.Watcher
	status    *status.Status
	conns     []*grpc.ClientConn
}

// New makes a service that does nothing until Run.
func New(cfg Config, deps Deps) (*Service, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	s := &Service{cfg: cfg, deps: deps, ownTLS: deps.TLS == nil, hub: tail.NewHub(), recall: tail.NewRecall()}
	var err error
	if s.telemetry, err = telemetry.New("aggregator", telemetry.Version()); err != nil {
		return nil, fmt.Errorf("starting telemetry: %w", err)
	}
	if s.ownTLS {
		if err := cfg.TLS.Validate(); err != nil {
			return nil, err
		}
		s.deps.TLS = tlsreload.New(cfg.TLS, tlsreload.Deps{Log: deps.Log, Meter: s.telemetry.Meter()})
	}
	s.losses = losses.NewLosses(s.telemetry.Meter(), "aggregator")
	if err := s.connect(); err != nil {
		return nil, err
	}
	export(s.telemetry.Meter(), s.counters())
	s.server = rpc.NewServer(cfg.RPC, rpc.ServerDeps{
		Log: deps.Log, TLS: s.deps.TLS, Ready: s.Ready, Listener: deps.Listener,
		Register: func(g *grpc.Server) {
			aggregatorv1.RegisterMirrorServiceServer(g, s.ingest)
			aggregatorv1.RegisterTailServiceServer(g, tail.NewService(s.hub, s.losses))
		},
		Rules: []rpc.Rule{
			{Method: aggregatorv1.MirrorService_Mirror_FullMethodName, Allow: []rpc.Identity{"agent"}},
			{Method: aggregatorv1.TailService_Tail_FullMethodName, Allow: []rpc.Identity{"operator"}},
		},
	})
	s.ops = opsport.New(cfg.Ops, opsport.Deps{
		Log: deps.Log, Metrics: s.telemetry.Handler(), Ready: s.Ready, Status: func() any { return s.status.Now() },
	})
	return s, nil
}

// connect makes the clients, which connect when they are first used, and what works with them.
func (s *Service) connect() error {
	// The router tries again by itself, and finds out sooner what to try when no call is repeated below it.
	processor, err := rpc.Dial(s.cfg.Processor, rpc.ClientDeps{
		TLS: s.deps.TLS, Server: "processor", Extra: []grpc.DialOption{grpc.WithDisableRetry()},
	})
	if err != nil {
		return fmt.Errorf("processor.address: %w", err)
	}
	s.conns = append(s.conns, processor)
	cloudsync, err := rpc.Dial(s.cfg.Cloudsync, rpc.ClientDeps{TLS: s.deps.TLS, Server: "cloudsync"})
	if err != nil {
		return errors.Join(fmt.Errorf("cloudsync.address: %w", err), processor.Close())
	}
	s.conns = append(s.conns, cloudsync)
	s.router = route.New(route.Deps{
		Processor: processorv1.NewInspectServiceClient(processor), Judged: s.show, Log: s.deps.Log, Losses: s.losses,
	})
	if s.clients, err = clientaddr.New(s.cfg.TrustedProxies, s.cfg.ForwardedHeaders); err != nil {
		return fmt.Errorf("forwarded_headers: %w", err)
	}
	s.policy = policy.NewWatcher(policy.WatcherDeps{
		Client: cloudsyncv1.NewPolicyServiceClient(cloudsync), Part: "aggregator", Apply: s.obey, Log: s.deps.Log,
	})
	agents := status.NewAgents(s.cfg.Cluster, s.losses)
	s.ingest = ingest.New(ingest.Config{Cluster: s.cfg.Cluster, MaxPendingBytes: int64(s.cfg.MaxPendingBytes)}, ingest.Deps{
		Router: s.router, Clients: s.clients, Agents: agents, Log: s.deps.Log, Losses: s.losses,
	})
	s.status = status.New(agents, status.Deps{
		Cloudsync: cloudsyncv1.NewStatusServiceClient(cloudsync), Self: s.self(), Ready: s.Ready, Losses: s.losses, Log: s.deps.Log,
		Policy: s.policy.State, Counters: func() []*statusv1.Counter { return snapshot(s.counters()) },
	})
	return nil
}

func (s *Service) self() *statusv1.PartStatus {
	instance := s.cfg.Instance
	if instance == "" {
		// Without a name the replica is only harder to tell apart.
		instance, _ = os.Hostname()
	}
	return &statusv1.PartStatus{
		Part: "aggregator", Instance: instance, Cluster: s.cfg.Cluster, Version: telemetry.Version(), StartedAt: timestamppb.Now(),
	}
}

// Run serves until ctx ends, then lets the streams have the answers to what was read.
func (s *Service) Run(ctx context.Context) error {
	defer s.close()
	// The router outlives the port: streams wait for it while they drain. So does the status: it tells that they ended.
	routing, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	tasks := []app.Task{
		{Name: "rpc", Run: func(ctx context.Context) error { defer stop(); return s.server.Run(ctx) }},
		{Name: "route", Run: func(context.Context) error { return s.router.Run(routing) }},
		{Name: "drain", Run: func(ctx context.Context) error { <-ctx.Done(); s.ingest.Stop(); s.hub.Stop(); return nil }},
		{Name: "ops", Run: s.ops.Run},
		{Name: "status", Run: func(context.Context) error { return s.status.Run(routing) }},
		{Name: "policy", Run: s.policy.Run},
	}
	if s.ownTLS {
		tasks = append(tasks, app.Task{Name: "tls", Run: s.deps.TLS.Run})
	}
	if err := app.Run(ctx, tasks...); err != nil {
		return fmt.Errorf("aggregator: %w", err)
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

// show gives summaries to whoever watches, with what was found out about their exchanges before.
func (s *Service) show(list []*processorv1.Summary) {
	list = s.recall.Complete(list)
	s.hub.Publish(list)
}

// Ready says why the service cannot take exchanges.
func (s *Service) Ready() error { return s.server.Ready() }

// Addr is the address that the service really listens on.
func (s *Service) Addr() string { return s.server.Addr() }

// OpsAddr is the address of the operators' port.
func (s *Service) OpsAddr() string { return s.ops.Addr() }
