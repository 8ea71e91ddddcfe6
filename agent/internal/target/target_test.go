package target

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sidelight/sidelight/agent/internal/selector"
	"github.com/sidelight/sidelight/internal/testkit"
)

func TestParseStat(t *testing.T) {
	t.Parallel()
	comm, start, err := parseStat("42 (a) b (c)) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 777 20")
	require.NoError(t, err)
	require.Equal(t, "a) b (c)", comm)
	require.Equal(t, uint64(777), start)
	for _, bad := range []string{"", "42", "42 (x) S 1", "42 )x("} {
		_, _, err := parseStat(bad)
		require.Error(t, err, bad)
	}
}

func TestParseCgroup(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		"0::/system.slice/nginx.service\n":                                "/system.slice/nginx.service",
		"12:pids:/x\n1:name=systemd:/system.slice/ssh.service\n0::/\n":    "/system.slice/ssh.service",
		"0::/kubepods.slice/kubepods-pod1.slice/cri-containerd-abc.scope": "/kubepods.slice/kubepods-pod1.slice/cri-containerd-abc.scope",
		"": "",
	}
	for text, want := range tests {
		require.Equal(t, want, parseCgroup(text))
	}
	require.Equal(t, "nginx.service", unitOf("/system.slice/nginx.service"))
	require.Equal(t, "app.service", unitOf("/user.slice/user@1000.service/app.slice/app.service"))
	require.Empty(t, unitOf("/docker/abc"))
}

func TestParseListener(t *testing.T) {
	t.Parallel()
	inode, port, ok := parseListener("   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 x")
	require.True(t, ok)
	require.Equal(t, uint64(4711), inode)
	require.Equal(t, uint16(8080), port)
	for _, bad := range []string{"", "sl local_address", "0: 0100007F:1F90 00000000:0000 01 0 0 0 0 0 4711", "0: 0100007F 0 0A 0 0 0 0 0 1"} {
		_, _, ok := parseListener(bad)
		require.False(t, ok, bad)
	}
}

// A real process that listens is found by each key, with its port, and its end is noticed.
func TestRunFindsARealProcess(t *testing.T) {
	t.Parallel()
	binary, err := exec.LookPath("sleep")
	require.NoError(t, err)
	// A name of its own: other tests' processes never match.
	own := filepath.Join(t.TempDir(), "listener-under-test")
	content, err := os.ReadFile(binary)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(own, content, 0o755))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	file, err := listener.(*net.TCPListener).File()
	require.NoError(t, err)
	cmd := exec.Command(own, "60")
	cmd.ExtraFiles = []*os.File{file}
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	require.NoError(t, file.Close())
	require.NoError(t, listener.Close())
	port := uint16(listener.Addr().(*net.TCPAddr).Port)

	ctx, cancel := context.WithCancel(t.Context())
	sets := make(chan []Selected, 8)
	w := New(Config{Filters: []selector.Filter{{Executable: "listener-under-test", Port: port, Service: "shop"}}, Poll: 10 * time.Millisecond}, testkit.Logger(t))
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx, func(set []Selected) error { sets <- set; return nil }) }()
	set := <-sets
	require.Len(t, set, 1)
	require.Equal(t, uint32(cmd.Process.Pid), set[0].PID)
	require.Equal(t, []uint16{port}, set[0].Ports)
	require.Equal(t, "shop", set[0].Service)
	found, ok := w.Lookup(set[0].PID)
	require.True(t, ok)
	require.Equal(t, own, found.Exe)

	require.NoError(t, cmd.Process.Kill())
	_ = cmd.Wait()
	require.Empty(t, <-sets)
	cancel()
	require.NoError(t, <-ended)
}

func TestNeverItself(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	require.NoError(t, err)
	w := New(Config{Filters: []selector.Filter{{Executable: self}, {Executable: "*"}}}, testkit.Logger(t))
	set, err := w.scan()
	require.NoError(t, err)
	for _, selected := range set {
		require.NotEqual(t, uint32(os.Getpid()), selected.PID)
	}
	require.NotEmpty(t, set, "the filter selects everything else")
}

func FuzzProc(f *testing.F) {
	f.Add("42 (a) b (c)) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 777 20")
	f.Add("   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 x")
	f.Add("0::/system.slice/nginx.service")
	f.Fuzz(func(t *testing.T, text string) {
		_, _, _ = parseStat(text)
		if inode, _, ok := parseListener(text); ok {
			require.NotZero(t, inode)
		}
		_ = unitOf(parseCgroup(text))
	})
}
