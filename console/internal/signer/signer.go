// Package signer signs policy in a process of its own: the key is in that process alone, and the console, which faces the
// web, asks it over a local socket that nobody else may use. It signs no sequence twice, whoever asks.
package signer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"connectrpc.com/connect"

	"github.com/sidelight/sidelight/console/genconnect/sidelight/console/v1/consolev1connect"
)

const (
	// maxManifest is far over what a manifest can be; content is not sent here, only its digests.
	maxManifest = 64 << 10
	slowest     = 10 * time.Second
	grace       = 2 * time.Second
)

// Config says where the signer keeps its key, and whom it serves.
type Config struct {
	Socket  string
	DataDir string
	// AllowUID is the console's user; root is served too.
	AllowUID int
}

// Signer is the process's one server.
type Signer struct {
	cfg   Config
	log   *slog.Logger
	ready atomic.Bool
}

// New makes a signer that touches nothing until Run.
func New(cfg Config, log *slog.Logger) *Signer { return &Signer{cfg: cfg, log: log} }

// Ready says whether it serves.
func (s *Signer) Ready() error {
	if !s.ready.Load() {
		return errors.New("the signer does not serve yet")
	}
	return nil
}

// Run serves until ctx ends.
func (s *Signer) Run(ctx context.Context) error {
	v, err := open(s.cfg.DataDir)
	if err != nil {
		return err
	}
	defer v.close()
	l, err := listen(s.cfg.Socket, s.cfg.AllowUID, s.log)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle(consolev1connect.NewSignerServiceHandler(&service{vault: v, log: s.log}, connect.WithReadMaxBytes(maxManifest+1<<10)))
	srv := &http.Server{
		Handler: mux, ReadTimeout: slowest, WriteTimeout: slowest, IdleTimeout: slowest,
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(l) }()
	s.ready.Store(true)
	s.log.InfoContext(ctx, "the signer serves", "socket", s.cfg.Socket, "allow_uid", s.cfg.AllowUID)
	select {
	case err := <-failed:
		return fmt.Errorf("serving the signer's socket: %w", err)
	case <-ctx.Done():
	}
	late, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	if err := srv.Shutdown(late); err != nil {
		_ = srv.Close()
	}
	if err := <-failed; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("closing the signer's socket: %w", err)
	}
	return nil
}
