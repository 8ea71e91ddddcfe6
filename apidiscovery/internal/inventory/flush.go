package inventory

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/sidelight/sidelight/internal/logkey"
	"github.com/sidelight/sidelight/internal/losses"
)

// applier writes a batch once.
type applier interface {
	Apply(ctx context.Context, batch Batch, now time.Time) error
}

// Flusher writes what is new at a steady pace. While the database is away the batch that failed is kept as it is, and what
// comes meanwhile is aggregated in memory, within the inventory's limits.
type Flusher struct {
	inventory *Inventory
	store     applier
	// refused is the error of a batch that will never be taken.
	refused error
	every   time.Duration
	losses  *losses.Losses
	log     *slog.Logger

	Flushes, Failures atomic.Int64
	pending           *Batch
	said              bool
}

// NewFlusher makes a flusher that does nothing until Run.
func NewFlusher(inv *Inventory, store applier, refused error, every time.Duration, l *losses.Losses, log *slog.Logger) *Flusher {
	return &Flusher{inventory: inv, store: store, refused: refused, every: every, losses: l, log: log}
}

const (
	// flushTimeout bounds one write.
	flushTimeout = 20 * time.Second
	// lastFlush bounds the write at the end.
	lastFlush = 5 * time.Second
)

// Run flushes until ctx ends, and once more after.
func (f *Flusher) Run(ctx context.Context) error {
	ticker := time.NewTicker(f.every)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			f.Flush(ctx, flushTimeout)
		case <-ctx.Done():
			return f.last(context.WithoutCancel(ctx))
		}
	}
}

// last writes the batch that failed, if there is one, and what came since.
func (f *Flusher) last(ctx context.Context) error {
	f.inventory.Close()
	for range 2 {
		if !f.Flush(ctx, lastFlush) {
			lost := f.pending.Observations + f.inventory.Take().Observations
			f.losses.Add("memory", "postgres_away_at_end", int64(lost))
			f.log.Error("Postgres is away: what was counted since the last flush is lost", logkey.Count, lost)
			return nil
		}
	}
	return nil
}

// Flush writes one batch. False: it has to be tried again.
func (f *Flusher) Flush(ctx context.Context, timeout time.Duration) bool {
	if f.pending == nil {
		f.inventory.Sweep()
		batch := f.inventory.Take()
		f.pending = &batch
	}
	if f.pending.Empty() && f.pending.Observations == 0 {
		f.pending = nil
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	err := f.store.Apply(ctx, *f.pending, time.Now())
	switch {
	case err == nil:
	case errors.Is(err, f.refused):
		f.losses.Add("memory", "refused_by_postgres", int64(f.pending.Observations))
		f.log.Error("a flush was given up", logkey.Error, err, logkey.Count, f.pending.Observations)
	default:
		f.Failures.Add(1)
		if !f.said {
			f.log.Warn("Postgres does not take the inventory: it is kept in memory and tried again", logkey.Error, err)
		}
		f.said = true
		return false
	}
	if f.said {
		f.log.Info("Postgres takes the inventory again")
	}
	f.said = false
	f.Flushes.Add(1)
	f.pending = nil
	return true
}
