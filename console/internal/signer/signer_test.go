package signer

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"log/slog"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sidelight/sidelight/internal/policy"
	"github.com/sidelight/sidelight/internal/testkit"
)

// probe names the socket that this program, started again as another user, asks for the key.
const probe = "SIDELIGHT_TEST_SIGNER"

func TestMain(m *testing.M) {
	if socket := os.Getenv(probe); socket != "" {
		if _, err := NewClient(socket).PublicKey(context.Background()); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(3)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// nobody is a user that the signer does not know.
const nobody = 65534

// home is a directory of the signer's own, with a path that is short enough for a socket.
func home(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "signer") //nolint:usetesting // its path would be too long for a socket
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	return dir
}

func serve(t *testing.T, cfg Config) (stop func()) {
	t.Helper()
	s := New(cfg, testkit.Quiet())
	require.Error(t, s.Ready())
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		require.NoError(t, <-ended)
	})
	t.Cleanup(stop)
	require.Eventually(t, func() bool { return s.Ready() == nil }, 10*time.Second, time.Millisecond)
	return stop
}

func TestSigns(t *testing.T) {
	t.Parallel()
	dir := home(t)
	cfg := Config{Socket: filepath.Join(dir, "sock"), DataDir: filepath.Join(dir, "data"), AllowUID: os.Getuid()}
	stop := serve(t, cfg)
	c, ctx := NewClient(cfg.Socket), t.Context()
	key, err := c.PublicKey(ctx)
	require.NoError(t, err)
	one := manifest(t, "1", 1)
	signature, err := c.Sign(ctx, one)
	require.NoError(t, err)
	require.True(t, ed25519.Verify(key, policy.Signed(one), signature))

	var used *SequenceError
	_, err = c.Sign(ctx, manifest(t, "1", 1))
	require.ErrorAs(t, err, &used)
	require.EqualValues(t, 1, used.Last)
	_, err = c.Sign(ctx, manifest(t, "2", 1))
	require.NoError(t, err, "each organisation counts for itself")
	_, err = c.Sign(ctx, []byte("no manifest"))
	require.ErrorContains(t, err, "not a manifest")

	// Another life knows what this one signed, and has its key.
	stop()
	_, err = c.PublicKey(ctx)
	require.ErrorIs(t, err, ErrAway)
	_, err = c.Sign(ctx, manifest(t, "1", 2))
	require.ErrorIs(t, err, ErrAway)
	serve(t, cfg)
	again, err := c.PublicKey(ctx)
	require.NoError(t, err)
	require.Equal(t, key, again)
	_, err = c.Sign(ctx, manifest(t, "1", 1))
	require.ErrorAs(t, err, &used)
	_, err = c.Sign(ctx, manifest(t, "1", 7))
	require.NoError(t, err)
	for _, far := range []uint64{7 + maxJump + 1, math.MaxUint64} {
		_, err = c.Sign(ctx, manifest(t, "1", far))
		require.ErrorAs(t, err, &used, "nobody uses up all sequences")
		require.EqualValues(t, 7, used.Last)
	}
	_, err = NewClient("").PublicKey(ctx)
	require.ErrorIs(t, err, ErrNone)
	_, err = NewClient("").Sign(ctx, one)
	require.ErrorIs(t, err, ErrNone)
}

func TestManySignOneSequenceOnce(t *testing.T) {
	t.Parallel()
	v, err := open(filepath.Join(home(t), "data"))
	require.NoError(t, err)
	defer v.close()
	m := manifest(t, "1", 1)
	results := make(chan error, 8)
	for range 8 {
		go func() {
			_, _, err := v.sign(m)
			results <- err
		}()
	}
	good := 0
	for range 8 {
		if <-results == nil {
			good++
		}
	}
	require.Equal(t, 1, good)
}

// The socket is for the console's user and root. Where it cannot be given to a user, who connects is looked at all the same.
func TestStrangersAreRefused(t *testing.T) {
	t.Parallel()
	testkit.RequireRoot(t)
	for name, test := range map[string]struct {
		allow int
		open  bool
		good  bool
	}{
		"the console's user":             {nobody, false, true},
		"another user":                   {nobody - 1, false, false},
		"another user at an open socket": {nobody - 1, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := home(t)
			require.NoError(t, os.Chmod(dir, 0o755))
			cfg := Config{Socket: filepath.Join(dir, "sock"), DataDir: filepath.Join(dir, "data"), AllowUID: test.allow}
			serve(t, cfg)
			info, err := os.Stat(cfg.Socket)
			require.NoError(t, err)
			require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
			if test.open {
				require.NoError(t, os.Chmod(cfg.Socket, 0o666))
			}
			program := filepath.Join(dir, "probe")
			own, err := os.ReadFile("/proc/self/exe")
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(program, own, 0o755))
			cmd := exec.CommandContext(t.Context(), program)
			cmd.Env = []string{probe + "=" + cfg.Socket}
			cmd.Dir = "/"
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
			output, err := cmd.CombinedOutput()
			require.Equal(t, test.good, err == nil, "%s", output)
			_, err = NewClient(cfg.Socket).PublicKey(t.Context())
			require.NoError(t, err, "root may always")
		})
	}
}

func TestSocketPath(t *testing.T) {
	t.Parallel()
	dir := home(t)
	path := filepath.Join(dir, "sock")
	require.NoError(t, os.WriteFile(path, []byte("precious"), 0o600))
	_, err := listen(path, os.Getuid(), slog.New(slog.DiscardHandler))
	require.ErrorContains(t, err, "is no socket")
	require.NoError(t, os.Remove(path))
	l, err := listen(path, os.Getuid(), slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	// A life that was killed leaves its socket.
	l.SetUnlinkOnClose(false)
	require.NoError(t, l.Close())
	l, err = listen(path, os.Getuid(), slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	require.NoError(t, l.Close())
}
