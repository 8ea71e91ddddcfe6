// Package console is the self-hosted cloud: it takes the uploads of many installations and shows them to people.
// People and installations have a listener each; the database is Postgres, schema "console".
package console

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/sidelight/sidelight/console/internal/edge"
	"github.com/sidelight/sidelight/console/internal/guard"
	"github.com/sidelight/sidelight/console/internal/metrics"
	"github.com/sidelight/sidelight/console/internal/serve"
	"github.com/sidelight/sidelight/console/internal/store"
	"github.com/sidelight/sidelight/internal/app"
	"github.com/sidelight/sidelight/internal/opsport"
	"github.com/sidelight/sidelight/internal/telemetry"
)

// Deps is what the console is given from outside.
type Deps struct {
	Log *slog.Logger
	// UIListener and UplinkListener, already bound, are used instead of the configured addresses.
	UIListener, UplinkListener net.Listener
	// AdminSecret shows the administrator's one-time secret to the person who started the console. Called at most
	// once; never when a password was chosen before.
	AdminSecret func(secret string)

	// now is the clock, for tests.
	now func() time.Time
}

// Service is one console process.
type Service struct {
	cfg     Config
	deps    Deps
	meters  *telemetry.Provider
	counted *metrics.Counters

	uiDoor, uplinkDoor edge.Door
	ui, uplink         *serve.Server
	ops                *opsport.Server

	// waiting is why the database is not there yet; database is set when it is connected and migrated.
	waiting  atomic.Pointer[error]
	database atomic.Pointer[store.Store]
}

// New makes a console that does nothing until Run.
func New(cfg Config, deps Deps) (*Service, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if deps.Log == nil || deps.AdminSecret == nil {
		return nil, errors.New("console.Deps needs Log and AdminSecret")
	}
	if deps.now == nil {
		deps.now = time.Now
	}
	meters, err := telemetry.New("console", telemetry.Version())
	if err != nil {
		return nil, fmt.Errorf("setting up metrics: %w", err)
	}
	counted, err := metrics.New(meters.Meter())
	if err != nil {
		return nil, err
	}
	s := &Service{cfg: cfg, deps: deps, meters: meters, counted: counted}
	s.ui = serve.New(serve.Config{Listen: cfg.UI.Listen, Cert: cfg.UI.Cert, Key: cfg.UI.Key}, serve.Deps{
		Log: deps.Log, Listener: deps.UIListener,
		Handler: guard.Headers(guard.Hosts(cfg.UI.AllowedHosts, guard.HTTPSOnly(&s.uiDoor))),
	})
	s.uplink = serve.New(serve.Config{Listen: cfg.Uplink.Listen, Cert: cfg.Uplink.Cert, Key: cfg.Uplink.Key}, serve.Deps{
		Log: deps.Log, Listener: deps.UplinkListener, Handler: http.Handler(&s.uplinkDoor),
	})
	s.ops = opsport.New(cfg.Ops, opsport.Deps{Log: deps.Log, Metrics: meters.Handler(), Ready: s.Ready})
	return s, nil
}

// Run serves until ctx ends. Without its database it answers 503 and tries again.
func (s *Service) Run(ctx context.Context) error {
	var d database
	err := app.Run(ctx,
		app.Task{Name: "ui", Run: s.ui.Run},
		app.Task{Name: "uplink", Run: s.uplink.Run},
		app.Task{Name: "ops", Run: s.ops.Run},
		app.Task{Name: "database", Run: func(ctx context.Context) error { return s.work(ctx, &d) }},
	)
	// Only now: the last requests may still have needed it.
	d.close()
	return errors.Join(err, s.meters.Shutdown(context.WithoutCancel(ctx)))
}

// Ready says why the console cannot do its work now, nil if it can.
func (s *Service) Ready() error {
	if err := s.ui.Ready(); err != nil {
		return fmt.Errorf("ui: %w", err)
	}
	if err := s.uplink.Ready(); err != nil {
		return fmt.Errorf("uplink: %w", err)
	}
	db := s.database.Load()
	if db == nil {
		if why := s.waiting.Load(); why != nil && *why != nil {
			return fmt.Errorf("waiting for the database: %w", *why)
		}
		return errors.New("waiting for the database")
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	return db.Ping(ctx)
}

// UIAddr gives the address that people reach, "" before Run listens.
func (s *Service) UIAddr() string { return s.ui.Addr() }

// UplinkAddr gives the address that installations reach, "" before Run listens.
func (s *Service) UplinkAddr() string { return s.uplink.Addr() }

// OpsAddr gives the address of metrics and probes, "" before Run listens or when they are off.
func (s *Service) OpsAddr() string { return s.ops.Addr() }
