// Package apidiscovery finds the API in the traffic: it takes observations, keeps the inventory in Postgres, and hands
// changed endpoints on.
package apidiscovery

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"

	apidiscoveryv1 "github.com/sidelight/sidelight/proto/gen/sidelight/apidiscovery/v1"

	"github.com/sidelight/sidelight/apidiscovery/internal/api"
	"github.com/sidelight/sidelight/apidiscovery/internal/inventory"
	"github.com/sidelight/sidelight/apidiscovery/internal/push"
	"github.com/sidelight/sidelight/apidiscovery/internal/store"
	"github.com/sidelight/sidelight/internal/app"
	"github.com/sidelight/sidelight/internal/losses"
	"github.com/sidelight/sidelight/internal/opsport"
	"github.com/sidelight/sidelight/internal/rpc"
	"github.com/sidelight/sidelight/internal/telemetry"
	"github.com/sidelight/sidelight/internal/tlsreload"
)

// Deps is what the service works with.
type Deps struct {
	Log *slog.Logger
	// Listener is optional, already bound, and used instead of Config.RPC.Listen.
	Listener net.Listener
	// TLS is optional; else it is made from Config.TLS. Whoever makes it runs it.
	TLS *tlsreload.Source
}

// Service is apidiscovery.
type Service struct {
	cfg       Config
	deps      Deps
	ownTLS    bool
	instance  string
	started   time.Time
	telemetry *telemetry.Provider
	losses    *losses.Losses
	inventory *inventory.Inventory
	server    *rpc.Server
	ops       *opsport.Server
	cloudsync *grpc.ClientConn

	// opened is nil until the database was reached and the inventory loaded; waiting says why not yet.
	opened  atomic.Pointer[opened]
	waiting atomic.Pointer[error]
	// closing ends the observation streams.
	closing chan struct{}
	close   func()
}

var errStarting = errors.New("the inventory is not loaded yet")

// New makes a service that does nothing until Run.
func New(cfg Config, deps Deps) (*Service, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	s := &Service{cfg: cfg, deps: deps, ownTLS: deps.TLS == nil, instance: cfg.Instance, started: time.Now()}
	if s.instance == "" {
		// Without a name a restart does not find its last life.
		s.instance, _ = os.Hostname()
	}
	var err error
	if s.telemetry, err = telemetry.New("apidiscovery", telemetry.Version()); err != nil {
		return nil, fmt.Errorf("starting telemetry: %w", err)
	}
	meter := s.telemetry.Meter()
	if s.ownTLS {
		if err := cfg.TLS.Validate(); err != nil {
			return nil, err
		}
		s.deps.TLS = tlsreload.New(cfg.TLS, tlsreload.Deps{Log: deps.Log, Meter: meter})
	}
	s.losses = losses.NewLosses(meter, "apidiscovery")
	s.inventory = inventory.New(cfg.limits(), s.losses, time.Now)
	s.closing = make(chan struct{})
	s.close = sync.OnceFunc(func() { close(s.closing) })
	s.measure(meter)
	if cfg.CloudSync.Address != "" {
		if s.cloudsync, err = rpc.Dial(cfg.CloudSync, rpc.ClientDeps{TLS: s.deps.TLS, Server: "cloudsync"}); err != nil {
			return nil, fmt.Errorf("cloudsync.address: %w", err)
		}
	}
	s.server = rpc.NewServer(cfg.RPC, rpc.ServerDeps{
		Log: deps.Log, TLS: s.deps.TLS, Ready: s.Ready, Listener: deps.Listener, Register: s.register,
		Rules: []rpc.Rule{
			{Method: apidiscoveryv1.ObservationService_Observe_FullMethodName, Allow: []rpc.Identity{"processor"}},
			{Method: "/" + apidiscoveryv1.InventoryService_ServiceDesc.ServiceName + "/", Allow: []rpc.Identity{"operator"}},
		},
	})
	s.ops = opsport.New(cfg.Ops, opsport.Deps{
		Log: deps.Log, Metrics: s.telemetry.Handler(), Ready: s.Ready, Status: func() any { return s.status() },
	})
	return s, nil
}

func (c Config) limits() inventory.Limits {
	limits := inventory.DefaultLimits()
	limits.Requests, limits.Parameters = uint64(c.Admission.Requests), c.Limits.Parameters
	limits.Hosts, limits.HostsPerService, limits.Endpoints = c.Limits.Hosts, c.Limits.HostsPerService, c.Limits.Endpoints
	limits.Tree.Nodes, limits.Exchanges.Most = c.Limits.Paths, c.Limits.Exchanges
	return limits
}

func (s *Service) register(g *grpc.Server) {
	apidiscoveryv1.RegisterObservationServiceServer(g, api.NewObservations(s.closing, s.inventory, s.loaded, s.cfg.FlushEvery.Duration()))
	apidiscoveryv1.RegisterInventoryServiceServer(g, api.NewInventory(s.store, s.deps.Log))
}

// Run serves until ctx ends. What was counted is written before it returns.
func (s *Service) Run(ctx context.Context) error {
	defer s.end()
	tasks := []app.Task{{Name: "rpc", Run: s.server.Run}, {Name: "ops", Run: s.ops.Run}}
	if s.ownTLS {
		tasks = append(tasks, app.Task{Name: "tls", Run: s.deps.TLS.Run})
	}
	if s.cloudsync != nil {
		tasks = append(tasks, app.Task{Name: "status", Run: push.NewStatus(s.cloudsync, s.status, s.deps.Log).Run})
	}
	// The database's work outlives the port, and so writes what the last calls brought.
	keeping, stopKeeping := context.WithCancel(context.WithoutCancel(ctx))
	defer stopKeeping()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(ctx, s.close)()
	kept := make(chan error, 1)
	go func() {
		defer cancel()
		kept <- app.Run(keeping, app.Task{Name: "database", Run: s.keep})
	}()
	err := app.Run(ctx, tasks...)
	stopKeeping()
	if err = errors.Join(err, <-kept); err != nil {
		return fmt.Errorf("apidiscovery: %w", err)
	}
	return nil
}

func (s *Service) end() {
	s.close()
	if s.cloudsync != nil {
		// A connection that cannot be closed any more is closed.
		_ = s.cloudsync.Close()
	}
	_ = s.telemetry.Shutdown(context.Background())
}

// loaded says why observations cannot be counted.
func (s *Service) loaded() error {
	if s.opened.Load() != nil {
		return nil
	}
	if waiting := s.waiting.Load(); waiting != nil && *waiting != nil {
		return fmt.Errorf("waiting for Postgres: %w", *waiting)
	}
	return errStarting
}

func (s *Service) store() (*store.Store, error) {
	if err := s.loaded(); err != nil {
		return nil, err
	}
	return s.opened.Load().store, nil
}

// Ready says why the service cannot take observations. Once it could, it can: while Postgres is away it counts in memory.
func (s *Service) Ready() error { return errors.Join(s.loaded(), s.server.Ready()) }

// Addr is the address that the service really listens on.
func (s *Service) Addr() string { return s.server.Addr() }

// OpsAddr is the address of the operators' port.
func (s *Service) OpsAddr() string { return s.ops.Addr() }
