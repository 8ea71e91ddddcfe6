// Package serve runs an HTTPS listener: TLS without client certificates, HTTP/1.1 and HTTP/2, bounded in time.
package serve

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

const (
	maxHeader = 64 << 10
	grace     = 5 * time.Second
)

// Config says where to listen and with what certificate.
type Config struct {
	Listen string `yaml:"listen"`
	Cert   string `yaml:"cert"`
	Key    string `yaml:"key"`
}

// Deps is what a server needs; Listener, already bound, is used instead of Config.Listen.
type Deps struct {
	Log      *slog.Logger
	Handler  http.Handler
	Listener net.Listener
}

// Server is one listener.
type Server struct {
	cfg  Config
	deps Deps
	pair *pair

	mu   sync.Mutex
	addr string
}

// New makes a server that listens when Run is called.
func New(cfg Config, deps Deps) *Server {
	return &Server{cfg: cfg, deps: deps, pair: &pair{certFile: cfg.Cert, keyFile: cfg.Key, log: deps.Log, now: time.Now}}
}

// Addr gives the address that it listens on, "" before it does.
func (s *Server) Addr() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.addr
}

// Ready says whether it listens and has a certificate.
func (s *Server) Ready() error {
	if s.Addr() == "" {
		return errors.New("not listening yet")
	}
	_, err := s.pair.get()
	return err
}

// Run serves until ctx ends, then lets running calls end for a moment.
func (s *Server) Run(ctx context.Context) error {
	l := s.deps.Listener
	if l == nil {
		var err error
		if l, err = (&net.ListenConfig{}).Listen(ctx, "tcp", s.cfg.Listen); err != nil {
			return fmt.Errorf("listening on %s: %w", s.cfg.Listen, err)
		}
	}
	s.mu.Lock()
	s.addr = l.Addr().String()
	s.mu.Unlock()
	srv := &http.Server{
		Handler:           s.deps.Handler,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    maxHeader,
		// Scanners and closed laptops fill this log; nobody can act on it.
		ErrorLog: slog.NewLogLogger(s.deps.Log.Handler(), slog.LevelDebug),
		TLSConfig: &tls.Config{
			MinVersion:     tls.VersionTLS13,
			GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return s.pair.get() },
		},
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: 100,
			SendPingTimeout:      30 * time.Second,
			PingTimeout:          15 * time.Second,
			WriteByteTimeout:     30 * time.Second,
		},
	}
	failed := make(chan error, 1)
	go func() { failed <- srv.ServeTLS(l, "", "") }()
	select {
	case err := <-failed:
		return fmt.Errorf("serving on %s: %w", s.Addr(), err)
	case <-ctx.Done():
	}
	late, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	if err := srv.Shutdown(late); err != nil {
		_ = srv.Close()
	}
	if err := <-failed; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("stopping on %s: %w", s.Addr(), err)
	}
	return nil
}
