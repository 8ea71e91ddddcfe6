// Package store is the console's Postgres: generated queries (dbsqlc), transactions, and what a failure means.
package store

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sidelight/sidelight/console/internal/store/dbsqlc"
)

// Store gives queries on one pool. Every query carries its organisation.
type Store struct {
	pool *pgxpool.Pool
}

// New wraps a pool whose schema is migrated.
func New(pool *pgxpool.Pool) *Store { return &Store{pool: pool} }

// Q runs single queries, each in a transaction of its own.
func (s *Store) Q() *dbsqlc.Queries { return dbsqlc.New(s.pool) }

// Tx runs fn in one transaction, which is rolled back when fn fails.
func (s *Store) Tx(ctx context.Context, fn func(q *dbsqlc.Queries) error) error {
	return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error { return fn(dbsqlc.New(tx)) })
}

// Ping says whether the database answers now.
func (s *Store) Ping(ctx context.Context) error {
	if err := s.pool.Ping(ctx); err != nil {
		return fmt.Errorf("asking the database: %w", err)
	}
	return nil
}

// Listen calls ready when it hears the channel and then got for every payload, until the connection or ctx ends.
func (s *Store) Listen(ctx context.Context, channel string, ready func(), got func(payload string)) error {
	pooled, err := s.pool.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("connecting to listen for changes: %w", err)
	}
	// The connection is ours until it ends: a LISTEN must never go back to the pool.
	conn := pooled.Hijack()
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if _, err := conn.Exec(ctx, "listen "+pgx.Identifier{channel}.Sanitize()); err != nil {
		return fmt.Errorf("listening for changes: %w", err)
	}
	ready()
	for {
		n, err := conn.WaitForNotification(ctx)
		if err != nil {
			return fmt.Errorf("waiting for changes: %w", err)
		}
		got(n.Payload)
	}
}
