// Package rpc builds gRPC servers and clients as every link of Sidelight needs them: mutual TLS, an allow-list per RPC,
// health and reflection, connections that are renewed so that load spreads.
package rpc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"

	"github.com/sidelight/sidelight/internal/config"
	"github.com/sidelight/sidelight/internal/logkey"
	"github.com/sidelight/sidelight/internal/tlsreload"
)

// Identity is the name of a part: "agent", "aggregator", …, or "operator" for a person's tool.
type Identity = string

// ServerConfig is what a person may set of a server.
type ServerConfig struct {
	Listen string `yaml:"listen"`
	// MaxConnectionAge makes clients connect anew, so that they meet new replicas and new certificates.
	MaxConnectionAge config.Duration `yaml:"max_connection_age"`
	MaxMessage       config.ByteSize `yaml:"max_message"`
}

const (
	defaultMaxConnectionAge = 10 * time.Minute
	defaultMaxMessage       = 16 << 20
	connectionAgeGrace      = 30 * time.Second
	keepaliveEvery          = 30 * time.Second
	// grace bounds a graceful stop: peers send again what was not answered.
	grace = 5 * time.Second
	// readyPoll is how often the health service asks whether the part is ready.
	readyPoll = 500 * time.Millisecond
)

// ServerDeps is what a server works with.
type ServerDeps struct {
	Log *slog.Logger
	TLS *tlsreload.Source
	// Rules say who may call what. A method without a rule is refused.
	Rules []Rule
	// Ready feeds the health service; nil = always.
	Ready    func() error
	Register func(*grpc.Server)
	// Listener is optional, already bound, and used instead of Listen.
	Listener net.Listener
}

// Server is a gRPC server of one part.
type Server struct {
	cfg    ServerConfig
	deps   ServerDeps
	policy *policy
	addr   atomic.Pointer[string]
}

// NewServer makes a server that does nothing until Run.
func NewServer(cfg ServerConfig, deps ServerDeps) *Server {
	s := &Server{cfg: cfg, deps: deps, policy: newPolicy(deps.Rules, deps.Log)}
	if deps.Listener != nil {
		address := deps.Listener.Addr().String()
		s.addr.Store(&address)
	}
	return s
}

// Addr is the address that it really listens on, "" before it does.
func (s *Server) Addr() string {
	if addr := s.addr.Load(); addr != nil {
		return *addr
	}
	return ""
}

// Ready says why the server cannot take calls.
func (s *Server) Ready() error {
	if s.Addr() == "" {
		return errors.New("the RPC port is not open yet")
	}
	if err := s.deps.TLS.Ready(); err != nil {
		return fmt.Errorf("certificate: %w", err)
	}
	return nil
}

// Run serves until ctx ends, then lets calls under way finish for a few seconds.
func (s *Server) Run(ctx context.Context) error {
	listener := s.deps.Listener
	if listener == nil {
		var err error
		if listener, err = (&net.ListenConfig{}).Listen(ctx, "tcp", s.cfg.Listen); err != nil {
			return fmt.Errorf("RPC port: %w (set rpc.listen to a free address)", err)
		}
		address := listener.Addr().String()
		s.addr.Store(&address)
	}
	server := grpc.NewServer(s.options()...)
	s.deps.Register(server)
	status := health.NewServer()
	healthv1.RegisterHealthServer(server, status)
	reflection.Register(server)
	s.deps.Log.Info("RPC port is open", logkey.Address, listener.Addr().String())

	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	watchCtx, stopWatch := context.WithCancel(ctx)
	watched := make(chan struct{})
	go func() { defer close(watched); s.watchReady(watchCtx, status) }()
	defer func() { stopWatch(); <-watched }()
	select {
	case err := <-ended:
		return fmt.Errorf("RPC port: %w", err)
	case <-ctx.Done():
	}
	status.Shutdown()
	hard := time.AfterFunc(grace, server.Stop)
	server.GracefulStop()
	hard.Stop()
	// A server that was stopped ends without an error.
	return <-ended
}

func (s *Server) options() []grpc.ServerOption {
	age, message := s.cfg.MaxConnectionAge.Duration(), int(s.cfg.MaxMessage)
	if age == 0 {
		age = defaultMaxConnectionAge
	}
	if message == 0 {
		message = defaultMaxMessage
	}
	return []grpc.ServerOption{
		grpc.Creds(credentials.NewTLS(s.deps.TLS.Server())),
		grpc.ChainUnaryInterceptor(s.recoverUnary, s.policy.unary),
		grpc.ChainStreamInterceptor(s.recoverStream, s.policy.stream),
		grpc.MaxRecvMsgSize(message),
		// gRPC spreads the age by ± 10 % by itself.
		grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionAge: age, MaxConnectionAgeGrace: connectionAgeGrace, Time: keepaliveEvery}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: keepaliveEvery / 3, PermitWithoutStream: true}),
	}
}

// watchReady keeps the health service in step with the part.
func (s *Server) watchReady(ctx context.Context, status *health.Server) {
	ticker := time.NewTicker(readyPoll)
	defer ticker.Stop()
	for {
		state := healthv1.HealthCheckResponse_SERVING
		if s.deps.Ready != nil && s.deps.Ready() != nil {
			state = healthv1.HealthCheckResponse_NOT_SERVING
		}
		status.SetServingStatus("", state)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}
