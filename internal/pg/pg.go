// Package pg is Postgres as the services use it: a pool bound to the service's schema, migrations, and a private server
// for hosts that have none.
package pg

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sidelight/sidelight/internal/config"
	"github.com/sidelight/sidelight/internal/logkey"
)

// Config says where the database is.
type Config struct {
	// DSN is a connection URL, such as postgres://user:password@host:5432/database.
	DSN config.Secret `yaml:"dsn"`
	// MaxConns bounds the pool.
	MaxConns int32 `yaml:"max_conns"`
}

const (
	defaultMaxConns = 8
	connectTimeout  = 5 * time.Second
	slowestRetry    = 5 * time.Second
)

// DefaultConfig has no DSN: where the database is must be said.
func DefaultConfig() Config { return Config{MaxConns: defaultMaxConns} }

// Validate says what is missing; key is the configuration's name for it.
func (c Config) Validate(key string) error {
	if c.DSN == "" {
		return fmt.Errorf("%s.dsn is empty: want postgres://user:password@host:5432/database", key)
	}
	if _, err := pgxpool.ParseConfig(c.DSN.Reveal()); err != nil {
		return fmt.Errorf("%s.dsn is no connection URL: want postgres://user:password@host:5432/database", key)
	}
	if c.MaxConns < 0 {
		return fmt.Errorf("%s.max_conns is %d: want 1 or more", key, c.MaxConns)
	}
	return nil
}

// Open connects once and gives a pool whose search path is the schema alone.
func Open(ctx context.Context, cfg Config, schema string) (*pgxpool.Pool, error) {
	poolConfig, err := pgxpool.ParseConfig(cfg.DSN.Reveal())
	if err != nil {
		// The driver's error quotes the DSN.
		return nil, errors.New("the Postgres DSN is no connection URL: want postgres://user:password@host:5432/database")
	}
	poolConfig.MaxConns = cfg.MaxConns
	if cfg.MaxConns <= 0 {
		poolConfig.MaxConns = defaultMaxConns
	}
	poolConfig.ConnConfig.ConnectTimeout = connectTimeout
	poolConfig.ConnConfig.RuntimeParams["search_path"] = pgx.Identifier{schema}.Sanitize()
	poolConfig.ConnConfig.RuntimeParams["application_name"] = "sidelight-" + schema
	poolConfig.ConnConfig.RuntimeParams["timezone"] = "UTC"
	pool, err := pgxpool.NewWithConfig(ctx, poolConfig)
	if err != nil {
		return nil, fmt.Errorf("opening Postgres: %w", err)
	}
	if err := pool.Ping(ctx); err != nil {
		pool.Close()
		return nil, fmt.Errorf("cannot reach Postgres: %w", err)
	}
	return pool, nil
}

// Wait opens the pool and brings the schema up to date, and tries again until that succeeds or ctx ends. `notReady` is
// told why after each failed attempt, and nil at the end: what the service's Ready says meanwhile.
func Wait(ctx context.Context, cfg Config, schema Schema, log *slog.Logger, notReady func(error)) (*pgxpool.Pool, error) {
	attempt := func() (*pgxpool.Pool, error) {
		pool, err := Open(ctx, cfg, schema.Name)
		if err != nil {
			return nil, err
		}
		if err := Migrate(ctx, pool, schema); err != nil {
			pool.Close()
			return nil, err
		}
		return pool, nil
	}
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval, pause.MaxInterval = 100*time.Millisecond, slowestRetry
	said := ""
	pool, err := backoff.Retry(ctx, attempt, backoff.WithBackOff(pause), backoff.WithMaxElapsedTime(0),
		backoff.WithNotify(func(err error, next time.Duration) {
			notReady(err)
			// A database that stays away is said once, not every few seconds.
			if said != err.Error() {
				said = err.Error()
				log.Warn("waiting for Postgres", logkey.Error, err, "retry_in", next)
			}
		}))
	if err != nil {
		return nil, fmt.Errorf("waiting for Postgres: %w", err)
	}
	notReady(nil)
	if said != "" {
		log.Info("Postgres is there")
	}
	return pool, nil
}
