// Package opsport serves what operators' machines ask of a part, in plain HTTP: metrics, liveness, readiness, status.
package opsport

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/sidelight/sidelight/internal/logkey"
)

// Config says where to listen; empty = not at all.
type Config struct {
	Listen string `yaml:"listen"`
}

// Deps is what the pages show.
type Deps struct {
	Log     *slog.Logger
	Metrics http.Handler
	Ready   func() error
	// Status is shown as JSON.
	Status func() any
}

// Server is the port.
type Server struct {
	cfg  Config
	deps Deps
	addr atomic.Pointer[string]
}

// New makes a server that does nothing until Run.
func New(cfg Config, deps Deps) *Server { return &Server{cfg: cfg, deps: deps} }

// Addr is the address that it really listens on, "" before it does.
func (s *Server) Addr() string {
	if addr := s.addr.Load(); addr != nil {
		return *addr
	}
	return ""
}

// Run serves until ctx ends.
func (s *Server) Run(ctx context.Context) error {
	if s.cfg.Listen == "" {
		<-ctx.Done()
		return nil
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", s.cfg.Listen)
	if err != nil {
		return fmt.Errorf("ops port: %w (set ops.listen to a free address, or leave it empty)", err)
	}
	address := listener.Addr().String()
	s.addr.Store(&address)
	s.deps.Log.Debug("ops port is open", logkey.Address, address)
	server := &http.Server{Handler: s.routes(), ReadHeaderTimeout: 5 * time.Second}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("ops port: %w", err)
	}
	return nil
}

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if s.deps.Ready != nil {
			if err := s.deps.Ready(); err != nil {
				http.Error(w, err.Error(), http.StatusServiceUnavailable)
				return
			}
		}
		fmt.Fprintln(w, "ok")
	})
	if s.deps.Metrics != nil {
		mux.Handle("GET /metrics", s.deps.Metrics)
	}
	if s.deps.Status != nil {
		mux.HandleFunc("GET /statusz", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			// A reader that went away has nothing to be told.
			_ = encode(w, s.deps.Status())
		})
	}
	return mux
}

// encode writes a message of a contract in its own JSON form, and anything else as Go does.
func encode(w io.Writer, status any) error {
	message, ok := status.(proto.Message)
	if !ok {
		return json.NewEncoder(w).Encode(status)
	}
	text, err := protojson.Marshal(message)
	if err != nil {
		return fmt.Errorf("encoding the status: %w", err)
	}
	_, err = w.Write(append(text, '\n'))
	return err
}
