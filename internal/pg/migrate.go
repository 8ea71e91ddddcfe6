package pg

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

// Schema is one owner's part of the database: its name and the migrations that make it, *.sql in goose's form.
type Schema struct {
	Name       string
	Migrations fs.FS
	// Dir of the migrations within the file system; "" or "." = its root.
	Dir string
}

const (
	versionTable = "schema_version"
	// Replicas that start together wait for the one that migrates.
	lockRetrySeconds, lockRetries = 1, 300
)

// Migrate makes the schema and applies what it lacks, under a lock of the database session.
func Migrate(ctx context.Context, pool *pgxpool.Pool, schema Schema) error {
	if err := createSchema(ctx, pool, schema.Name); err != nil {
		return err
	}
	files := schema.Migrations
	if schema.Dir != "" && schema.Dir != "." {
		var err error
		if files, err = fs.Sub(files, schema.Dir); err != nil {
			return fmt.Errorf("migrations of schema %s: %w", schema.Name, err)
		}
	}
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockID(lockID(schema.Name)), lock.WithLockTimeout(lockRetrySeconds, lockRetries))
	if err != nil {
		return fmt.Errorf("lock for migrations of schema %s: %w", schema.Name, err)
	}
	db := stdlib.OpenDBFromPool(pool)
	provider, err := goose.NewProvider(goose.DialectPostgres, db, files,
		goose.WithSessionLocker(locker), goose.WithTableName(schema.Name+"."+versionTable), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return errors.Join(fmt.Errorf("migrations of schema %s: %w", schema.Name, err), db.Close())
	}
	// Closing the provider closes db, which leaves the pool open.
	_, err = provider.Up(ctx)
	if err = errors.Join(err, provider.Close()); err != nil {
		return fmt.Errorf("migrating schema %s: %w", schema.Name, err)
	}
	return nil
}

// createSchema looks before it makes: a role without the right to create schemas may use one that was made for it.
func createSchema(ctx context.Context, pool *pgxpool.Pool, name string) error {
	err := pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		// "if not exists" still fails when two sessions make it at once.
		if _, err := tx.Exec(ctx, "select pg_advisory_xact_lock($1)", lockID(name)); err != nil {
			return err
		}
		var there bool
		if err := tx.QueryRow(ctx, "select exists (select from pg_namespace where nspname = $1)", name).Scan(&there); err != nil || there {
			return err
		}
		_, err := tx.Exec(ctx, "create schema "+pgx.Identifier{name}.Sanitize())
		return err
	})
	if err != nil {
		return fmt.Errorf("creating schema %s: %w (create it, owned by the role of the DSN, or grant that role create on the database)", name, err)
	}
	return nil
}

func lockID(schema string) int64 {
	hash := fnv.New64a()
	// Hashes never fail to write.
	_, _ = hash.Write([]byte("sidelight/" + schema))
	return int64(hash.Sum64() >> 1)
}
