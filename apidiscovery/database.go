package apidiscovery

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sidelight/sidelight/apidiscovery/internal/inventory"
	"github.com/sidelight/sidelight/apidiscovery/internal/push"
	"github.com/sidelight/sidelight/apidiscovery/internal/store"
	"github.com/sidelight/sidelight/apidiscovery/migrations"
	"github.com/sidelight/sidelight/internal/app"
	"github.com/sidelight/sidelight/internal/logkey"
	"github.com/sidelight/sidelight/internal/pg"
)

// opened is what works once there is a database.
type opened struct {
	pool    *pgxpool.Pool
	store   *store.Store
	flusher *inventory.Flusher
	pusher  *push.Pusher
}

const (
	// openAgain is the pause when the database went away while the inventory was read from it.
	openAgain = time.Second
	endWithin = 3 * time.Second
)

// keep waits for Postgres, loads the inventory, then writes and pushes what changes until ctx ends.
func (s *Service) keep(ctx context.Context) error {
	o, err := s.open(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	defer o.pool.Close()
	s.opened.Store(o)
	tasks := []app.Task{{Name: "flush", Run: o.flusher.Run}}
	if o.pusher != nil {
		tasks = append(tasks, app.Task{Name: "push", Run: o.pusher.Run})
	}
	if err := app.Run(ctx, tasks...); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endWithin)
	defer cancel()
	if err := o.store.End(ctx, time.Now()); err != nil {
		s.deps.Log.Warn("the next start will take this end for a crash", logkey.Error, err)
	}
	return nil
}

// open tries until the database is there and read.
func (s *Service) open(ctx context.Context) (*opened, error) {
	for {
		pool, err := pg.Wait(ctx, s.cfg.Database, migrations.Schema(), s.deps.Log, func(err error) { s.waiting.Store(&err) })
		if err != nil {
			return nil, err
		}
		o, err := s.load(ctx, pool)
		if err == nil {
			return o, nil
		}
		pool.Close()
		s.waiting.Store(&err)
		s.deps.Log.Warn("the inventory cannot be loaded yet", logkey.Error, err)
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("loading the inventory: %w", ctx.Err())
		case <-time.After(openAgain):
		}
	}
}

func (s *Service) load(ctx context.Context, pool *pgxpool.Pool) (*opened, error) {
	o := &opened{pool: pool, store: store.New(pool, s.instance, s.cfg.PushCountersEvery.Duration())}
	stored, err := o.store.Load(ctx)
	if err != nil {
		return nil, err
	}
	crash, err := o.store.Begin(ctx, time.Now())
	if err != nil {
		return nil, err
	}
	if crash != nil {
		// How much it was only its clients know: what they had acknowledged less what the last life had written.
		s.losses.Add("memory", "crash_after_last_flush", 1)
		s.deps.Log.Warn("the last life did not end in order: what it counted after its last flush is lost",
			"last_flush", crash.LastFlush, "written", crash.Observations)
	}
	s.inventory.Restore(stored)
	o.flusher = inventory.NewFlusher(s.inventory, o.store, store.ErrRefused, s.cfg.FlushEvery.Duration(), s.losses, s.deps.Log)
	if s.cloudsync != nil {
		o.pusher = push.New(s.cloudsync, o.store, s.cfg.FlushEvery.Duration(), s.deps.Log)
	}
	s.deps.Log.Info("inventory is loaded", "endpoints", len(stored))
	return o, nil
}
