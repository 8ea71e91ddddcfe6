package inventory

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sidelight/sidelight/internal/testkit"
)

var (
	errAway    = errors.New("away")
	errRefused = errors.New("refused")
)

// table keeps what it is given, unless it fails.
type table struct {
	fail     error
	batches  int
	requests uint64
}

func (t *table) Apply(_ context.Context, batch Batch, _ time.Time) error {
	if t.fail != nil {
		return t.fail
	}
	t.batches++
	for _, e := range batch.Endpoints {
		t.requests += e.Requests
	}
	return nil
}

func newFlusher(t *testing.T, b *bench, to *table) *Flusher {
	return NewFlusher(b.Inventory, to, errRefused, time.Second, b.losses, testkit.Logger(t))
}

func TestNothingIsLostOrDoubledWhilePostgresIsAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, to := newBench(nil), &table{fail: errAway}
		f := newFlusher(t, b, to)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- f.Run(ctx) }()
		for range 5 {
			b.see("GET /a", 200)
			<-time.After(time.Second)
			synctest.Wait()
		}
		require.GreaterOrEqual(t, f.Failures.Load(), int64(4))
		require.Zero(t, to.requests)
		to.fail = nil
		<-time.After(2 * time.Second)
		synctest.Wait()
		require.EqualValues(t, 5, to.requests)
		require.Equal(t, 2, to.batches, "the batch that failed, and what came meanwhile")
		// What waits for its status is settled at the end.
		b.see("GET /a", 0)
		cancel()
		require.NoError(t, <-done)
		require.EqualValues(t, 6, to.requests)
		require.Empty(t, b.losses.Snapshot())
	})
}

func TestWhatIsLostAtTheEndIsCounted(t *testing.T) {
	t.Parallel()
	b, to := newBench(nil), &table{fail: errAway}
	f := newFlusher(t, b, to)
	b.see("GET /a", 200)
	require.False(t, f.Flush(t.Context(), time.Second))
	b.see("GET /a", 200)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.NoError(t, f.Run(ctx))
	require.Equal(t, "memory postgres_away_at_end 2", lost(b))
}

func TestARefusedBatchDoesNotStopTheNext(t *testing.T) {
	t.Parallel()
	b, to := newBench(nil), &table{fail: errRefused}
	f := newFlusher(t, b, to)
	b.see("GET /a", 200)
	require.True(t, f.Flush(t.Context(), time.Second))
	to.fail = nil
	b.see("GET /a", 200)
	require.True(t, f.Flush(t.Context(), time.Second))
	require.EqualValues(t, 1, to.requests)
	require.Equal(t, "memory refused_by_postgres 1", lost(b))
}
