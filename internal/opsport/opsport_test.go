package opsport

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sidelight/sidelight/internal/losses"
	"github.com/sidelight/sidelight/internal/telemetry"
	"github.com/sidelight/sidelight/internal/testkit"
)

func TestPages(t *testing.T) {
	t.Parallel()
	meters, err := telemetry.New("part", "v1")
	require.NoError(t, err)
	lost := losses.NewLosses(meters.Meter(), "part")
	lost.Add("buffer", "full", 3)
	var ready atomic.Bool
	server := New(Config{Listen: "127.0.0.1:0"}, Deps{
		Log: testkit.Quiet(), Metrics: meters.Handler(), Status: func() any { return lost.Snapshot() },
		Ready: func() error {
			if ready.Load() {
				return nil
			}
			return errors.New("waiting for the database")
		},
	})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx) }()
	require.Eventually(t, func() bool { return server.Addr() != "" }, 5*time.Second, time.Millisecond)
	get := func(path string) (int, string) {
		answer, err := http.Get("http://" + server.Addr() + path)
		require.NoError(t, err)
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		require.NoError(t, err)
		return answer.StatusCode, string(body)
	}
	code, body := get("/readyz")
	require.Equal(t, 503, code)
	require.Contains(t, body, "waiting for the database")
	ready.Store(true)
	code, _ = get("/readyz")
	require.Equal(t, 200, code)
	_, body = get("/metrics")
	require.Contains(t, body, `sidelight_part_lost_total{place="buffer",reason="full"} 3`)
	_, body = get("/statusz")
	require.Contains(t, body, `"Reason":"full"`)
	cancel()
	require.NoError(t, <-ended)
}
