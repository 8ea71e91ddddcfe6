package standalone

import (
	"context"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sidelight/sidelight/internal/testkit"
	"github.com/sidelight/sidelight/standalone/internal/layout"
)

// The services may ask the signer, and cannot read its key.
func TestSignerIsOutOfTheServicesReach(t *testing.T) {
	t.Parallel()
	testkit.RequireRoot(t)
	root, err := os.MkdirTemp("", "standalone") //nolint:usetesting // its path would be too long for a socket
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(root)) })
	owner, err := layout.FindOwner("")
	require.NoError(t, err)
	l := layout.Layout{Root: root, Owner: owner}
	require.NoError(t, l.Make([]string{"console"}))
	s, err := signer(l, testkit.Quiet())
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-ended)
	})
	require.Eventually(t, func() bool { return s.Ready() == nil }, 10*time.Second, time.Millisecond)
	for path, want := range map[string]struct {
		mode os.FileMode
		uid  int
	}{
		l.Signer():                              {0o700, 0},
		filepath.Join(l.Signer(), "policy.key"): {0o600, 0},
		l.SignerSocket():                        {0o600, owner.UID},
	} {
		info, err := os.Lstat(path)
		require.NoError(t, err)
		require.Equal(t, want.mode, info.Mode().Perm(), path)
		stat, ok := info.Sys().(*syscall.Stat_t)
		require.True(t, ok)
		require.Equal(t, want.uid, int(stat.Uid), path)
	}
}
