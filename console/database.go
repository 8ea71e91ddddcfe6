package console

import (
	"context"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sidelight/sidelight/console/internal/changes"
	"github.com/sidelight/sidelight/console/internal/coverage"
	"github.com/sidelight/sidelight/console/internal/installations"
	"github.com/sidelight/sidelight/console/internal/people"
	"github.com/sidelight/sidelight/console/internal/policy"
	"github.com/sidelight/sidelight/console/internal/signer"
	"github.com/sidelight/sidelight/console/internal/store"
	"github.com/sidelight/sidelight/console/migrations"
	"github.com/sidelight/sidelight/internal/app"
	"github.com/sidelight/sidelight/internal/logkey"
	"github.com/sidelight/sidelight/internal/pg"
)

// sweepEvery is how often what has ended is deleted.
const sweepEvery = 10 * time.Minute

// database is the pool of one Run.
type database struct {
	pool *pgxpool.Pool
}

func (d *database) close() {
	if d.pool != nil {
		d.pool.Close()
	}
}

// work connects, prepares the schema, opens the doors, and does what goes on beside the requests.
func (s *Service) work(ctx context.Context, d *database) error {
	pool, err := pg.Wait(ctx, s.cfg.Database, migrations.Schema(), s.deps.Log, func(err error) { s.waiting.Store(&err) })
	if err != nil {
		return err
	}
	d.pool = pool
	db := store.New(pool)
	signs := signer.NewClient(s.cfg.Signer.Socket)
	registry := installations.New(db, signs, s.deps.Log, s.deps.now)
	sessions := people.New(db, s.deps.Log, s.counted, s.deps.now)
	if err := s.prepare(ctx, registry, sessions); err != nil {
		return err
	}
	hub := changes.New(db, s.deps.Log)
	keeper := policy.New(db, signs, s.deps.Log, s.deps.now)
	covered := coverage.New(db, s.deps.Log, s.deps.now)
	ui, err := s.uiHandler(db, handlers{registry, sessions, hub, keeper, covered})
	if err != nil {
		return err
	}
	return app.Run(ctx,
		app.Task{Name: "changes", Run: hub.Run},
		app.Task{Name: "doors", Run: func(ctx context.Context) error {
			select {
			case <-ctx.Done():
				return nil
			case <-hub.Listening():
			}
			s.uiDoor.Open(ui)
			s.uplinkDoor.Open(s.uplinkHandler(db, registry, keeper, hub))
			s.database.Store(db)
			s.deps.Log.InfoContext(ctx, "console is open", "ui", s.UIAddr(), "uplink", s.UplinkAddr())
			<-ctx.Done()
			return nil
		}},
		app.Task{Name: "sweep", Run: func(ctx context.Context) error { return s.sweep(ctx, registry.Sweep, sessions.Sweep, covered.Sweep) }},
	)
}

// prepare makes what a first start needs. It is tried until the database stays long enough; what can never work ends the process with its reason.
func (s *Service) prepare(ctx context.Context, registry *installations.Registry, sessions *people.Service) error {
	_, err := backoff.Retry(ctx, func() (struct{}, error) {
		err := registry.Prepare(ctx, s.cfg.BootstrapToken.Reveal())
		if err == nil {
			err = sessions.Prepare(ctx, s.deps.AdminSecret)
		}
		switch {
		case err == nil, ctx.Err() != nil:
			return struct{}{}, err
		case store.Away(err):
			s.deps.Log.WarnContext(ctx, "the database went away while the console started, trying again", logkey.Error, err)
			return struct{}{}, err
		default:
			return struct{}{}, backoff.Permanent(err)
		}
	}, backoff.WithMaxElapsedTime(0))
	if err != nil {
		return fmt.Errorf("preparing the console's database: %w", err)
	}
	return nil
}

// sweep runs the jobs from time to time; one that fails is tried again at the next turn.
func (s *Service) sweep(ctx context.Context, jobs ...func(context.Context) error) error {
	turn := time.NewTicker(sweepEvery)
	defer turn.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-turn.C:
		}
		for _, job := range jobs {
			if err := job(ctx); err != nil && ctx.Err() == nil {
				s.deps.Log.WarnContext(ctx, "sweeping", logkey.Error, err)
			}
		}
	}
}
