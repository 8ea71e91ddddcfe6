package probe

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A process id is used again by another process: what was known of it is void with each target that comes by a fork, or goes.
func TestTargetsThatComeAndGo(t *testing.T) {
	overBackends(t, targetsThatComeAndGo)
}

func targetsThatComeAndGo(t *testing.T, backend string) {
	r := start(t, "inherited", generous(backend))
	changes := func() (n uint64) {
		require.NoError(t, r.probe.live.objects.ChangedHere.Get(&n))
		return n
	}
	before := changes()
	r.talk(t, []byte("hello"))
	require.Eventually(t, func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		forked := map[Notice]bool{}
		for _, notice := range r.notices {
			if notice.Kind == NoticeFork {
				forked[notice] = true
			}
		}
		return len(forked) > 0 && changes()-before == uint64(2*len(forked))
	}, 10*time.Second, time.Millisecond, "each child comes and goes")
}
