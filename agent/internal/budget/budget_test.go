package budget

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sidelight/sidelight/internal/config"
	"github.com/sidelight/sidelight/internal/testkit"
)

// world is what the thermostat sees; `used` of a core is spent as time goes by.
type world struct {
	// mu is held by the test whenever it does not let time pass.
	mu        sync.Mutex
	used      float64
	spent     time.Duration
	since     time.Time
	lost      uint64
	fill      float64
	rate      map[uint32]uint64
	began     map[uint32]uint64
	applied   []State
	refuse    error
	perSecond func(State) float64
}

func (w *world) deps(t *testing.T) Deps {
	return Deps{
		Log: testkit.Logger(t), Ceiling: Ceiling{64 << 10, 4 << 10},
		Apply: func(s State) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			if w.refuse != nil {
				return w.refuse
			}
			w.applied = append(w.applied, s)
			return nil
		},
		CPU: func() time.Duration {
			w.mu.Lock()
			defer w.mu.Unlock()
			now := time.Now()
			used := w.used
			if w.perSecond != nil && len(w.applied) > 0 {
				used = w.perSecond(w.applied[len(w.applied)-1])
			}
			w.spent += time.Duration(used * float64(now.Sub(w.since)))
			w.since = now
			return w.spent
		},
		Lost: func() uint64 { w.mu.Lock(); defer w.mu.Unlock(); return w.lost },
		Fill: func() float64 { w.mu.Lock(); defer w.mu.Unlock(); return w.fill },
		Exchanges: func() map[uint32]uint64 {
			w.mu.Lock()
			defer w.mu.Unlock()
			for pid, n := range w.rate {
				w.began[pid] += n
			}
			return maps.Clone(w.began)
		},
	}
}

// run lets the thermostat live in a bubble, where time passes by sleeping.
func run(t *testing.T, cfg Config, do func(w *world, th *Thermostat)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{since: time.Now(), began: map[uint32]uint64{}, lost: 7}
		th := New(cfg, w.deps(t))
		require.Empty(t, w.applied)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- th.Run(ctx) }()
		w.mu.Lock()
		// Between two looks.
		w.pass(500 * time.Millisecond)
		do(w, th)
		w.mu.Unlock()
		cancel()
		require.NoError(t, <-ended)
	})
}

func (w *world) pass(d time.Duration) {
	w.mu.Unlock()
	defer w.mu.Lock()
	time.Sleep(d) //nolint:forbidigo // synctest's clock
	synctest.Wait()
}

func (w *world) ceiling(th *Thermostat, c Ceiling) error {
	w.mu.Unlock()
	defer w.mu.Lock()
	return th.SetCeiling(c)
}

func TestIdleShedsNothing(t *testing.T) {
	t.Parallel()
	run(t, DefaultConfig(), func(w *world, th *Thermostat) {
		w.used, w.fill = 0.49, 0.5
		w.rate = map[uint32]uint64{1: 1000}
		w.pass(time.Hour)
		require.Empty(t, w.applied)
		require.Equal(t, State{Request: 64 << 10, Response: 4 << 10}, th.State())
	})
}

func TestABurstPasses(t *testing.T) {
	t.Parallel()
	run(t, DefaultConfig(), func(w *world, _ *Thermostat) {
		w.pass(20 * time.Second)
		w.used = 1
		w.pass(4 * time.Second)
		w.used = 0.05
		w.pass(time.Minute)
		require.Empty(t, w.applied)
	})
}

// Down step by step, in the order of value, and back again with more patience.
func TestOverItsShare(t *testing.T) {
	t.Parallel()
	run(t, DefaultConfig(), func(w *world, th *Thermostat) {
		w.used = 0.7
		w.rate = map[uint32]uint64{1: 10, 2: 90}
		w.pass(10 * time.Second)
		require.Len(t, w.applied, 1)
		require.Equal(t, "request bodies are copied up to 32 KiB of 64 KiB, since the agent took 0.70 of a core and may take 0.50", th.State().Text)
		w.pass(9 * time.Second)
		require.Len(t, w.applied, 1, "a step is given its time")
		w.pass(3 * time.Minute)
		var requests, responses []uint32
		for _, s := range w.applied[:7] {
			requests, responses = append(requests, s.Request), append(responses, s.Response)
		}
		require.Equal(t, []uint32{32 << 10, 16 << 10, 8 << 10, 4 << 10, 2 << 10, 2 << 10, 2 << 10}, requests)
		require.Equal(t, []uint32{4096, 4096, 4096, 4096, 4096, 1024, 1024}, responses)
		require.Equal(t, map[uint32]float64{2: 185.0 / 256}, w.applied[6].Shares, "who has little keeps all of it")
		require.Equal(t, map[uint32]float64{1: 80.0 / 256, 2: 9.0 / 256}, th.State().Shares, "a flood stays visible")
		require.Equal(t, 14, th.State().Step)
		require.Contains(t, th.State().Text, "6 % of all connections are kept")

		w.applied, w.used = nil, 0.3
		w.pass(10 * time.Minute)
		require.Empty(t, w.applied, "between half and all of its share nothing changes")
		w.used = 0.2
		w.pass(14 * time.Second)
		require.Empty(t, w.applied, "the mean of the last half minute is above")
		w.pass(15 * 30 * time.Second)
		require.Equal(t, State{Request: 64 << 10, Response: 4 << 10}, th.State())
		steps := []int{}
		for _, s := range w.applied {
			steps = append(steps, s.Step)
		}
		require.True(t, slices.IsSortedFunc(steps, func(a, b int) int { return b - a }), steps)
		require.Equal(t, []int{13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0}, slices.Compact(steps))
	})
}

// Far over, halving bodies would take too long.
func TestFarOverItsShare(t *testing.T) {
	t.Parallel()
	run(t, DefaultConfig(), func(w *world, th *Thermostat) {
		w.used = 2
		for _, want := range []State{{Step: 5, Request: 2 << 10, Response: 4 << 10}, {Step: 6, Request: 2 << 10, Response: 1 << 10}, {Step: 10, Request: 2 << 10, Response: 1 << 10}, {Step: 14, Request: 2 << 10, Response: 1 << 10}} {
			w.pass(10 * time.Second)
			got := th.State()
			got.Text = ""
			require.Equal(t, want, got)
		}
	})
}

func TestTheRingRunsFull(t *testing.T) {
	t.Parallel()
	for name, pressure := range map[string]func(*world){"lost": func(w *world) { w.lost += 3 }, "fill": func(w *world) { w.fill = 0.6 }} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := DefaultConfig()
			cfg.CPU = 0
			run(t, cfg, func(w *world, th *Thermostat) {
				w.pass(5 * time.Second)
				require.Empty(t, w.applied, "what was lost before is past")
				pressure(w)
				w.pass(time.Second)
				require.Equal(t, 1, th.State().Step, "at once")
				require.Contains(t, th.State().Text, map[string]string{"lost": "had no room for 3 records", "fill": "was 60 % full"}[name])
				w.fill = 0
				w.pass(28 * time.Second)
				require.Equal(t, 1, th.State().Step)
				pressure(w)
				w.pass(time.Second)
				require.Equal(t, 2, th.State().Step)
				w.fill = 0
				w.pass(31 * time.Second)
				require.Equal(t, 1, th.State().Step)
				w.pass(31 * time.Second)
				require.Zero(t, th.State().Step)
			})
		})
	}
}

// A load that each step lightens comes to rest, and does not swing.
func TestItComesToRest(t *testing.T) {
	t.Parallel()
	run(t, DefaultConfig(), func(w *world, th *Thermostat) {
		w.perSecond = func(s State) float64 { return 0.3 + float64(s.Request)/float64(128<<10) }
		w.used = 0.8
		w.pass(10 * time.Minute)
		require.Equal(t, []uint32{32 << 10, 16 << 10}, []uint32{w.applied[0].Request, w.applied[1].Request})
		require.Len(t, w.applied, 2)
		require.Equal(t, 2, th.State().Step)
	})
}

func TestAnotherCeiling(t *testing.T) {
	t.Parallel()
	run(t, DefaultConfig(), func(w *world, th *Thermostat) {
		require.NoError(t, w.ceiling(th, Ceiling{1 << 20, 8 << 10}))
		require.Equal(t, State{Request: 1 << 20, Response: 8 << 10}, th.State())
		w.used = 0.7
		w.pass(20 * time.Second)
		require.Equal(t, uint32(256<<10), th.State().Request)
		require.NoError(t, w.ceiling(th, Ceiling{64 << 10, 4 << 10}))
		require.Equal(t, uint32(32<<10), th.State().Request, "what is shed stays shed")
		require.NoError(t, w.ceiling(th, Ceiling{1 << 20, 4 << 10}))
		require.Equal(t, uint32(32<<10), th.State().Request)
		w.refuse = errors.New("no")
		before := th.State()
		require.ErrorIs(t, w.ceiling(th, Ceiling{1, 1}), w.refuse)
		require.Equal(t, before, th.State())
		w.refuse, w.used = nil, 0
		w.pass(10 * time.Minute)
		require.Equal(t, State{Request: 1 << 20, Response: 4 << 10}, th.State())
	})
}

func TestLadder(t *testing.T) {
	t.Parallel()
	for _, c := range []Ceiling{{64 << 10, 4 << 10}, {1 << 20, 1 << 20}, {1, 1}, {3000, 100}, {2048, 512}} {
		steps := ladder(c)
		require.Equal(t, rung{nothing, c.Request, c.Response, 1}, steps[0])
		for i, r := range steps[1:] {
			above := steps[i]
			require.GreaterOrEqual(t, r.class, above.class)
			require.LessOrEqual(t, r.request, above.request)
			require.LessOrEqual(t, r.response, above.response)
			require.NotEqual(t, above, r, "each step sheds something")
			require.GreaterOrEqual(t, r.request, min(c.Request, headOnly), "never the head")
			require.NotEmpty(t, r.text(c))
		}
	}
}

func TestFair(t *testing.T) {
	t.Parallel()
	require.Nil(t, fair(map[uint32]uint64{1: 5}, 1))
	require.Nil(t, fair(nil, 0.5))
	require.Equal(t, map[uint32]float64{3: 0.3984375}, fair(map[uint32]uint64{1: 10, 2: 40, 3: 250}, 0.5))
	require.Equal(t, map[uint32]float64{1: 0.25, 2: 0.25}, fair(map[uint32]uint64{1: 100, 2: 100}, 0.25))
}

func TestValidate(t *testing.T) {
	t.Parallel()
	require.NoError(t, DefaultConfig().Validate())
	for _, bad := range []func(*Config){
		func(c *Config) { c.CPU = -1 }, func(c *Config) { c.Window = 0 }, func(c *Config) { c.Recovery = config.Duration(time.Second) },
	} {
		c := DefaultConfig()
		bad(&c)
		require.Error(t, c.Validate())
	}
	require.NotZero(t, processCPU())
}
