package store

import (
	"context"
	"errors"
	"net"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Missing says that a query found no row.
func Missing(err error) bool { return errors.Is(err, pgx.ErrNoRows) }

// Away says that the database could not be reached or gave up, so that the same request may work later.
func Away(err error) bool {
	if answer, ok := errors.AsType[*pgconn.PgError](err); ok {
		// Connection failures, shutdowns and starts, no room, read-only after a fail-over, lost races.
		for _, class := range []string{"08", "53", "57", "25006", "40"} {
			if strings.HasPrefix(answer.Code, class) {
				return true
			}
		}
		return false
	}
	var connect *pgconn.ConnectError
	var network net.Error
	return errors.As(err, &connect) || errors.As(err, &network) ||
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, net.ErrClosed) ||
		pgconn.SafeToRetry(err) || strings.Contains(err.Error(), "conn closed") ||
		strings.Contains(err.Error(), "unexpected EOF")
}
