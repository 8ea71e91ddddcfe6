// Package cloudsync keeps the attack record of its cluster, with or without a console, and is the only part that speaks to
// the outside.
package cloudsync

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/sidelight/sidelight/cloudsync/internal/journal"
	"github.com/sidelight/sidelight/cloudsync/internal/status"
	"github.com/sidelight/sidelight/cloudsync/internal/upload"
	"github.com/sidelight/sidelight/internal/app"
	"github.com/sidelight/sidelight/internal/opsport"
	"github.com/sidelight/sidelight/internal/rpc"
	"github.com/sidelight/sidelight/internal/telemetry"
	"github.com/sidelight/sidelight/internal/tlsreload"
	cloudsyncv1 "github.com/sidelight/sidelight/proto/gen/sidelight/cloudsync/v1"
	statusv1 "github.com/sidelight/sidelight/proto/gen/sidelight/status/v1"
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
	server    *rpc.Server
	ops       *opsport.Server
	statuses  *status.Board
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
	meters, err := telemetry.New("cloudsync", telemetry.Version())
	if err != nil {
		return nil, err
	}
	s := &Service{cfg: cfg, deps: deps, ownTLS: deps.TLS == nil, telemetry: meters, statuses: status.NewBoard()}
	if s.ownTLS {
		if err := cfg.TLS.Validate(); err != nil {
			return nil, err
		}
		s.deps.TLS = tlsreload.New(cfg.TLS, tlsreload.Deps{Log: deps.Log, Meter: meters.Meter()})
	}
	// Without a name the replica is only harder to tell apart.
	host, _ := os.Hostname()
	s.self = &statusv1.PartStatus{Part: "cloudsync", Instance: host, Cluster: cfg.Cluster, Version: telemetry.Version(), StartedAt: timestamppb.Now()}
	s.server = rpc.NewServer(cfg.RPC, rpc.ServerDeps{
		Log: deps.Log, TLS: s.deps.TLS, Ready: s.Ready, Listener: deps.Listener, Register: s.register, Rules: rules(),
	})
	s.ops = opsport.New(cfg.Ops, opsport.Deps{Log: deps.Log, Metrics: meters.Handler(), Ready: s.Ready, Status: func() any { return s.statuses.All() }})
	return s, nil
}

func rules() []rpc.Rule {
	parts := []rpc.Identity{"aggregator", "processor", "apidiscovery"}
	return []rpc.Rule{
		{Method: cloudsyncv1.JournalService_Commit_FullMethodName, Allow: []rpc.Identity{"processor"}},
		{Method: cloudsyncv1.JournalService_ListAttacks_FullMethodName, Allow: []rpc.Identity{"operator"}},
		{Method: cloudsyncv1.InventoryService_PushDeltas_FullMethodName, Allow: []rpc.Identity{"apidiscovery"}},
		{Method: cloudsyncv1.StatusService_Report_FullMethodName, Allow: parts},
		{Method: cloudsyncv1.PolicyService_Watch_FullMethodName, Allow: parts},
	}
}

func (s *Service) register(g *grpc.Server) {
	h := &handler{journal: &s.journal, statuses: s.statuses}
	cloudsyncv1.RegisterJournalServiceServer(g, h)
	cloudsyncv1.RegisterInventoryServiceServer(g, h)
	cloudsyncv1.RegisterStatusServiceServer(g, h)
	cloudsyncv1.RegisterPolicyServiceServer(g, h)
}

// Run keeps the journal until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	if err := os.MkdirAll(s.cfg.DataDir, 0o700); err != nil {
		return fmt.Errorf("making the journal's directory: %w (set data_dir)", err)
	}
	j, err := journal.Open(s.cfg.DataDir, s.cfg.Cluster)
	if err != nil {
		return err
	}
	s.journal.Store(j)
	tasks := []app.Task{
		{Name: "rpc", Run: s.server.Run}, {Name: "ops", Run: s.ops.Run},
		{Name: "status", Run: func(ctx context.Context) error { return s.statuses.ReportSelf(ctx, s.status) }},
	}
	if s.ownTLS {
		tasks = append(tasks, app.Task{Name: "certificates", Run: s.deps.TLS.Run})
	}
	closeConn := func() error { return nil }
	if s.cfg.Console.Address != "" {
		conn, err := s.dial()
		if err != nil {
			return errors.Join(err, j.Close())
		}
		closeConn = conn.Close
		u := upload.New(upload.Config{Dir: s.cfg.DataDir, Token: s.cfg.Console.Token, Cluster: s.cfg.Cluster, Version: telemetry.Version()},
			upload.Deps{Log: s.deps.Log, Conn: conn, Journal: j, Statuses: s.statuses.All, Reported: s.statuses.Reported()})
		s.uploader.Store(u)
		tasks = append(tasks, app.Task{Name: "upload", Run: u.Run})
	}
	err = app.Run(ctx, tasks...)
	s.journal.Store(nil)
	return errors.Join(err, closeConn(), j.Close(), s.telemetry.Shutdown(context.WithoutCancel(ctx)))
}

// dial makes the outbound connection: the console shows a certificate, this side a token.
func (s *Service) dial() (*grpc.ClientConn, error) {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: s.cfg.Console.ServerName}
	if s.cfg.Console.CA != "" {
		pem, err := os.ReadFile(s.cfg.Console.CA)
		if err != nil {
			return nil, fmt.Errorf("reading console.ca: %w", err)
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("console.ca %s holds no certificate", s.cfg.Console.CA)
		}
	}
	conn, err := grpc.NewClient(s.cfg.Console.Address, grpc.WithTransportCredentials(credentials.NewTLS(cfg)))
	if err != nil {
		return nil, fmt.Errorf("connecting to the console at %s: %w", s.cfg.Console.Address, err)
	}
	return conn, nil
}

// Ready says why nothing can be committed. A console that is away is no reason.
func (s *Service) Ready() error {
	if s.journal.Load() == nil {
		return errors.New("the journal is not open yet")
	}
	return s.server.Ready()
}

// Addr gives the address that it really listens on, "" before it does.
func (s *Service) Addr() string { return s.server.Addr() }

func (s *Service) status() *statusv1.PartStatus {
	now := &statusv1.PartStatus{
		Part: s.self.GetPart(), Instance: s.self.GetInstance(), Cluster: s.self.GetCluster(), Version: s.self.GetVersion(), StartedAt: s.self.GetStartedAt(),
		ReportedAt: timestamppb.Now(), Ready: true,
	}
	if err := s.Ready(); err != nil {
		now.Ready, now.NotReadyBecause = false, err.Error()
	} else if u := s.uploader.Load(); u != nil && u.State() != "ok" {
		now.NotReadyBecause = u.State()
	}
	return now
}
