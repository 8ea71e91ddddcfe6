package cluster

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Bootstrap makes a role without privileges and a database that it owns, unless they are there.
func Bootstrap(ctx context.Context, conn *pgx.Conn, role, database string) error {
	for _, thing := range []struct{ look, name, make string }{
		{"select exists (select from pg_roles where rolname = $1)", role, "create role %s login createdb"},
		{"select exists (select from pg_database where datname = $1)", database, "create database %s owner " + pgx.Identifier{role}.Sanitize()},
	} {
		var there bool
		if err := conn.QueryRow(ctx, thing.look, thing.name).Scan(&there); err != nil {
			return fmt.Errorf("looking for %s: %w", thing.name, err)
		}
		if there {
			continue
		}
		if _, err := conn.Exec(ctx, fmt.Sprintf(thing.make, pgx.Identifier{thing.name}.Sanitize())); err != nil {
			return fmt.Errorf("making %s: %w", thing.name, err)
		}
	}
	return nil
}
