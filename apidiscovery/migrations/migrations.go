// Package migrations holds the schema of the inventory: goose files, applied at start under a session lock.
package migrations

import (
	"embed"

	"github.com/sidelight/sidelight/internal/pg"
)

//go:embed *.sql
var files embed.FS

// Schema is the part of the database that apidiscovery owns.
func Schema() pg.Schema { return pg.Schema{Name: "inventory", Migrations: files} }
