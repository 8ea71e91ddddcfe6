package probe

import (
	"bytes"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// What kernels do that skip runs, on any: of each pair the first program takes everything; or, as if each of its runs was skipped,
// the second does.
func TestPairs(t *testing.T) {
	overBackends(t, func(t *testing.T, backend string) {
		if !modern() {
			t.Skip("this kernel gets programs that are none of a pair (Linux 6.2 gets others)")
		}
		t.Run("first", func(t *testing.T) {
			r := prepare(t, "inherited", paired(backend))
			require.Zero(t, pairs(t, r, nil))
		})
		// Functions see it like all else.
		if backend != BackendFunctions {
			t.Run("io_uring", func(t *testing.T) { ioUringIsCounted(t, paired(backend)) })
		}
		t.Run("second", func(t *testing.T) {
			r := prepare(t, "inherited", paired(backend))
			require.NotZero(t, pairs(t, r, func(l *loaded) {
				always := len(l.objects.always())
				for _, first := range slices.Concat(l.links[:always], l.links[always+len(l.again.before):len(l.links)-len(l.again.behind)]) {
					require.NoError(t, first.Close())
				}
			}))
		})
	})
}

func paired(backend string) Config {
	cfg := generous(backend)
	cfg.paired = true
	return cfg
}

// pairs gives how often a second program was the one.
func pairs(t *testing.T, r *rig, change func(*loaded)) uint64 {
	t.Helper()
	require.NoError(t, r.probe.SetTargets([]Target{{r.pid, []uint16{r.port}}}))
	require.NotEmpty(t, r.probe.live.again.all())
	if change != nil {
		change(r.probe.live)
	}
	messages := [][]byte{random(100), random(5000), random(300)}
	r.talk(t, messages...)
	for _, dir := range []Direction{In, Out} {
		data, _, size := r.stream(dir)
		want := bytes.Join(messages, nil)
		require.Equal(t, len(want), size, "nothing twice, direction %d", dir)
		require.True(t, bytes.Equal(want, data), "direction %d", dir)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	told := map[Notice]int{}
	for _, notice := range r.notices {
		told[notice]++
	}
	require.Equal(t, 1, told[Notice{NoticeCode, r.pid}])
	for notice, n := range told {
		require.False(t, notice.Kind == NoticeFork && n > 1, "told twice: %+v", notice)
	}
	return r.probe.Stats().TakenAgain
}
