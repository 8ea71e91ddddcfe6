package probe

import (
	"context"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sidelight/sidelight/agent/internal/tlsprobe"
	"github.com/sidelight/sidelight/internal/testkit"
)

// Two programs map one library, and one of them is mirrored no longer: its plaintext is not taken any more, though the library's
// probes stay for the other.
func TestDeselectedWithASharedLibrary(t *testing.T) {
	requireBPF(t)
	kept, gone := startBenchNginx(t, true), startBenchNginx(t, true)
	p := New(DefaultConfig(), testkit.Quiet())
	var mu sync.Mutex
	plaintext := map[uint16]int{}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- p.Run(ctx, Handlers{Idle: func() {}, Event: func(e *Event) {
			mu.Lock()
			defer mu.Unlock()
			if e.Conn.TLS {
				plaintext[e.Local.Port()] += len(e.Data)
			}
		}})
	}()
	t.Cleanup(func() { cancel(); require.NoError(t, <-ended) })
	of := func(n *benchNginx) int {
		mu.Lock()
		defer mu.Unlock()
		return plaintext[n.port]
	}
	targets := func(list ...*benchNginx) (all []Target) {
		for _, n := range list {
			for _, pid := range n.pids {
				all = append(all, Target{pid, []uint16{n.port}})
			}
		}
		return all
	}
	require.NoError(t, p.SetTargets(targets(kept, gone)))
	file, err := os.Open(libssl)
	require.NoError(t, err)
	defer file.Close()
	plan, err := tlsprobe.Inspect(file)
	require.NoError(t, err)
	_, err = p.AttachLibrary(libssl, plan.Sites)
	require.NoError(t, err)
	for _, target := range targets(kept, gone) {
		require.NoError(t, p.MarkTLS(target.Tgid))
	}
	kept.ask(t, 3)
	gone.ask(t, 3)
	require.Eventually(t, func() bool { return of(kept) > 0 && of(gone) > 0 }, 10*time.Second, time.Millisecond)

	require.NoError(t, p.SetTargets(targets(kept)))
	// What comes of the one behind what came of the other: nothing of before is on its way any more.
	askKept := func() {
		seen := of(kept)
		kept.ask(t, 1)
		require.Eventually(t, func() bool { return of(kept) > seen }, 10*time.Second, time.Millisecond)
	}
	askKept()
	before := of(gone)
	gone.ask(t, 3)
	askKept()
	require.Equal(t, before, of(gone))
}
