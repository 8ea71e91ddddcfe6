// Package tlsreload turns certificate files into live TLS configuration: renewed files count from the next handshake on,
// without a restart.
package tlsreload

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/metric"

	"github.com/sidelight/sidelight/internal/config"
	"github.com/sidelight/sidelight/internal/logkey"
)

// Config names the files, as cert-manager writes them.
type Config struct {
	Cert string `yaml:"cert"`
	Key  string `yaml:"key"`
	CA   string `yaml:"ca"`
	// Poll is how often they are read; by content, since a Secret volume swaps links that file watches miss.
	Poll config.Duration `yaml:"poll"`
}

const defaultPoll = 5 * time.Second

// Validate says which file is missing from the configuration.
func (c Config) Validate() error {
	if c.Cert == "" || c.Key == "" || c.CA == "" {
		return errors.New("tls.cert, tls.key and tls.ca must name PEM files: all links between parts are mutual TLS")
	}
	return nil
}

// Deps is what a source reports to; Meter may be nil.
type Deps struct {
	Log   *slog.Logger
	Meter metric.Meter
}

// Source holds the newest good pair and the trusted CAs.
type Source struct {
	cfg     Config
	deps    Deps
	current atomic.Pointer[snapshot]
	reloads *counters

	// mu guards reading: Run, and the first use before it.
	mu   sync.Mutex
	last error
}

// snapshot is never changed: a handshake works with one of them from start to end.
type snapshot struct {
	pair  *tls.Certificate
	leaf  *x509.Certificate
	pool  *x509.CertPool
	cas   []*x509.Certificate
	bytes [3][]byte
}

// New makes a source that reads nothing until Run or its first handshake.
func New(cfg Config, deps Deps) *Source {
	s := &Source{cfg: cfg, deps: deps, last: errNotRead}
	s.reloads = newCounters(deps.Meter, s)
	return s
}

var errNotRead = errors.New("certificate files were not read yet")

// Run reads the files again until ctx ends.
func (s *Source) Run(ctx context.Context) error {
	poll := s.cfg.Poll.Duration()
	if poll == 0 {
		poll = defaultPoll
	}
	ticker := time.NewTicker(poll)
	defer ticker.Stop()
	for {
		s.reload()
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// Ready says why there is no usable pair.
func (s *Source) Ready() error {
	if s.current.Load() != nil {
		return nil
	}
	s.reload()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current.Load() != nil {
		return nil
	}
	return s.last
}

// reload swaps the snapshot if the files changed and are good; else the old pair stays.
func (s *Source) reload() {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.current.Load()
	fresh, err := read(s.cfg, old, time.Now())
	switch {
	case err != nil && s.last != nil && s.last.Error() == err.Error():
		// Said already.
	case err != nil:
		s.reloads.add("failed")
		s.deps.Log.Warn("certificate files cannot be used; what was read before stays in use", logkey.Error, err)
	case fresh != old:
		s.reloads.add("done")
		s.current.Store(fresh)
		s.deps.Log.Info("certificate loaded", "serial", fresh.leaf.SerialNumber.Text(16), "not_after", fresh.leaf.NotAfter)
	}
	s.last = err
}

// live gives the snapshot for a handshake, reading the files if that has not happened.
func (s *Source) live() (*snapshot, error) {
	if now := s.current.Load(); now != nil {
		return now, nil
	}
	if err := s.Ready(); err != nil {
		return nil, err
	}
	return s.current.Load(), nil
}
