package edge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
)

func TestFailure(t *testing.T) {
	t.Parallel()
	secret := errors.New("detail of the database")
	for _, c := range []struct {
		err  error
		want connect.Code
	}{
		{pgx.ErrNoRows, connect.CodeNotFound},
		{context.DeadlineExceeded, connect.CodeUnavailable},
		{&pgconn.PgError{Code: "57P03"}, connect.CodeUnavailable},
		{fmt.Errorf("x: %w", Nobody()), connect.CodeUnauthenticated},
		{secret, connect.CodeInternal},
	} {
		got := Failure(t.Context(), slog.New(slog.DiscardHandler), "reading", c.err)
		require.Equal(t, c.want, connect.CodeOf(got), c.err)
		require.NotContains(t, got.Error(), "detail of the database")
	}
	require.NoError(t, Failure(t.Context(), slog.New(slog.DiscardHandler), "reading", nil))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.Equal(t, connect.CodeCanceled, connect.CodeOf(Failure(ctx, slog.New(slog.DiscardHandler), "reading", secret)))
}

func TestDoor(t *testing.T) {
	t.Parallel()
	var d Door
	get := func() *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		d.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
		return w
	}
	closed := get()
	require.Equal(t, http.StatusServiceUnavailable, closed.Code)
	require.Equal(t, "the console is waiting for its database: try again in a moment\n", closed.Body.String())
	d.Open(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	require.Equal(t, http.StatusNoContent, get().Code)
}

// A body that never ends holds a call, but not for ever.
func TestBodies(t *testing.T) {
	t.Parallel()
	ended := make(chan error, 1)
	srv := httptest.NewServer(Bodies(50*time.Millisecond, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, err := io.ReadAll(r.Body)
		ended <- err
	})))
	defer srv.Close()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", srv.Listener.Addr().String())
	require.NoError(t, err)
	defer func() { _ = conn.Close() }()
	_, err = io.WriteString(conn, "POST /slow HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf")
	require.NoError(t, err)
	require.Error(t, <-ended)
}
