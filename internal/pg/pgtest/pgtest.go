// Package pgtest gives each test a Postgres database of its own, on one private server per test binary.
//
// The server is a child of a small supervisor that waits for the test process's end, however it comes, then stops the
// server and removes its files; so no TestMain is needed. SIDELIGHT_TEST_DSN names a server to use instead.
package pgtest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sidelight/sidelight/internal/config"
	"github.com/sidelight/sidelight/internal/pg"
	"github.com/sidelight/sidelight/internal/pg/internal/cluster"
	"github.com/sidelight/sidelight/internal/testkit"
)

const (
	dsnVariable = "SIDELIGHT_TEST_DSN"
	timeout     = time.Minute
)

// Pool gives a pool on a fresh database in which the schema's migrations are applied.
func Pool(t testing.TB, migrations fs.FS, dir, schema string) *pgxpool.Pool {
	t.Helper()
	dsn := DSN(t, pg.Schema{Name: schema, Migrations: migrations, Dir: dir})
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	pool, err := pg.Open(ctx, pg.Config{DSN: config.Secret(dsn)}, schema)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

// DSN gives the address of a fresh database with these schemas, for tests that hand it to a service.
func DSN(t testing.TB, schemas ...pg.Schema) string {
	t.Helper()
	s, err := server()
	if errors.Is(err, pg.ErrNotInstalled) {
		testkit.Skip(t, err.Error())
	}
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	template, err := s.template(ctx, schemas)
	if err != nil {
		t.Fatal(err)
	}
	name := "test_" + strings.ToLower(rand.Text()[:12])
	if err := s.exec(ctx, "create database "+name+" template "+template); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), timeout)
		defer cancel()
		if err := s.exec(ctx, "drop database if exists "+name+" with (force)"); err != nil {
			t.Error(err)
		}
	})
	if s.external {
		if err := migrate(ctx, s.dsn(name), schemas); err != nil {
			t.Fatal(err)
		}
	}
	return s.dsn(name)
}

// shared is the server of this test binary.
type shared struct {
	// admin is the DSN of a database from which others are made; dsn gives that of another one.
	admin string
	dsn   func(database string) string
	// external servers outlive the binary: no template may stay behind there.
	external bool
	// alive is never closed: it is the supervisor's sign of life.
	alive *os.File

	mu        sync.Mutex
	templates map[string]string
}

var server = sync.OnceValues(func() (*shared, error) {
	if dsn := os.Getenv(dsnVariable); dsn != "" {
		return external(dsn)
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	private, alive, err := supervise(ctx)
	if err != nil {
		return nil, err
	}
	s := &shared{
		admin: private.DSN("postgres", pg.Role), alive: alive, templates: map[string]string{},
		dsn: func(database string) string { return private.DSN(database, pg.Role) },
	}
	return s, awaitBootstrap(ctx, private)
})

func awaitBootstrap(ctx context.Context, private *cluster.Cluster) error {
	for {
		conn, err := pgx.Connect(ctx, private.DSN("postgres", cluster.Superuser))
		if err == nil {
			err = cluster.Bootstrap(ctx, conn, pg.Role, pg.Database)
			return errors.Join(err, conn.Close(ctx))
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the private Postgres of the tests did not start: %w", err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// template makes, once per set of schemas, a migrated database to copy from: ten times faster than migrating each.
func (s *shared) template(ctx context.Context, schemas []pg.Schema) (string, error) {
	if s.external || len(schemas) == 0 {
		return "template1", nil
	}
	key, err := fingerprint(schemas)
	if err != nil {
		return "", err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if name, ok := s.templates[key]; ok {
		return name, nil
	}
	name := "template_" + key
	if err := s.exec(ctx, "create database "+name); err != nil {
		return "", err
	}
	if err := migrate(ctx, s.dsn(name), schemas); err != nil {
		return "", err
	}
	s.templates[key] = name
	return name, nil
}

func migrate(ctx context.Context, dsn string, schemas []pg.Schema) error {
	for _, schema := range schemas {
		pool, err := pg.Open(ctx, pg.Config{DSN: config.Secret(dsn), MaxConns: 2}, schema.Name)
		if err != nil {
			return err
		}
		err = pg.Migrate(ctx, pool, schema)
		pool.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *shared) exec(ctx context.Context, statement string) error {
	conn, err := pgx.Connect(ctx, s.admin)
	if err != nil {
		return fmt.Errorf("the tests' Postgres: %w", err)
	}
	_, err = conn.Exec(ctx, statement)
	if err = errors.Join(err, conn.Close(ctx)); err != nil {
		return fmt.Errorf("the tests' Postgres: %s: %w", statement, err)
	}
	return nil
}
