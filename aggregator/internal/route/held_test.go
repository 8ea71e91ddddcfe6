package route

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// uncommitted answers as a processor does whose hits cannot be kept, for calls that hold a marked exchange.
func uncommitted(marked func(int) bool, takes time.Duration, until time.Time) func(context.Context, []int) error {
	return func(_ context.Context, ids []int) error {
		if time.Now().Before(until) && slices.ContainsFunc(ids, marked) {
			time.Sleep(takes) //nolint:forbidigo // synctest's clock
			return notKept(marked)
		}
		time.Sleep(2 * time.Millisecond) //nolint:forbidigo // synctest's clock
		return nil
	}
}

func TestBenignExchangesAreNotHeldUpByWhatCannotBeCommitted(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		marked func(int) bool
		takes  time.Duration
		within time.Duration
	}{
		"one":                {func(n int) bool { return n == 777 }, 0, 2 * time.Second},
		"one in a hundred":   {func(n int) bool { return n%100 == 7 }, 0, 2 * time.Second},
		"one in ten":         {func(n int) bool { return n%10 == 7 }, 0, 2 * time.Second},
		"one that takes 2 s": {func(n int) bool { return n == 777 }, 2 * time.Second, 5 * time.Second},
		"ten that take 2 s":  {func(n int) bool { return n%200 == 7 }, 2 * time.Second, 5 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				const total = 2000
				outage := time.Minute
				r, stop := start(t, uncommitted(tc.marked, tc.takes, time.Now().Add(outage)))
				defer stop()
				r.submit(0, total, 100)
				time.Sleep(tc.within) //nolint:forbidigo // synctest's clock
				r.mu.Lock()
				for n := range total {
					require.Equal(t, !tc.marked(n), r.done[n] == 1, "exchange %d", n)
				}
				r.mu.Unlock()
				// What cannot be committed costs the processor little, however much it is.
				calls := r.router.Calls.Load()
				time.Sleep(outage - tc.within - time.Second) //nolint:forbidigo // synctest's clock
				require.Less(t, r.router.Calls.Load()-calls, int64(2*outage.Seconds()))
				calls = r.router.Calls.Load()
				// And it goes soon after it can.
				time.Sleep(3*time.Second + tc.takes) //nolint:forbidigo // synctest's clock
				r.requireAll(t, total)
				require.Less(t, r.router.Calls.Load()-calls, int64(15), "all that is held goes together")
				require.Empty(t, r.losses.Snapshot())
			})
		})
	}
}

func TestOneThatCanNeverBeCommittedHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		for2Minutes := uncommitted(func(n int) bool { return n%10 == 7 }, 0, begin.Add(2*time.Minute))
		r, stop := start(t, func(ctx context.Context, ids []int) error {
			err := for2Minutes(ctx, ids)
			var some notKept
			errors.As(err, &some)
			return notKept(func(id int) bool { return id == 27 || some != nil && some(id) })
		})
		defer stop()
		r.submit(0, 100, 100)
		time.Sleep(2*time.Minute + 10*time.Second) //nolint:forbidigo // synctest's clock
		r.mu.Lock()
		require.Len(t, r.done, 99)
		require.Zero(t, r.done[27])
		r.mu.Unlock()
		require.Equal(t, 1, r.router.Waiting())
	})
}

func TestAQuietSourceIsNotBehindOneThatFloods(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, stop := start(t, func(context.Context, []int) error {
			time.Sleep(100 * time.Millisecond) //nolint:forbidigo // synctest's clock
			return nil
		})
		defer stop()
		// 8 calls of 1 MiB each 100 ms: all of it takes 5 s.
		r.submitAs("flood", 0, 40_000, 10<<10)
		time.Sleep(time.Second) //nolint:forbidigo // synctest's clock
		r.submitAs("quiet", 40_000, 40_020, 1<<10)
		time.Sleep(210 * time.Millisecond) //nolint:forbidigo // synctest's clock
		r.mu.Lock()
		defer r.mu.Unlock()
		for n := 40_000; n < 40_020; n++ {
			require.Equal(t, 1, r.done[n], "exchange %d of the quiet source", n)
		}
		require.Less(t, len(r.done), 20_000)
	})
}

func TestLines(t *testing.T) {
	t.Parallel()
	var l lines
	var a, b []Item
	for range 1500 {
		a = append(a, Item{Source: "a", Size: 1 << 10})
		b = append(b, Item{Source: "b", Size: 4 << 10})
	}
	l.push(a)
	require.Len(t, l.take(500, 1<<30), 500, "who is alone takes all")
	l.push(b)
	bytes := map[string]int64{}
	for range 16 {
		for _, item := range l.take(1000, 64<<10) {
			bytes[item.Source] += item.Size
		}
	}
	require.InDelta(t, bytes["a"], bytes["b"], 2*quantum, "equal by bytes, and what a took alone is not held against it")
	l.unshift([]Item{{Source: "c", Size: 9 << 20}, {Source: "a", Size: 1}, {Source: "a", Size: 2}})
	var sizes []int64
	total := l.items
	for l.items > 0 {
		list := l.take(1000, 1<<20)
		require.NotEmpty(t, list)
		total -= len(list)
		for _, item := range list {
			if item.Source == "a" {
				sizes = append(sizes, item.Size)
			}
			require.True(t, item.Size < 1<<20 || len(list) == 1, "what is too big goes alone")
		}
	}
	require.Zero(t, total)
	require.Equal(t, []int64{1, 2, 1 << 10}, sizes[:3], "back to the front, in order")
	require.Empty(t, l.take(10, 10))
	require.Empty(t, l.bySource)
	require.Empty(t, l.turns)
}
