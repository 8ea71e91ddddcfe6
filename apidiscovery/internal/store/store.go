// Package store keeps the inventory in Postgres: it applies batches of deltas exactly once, gives them back after a restart,
// pages through them, and holds what is still to be pushed.
package store

import (
	"context"
	"crypto/rand"
	_ "embed"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sidelight/sidelight/apidiscovery/internal/inventory"
	"github.com/sidelight/sidelight/apidiscovery/internal/store/dbsqlc"
)

//go:embed staging.sql
var staging string

// Store is the inventory of one instance of the service.
type Store struct {
	pool     *pgxpool.Pool
	instance string
	// countersEvery is how long a change of counters alone may wait for its push.
	countersEvery time.Duration
	life          string
	sequence      int64
}

// New makes a store for an instance: the name under which it finds its own last life.
func New(pool *pgxpool.Pool, instance string, countersEvery time.Duration) *Store {
	return &Store{pool: pool, instance: instance, countersEvery: countersEvery, life: rand.Text()}
}

func (s *Store) q() *dbsqlc.Queries { return dbsqlc.New(s.pool) }

// Crash is a last life that did not end in order: what it had counted since its last flush is lost.
type Crash struct {
	LastFlush time.Time
	// Observations that it had written.
	Observations int64
}

// Begin opens a life, and says if the last one crashed.
func (s *Store) Begin(ctx context.Context, now time.Time) (crash *Crash, err error) {
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		q := s.q().WithTx(tx)
		last, err := q.LastLife(ctx, s.instance)
		switch {
		case errors.Is(err, pgx.ErrNoRows):
		case err != nil:
			return err
		case last.EndedAt == nil:
			crash = &Crash{last.FlushedAt, last.Observations}
		}
		return q.BeginLife(ctx, dbsqlc.BeginLifeParams{Instance: s.instance, Life: s.life, Now: now})
	})
	if err != nil {
		return nil, fmt.Errorf("opening the inventory: %w", err)
	}
	return crash, nil
}

// End closes a life in order.
func (s *Store) End(ctx context.Context, now time.Time) error {
	if err := s.q().EndLife(ctx, dbsqlc.EndLifeParams{Instance: s.instance, Life: s.life, Now: &now}); err != nil {
		return fmt.Errorf("closing the inventory: %w", err)
	}
	return nil
}

// ErrRefused marks a batch that Postgres will never take.
var ErrRefused = errors.New("refused by Postgres")

// Apply writes a batch in one transaction. After an error the same batch may be given again, and counts once, even if the
// error hid that it was written. The next batch may only follow a success or ErrRefused.
func (s *Store) Apply(ctx context.Context, batch inventory.Batch, now time.Time) error {
	next := s.sequence + 1
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error { return s.apply(ctx, tx, batch, next, now) })
	if err != nil {
		if isRefusal(err) {
			return fmt.Errorf("%w: %w", ErrRefused, err)
		}
		return fmt.Errorf("writing the inventory: %w", err)
	}
	s.sequence = next
	return nil
}

func (s *Store) apply(ctx context.Context, tx pgx.Tx, batch inventory.Batch, sequence int64, now time.Time) error {
	q := s.q().WithTx(tx)
	fresh, err := q.AdvanceFlush(ctx, dbsqlc.AdvanceFlushParams{
		Instance: s.instance, Life: s.life, FlushSequence: sequence, FlushedAt: now, Observations: int64(batch.Observations),
	})
	if err != nil {
		return err
	}
	if fresh == 0 {
		return s.stillMine(ctx, q)
	}
	if batch.Empty() {
		return nil
	}
	if _, err := tx.Exec(ctx, staging); err != nil {
		return err
	}
	if _, err := q.StageEndpoints(ctx, endpointRows(batch.Endpoints, now, s.countersEvery)); err != nil {
		return err
	}
	if err := q.UpsertEndpoints(ctx); err != nil {
		return err
	}
	if _, err := q.StageParameters(ctx, parameterRows(batch.Parameters)); err != nil {
		return err
	}
	if err := q.UpsertParameters(ctx); err != nil {
		return err
	}
	for _, m := range batch.Merges {
		if err := merge(ctx, q, m, now); err != nil {
			return err
		}
	}
	return nil
}

// stillMine tells a batch that was written already from a process that took this one's name.
func (s *Store) stillMine(ctx context.Context, q *dbsqlc.Queries) error {
	now, err := q.LastLife(ctx, s.instance)
	if err == nil && now.Life != s.life {
		err = fmt.Errorf("another process runs as instance %q: give each its own name", s.instance)
	}
	return err
}

func merge(ctx context.Context, q *dbsqlc.Queries, m inventory.Merge, now time.Time) error {
	if err := q.MergeEndpoint(ctx, dbsqlc.MergeEndpointParams{Cluster: m.Cluster, IntoID: m.Into, FromID: m.From}); err != nil {
		return err
	}
	if err := q.MergeParameters(ctx, dbsqlc.MergeParametersParams{Cluster: m.Cluster, IntoID: m.Into, FromID: m.From}); err != nil {
		return err
	}
	return q.MarkAlias(ctx, dbsqlc.MarkAliasParams{Cluster: m.Cluster, IntoID: m.Into, FromID: m.From, PushDue: now})
}

// isRefusal tells what the data is to blame for from what time may heal.
func isRefusal(err error) bool {
	var pgErr *pgconn.PgError
	if !errors.As(err, &pgErr) || len(pgErr.Code) < 2 {
		return false
	}
	switch pgErr.Code[:2] {
	case "22", "23", "54": // bad value, violated constraint, too big
		return true
	}
	return false
}
