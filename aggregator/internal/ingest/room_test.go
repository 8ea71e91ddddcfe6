package ingest

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// ask claims room and tells when it has it.
func ask(t *testing.T, r *room, who string, size int64) <-chan struct{} {
	t.Helper()
	got := make(chan struct{})
	go func() {
		if r.acquire(t.Context(), who, size, func() {}) == nil {
			close(got)
		}
	}()
	synctest.Wait()
	return got
}

func has(t *testing.T, got <-chan struct{}) bool {
	t.Helper()
	synctest.Wait()
	select {
	case <-got:
		return true
	default:
		return false
	}
}

func TestRoomIsShared(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRoom(120)
		for range 6 {
			require.True(t, has(t, ask(t, r, "flood", 10)))
		}
		waits := ask(t, r, "flood", 10)
		require.False(t, has(t, waits), "half of it stays free for others")
		for range 3 {
			require.True(t, has(t, ask(t, r, "second", 10)))
		}
		require.True(t, has(t, ask(t, r, "quiet", 10)), "who comes new finds room")
		later := ask(t, r, "second", 10)
		require.False(t, has(t, later))
		r.release("flood", 10)
		require.False(t, has(t, later))
		r.release("flood", 10)
		require.True(t, has(t, later), "who holds least goes first")
		require.False(t, has(t, waits))
		r.release("second", 40)
		r.release("quiet", 10)
		require.True(t, has(t, waits))
		r.release("flood", 50)
		require.Zero(t, r.used)
		require.Empty(t, r.holders)
	})
}

func TestABigBatchIsNotOvertakenForEver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRoom(100)
		require.True(t, has(t, ask(t, r, "a", 10)))
		big := ask(t, r, "big", 100)
		small := ask(t, r, "a", 10)
		require.False(t, has(t, small))
		r.release("a", 10)
		require.True(t, has(t, big))
		require.False(t, has(t, small))
		r.release("big", 100)
		require.True(t, has(t, small))
	})
}

func TestWhoGivesUpHoldsUpNobody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRoom(100)
		require.True(t, has(t, ask(t, r, "a", 50)))
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- r.acquire(ctx, "big", 100, func() {}) }()
		synctest.Wait()
		b := ask(t, r, "b", 10)
		require.False(t, has(t, b))
		cancel()
		require.ErrorIs(t, <-ended, context.Canceled)
		require.True(t, has(t, b))
		r.release("a", 50)
		r.release("b", 10)
		require.Empty(t, r.holders)
		require.Empty(t, r.queue)
	})
}

// Whatever is asked, the bound holds, and everybody is served in the end.
func TestRoomUnderLoad(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRoom(1000)
		done := make(chan struct{})
		for n := range 20 {
			go func() {
				defer func() { done <- struct{}{} }()
				for i := range 50 {
					size := int64(1 + (n*37+i*101)%1000)
					if n < 10 {
						size = 1 + size%20
					}
					who := fmt.Sprint(n % 15)
					if err := r.acquire(t.Context(), who, size, func() {}); err != nil {
						t.Error(err)
						return
					}
					r.mu.Lock()
					if r.used > r.limit {
						t.Errorf("%d of %d are used", r.used, r.limit)
					}
					r.mu.Unlock()
					time.Sleep(time.Duration(1+i%7) * time.Millisecond) //nolint:forbidigo // synctest's clock
					r.release(who, size)
				}
			}()
		}
		for range 20 {
			<-done
		}
		require.Zero(t, r.used)
		require.Empty(t, r.holders)
	})
}
