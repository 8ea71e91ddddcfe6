package queue

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func make3(dropped *[]string) *Queue[string] {
	return New(3, 10, func(s string) int64 { return int64(len(s)) }, func(s, why string) { *dropped = append(*dropped, s+":"+why) })
}

func TestBounds(t *testing.T) {
	t.Parallel()
	var dropped []string
	q := make3(&dropped)
	require.False(t, q.Push("eleven bytes"))
	for _, v := range []string{"a", "b", "c", "d"} {
		require.True(t, q.Push(v))
	}
	require.True(t, q.Push("123456789"))
	require.Equal(t, []string{"eleven bytes:too_big", "a:full", "b:full", "c:full"}, dropped)
	require.Equal(t, 2, q.Len())
	require.Equal(t, int64(10), q.Bytes())
	batch, err := q.PopBatch(t.Context(), 9, 0)
	require.NoError(t, err)
	require.Equal(t, []string{"d", "123456789"}, batch)
	require.Zero(t, q.Bytes())
	q.Push("last")
	q.Close()
	require.False(t, q.Push("late"))
	batch, err = q.PopBatch(t.Context(), 9, time.Second)
	require.NoError(t, err)
	require.Equal(t, []string{"last"}, batch)
	_, err = q.PopBatch(t.Context(), 9, time.Second)
	require.ErrorIs(t, err, ErrClosed)
}

func TestPopWaitsForMore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var dropped []string
		q := make3(&dropped)
		go func() {
			for _, v := range []string{"a", "b", "c"} {
				timer := time.NewTimer(time.Second)
				<-timer.C
				q.Push(v)
			}
		}()
		start := time.Now()
		batch, err := q.PopBatch(t.Context(), 3, 1500*time.Millisecond)
		require.NoError(t, err)
		require.Equal(t, []string{"a", "b"}, batch)
		require.Equal(t, 2500*time.Millisecond, time.Since(start))
		batch, err = q.PopBatch(t.Context(), 1, time.Hour)
		require.NoError(t, err)
		require.Equal(t, []string{"c"}, batch)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = q.PopBatch(ctx, 1, 0)
		require.ErrorIs(t, err, context.DeadlineExceeded)
	})
}
