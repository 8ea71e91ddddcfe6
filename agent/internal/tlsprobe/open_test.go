package tlsprobe

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sidelight/sidelight/internal/testkit"
)

// Set in a process that maps the named file and waits.
const mapEnv = "TLSPROBE_TEST_MAP"

func TestMain(m *testing.M) {
	if name := os.Getenv(mapEnv); name != "" {
		os.Exit(hold(name))
	}
	os.Exit(m.Run())
}

// hold is the other process: it maps a library, in an overlay of its own if so told, says so, and waits for its end.
func hold(name string) int {
	if lower := os.Getenv(mapEnv + "_LOWER"); lower != "" {
		options := "lowerdir=" + lower + ",upperdir=" + filepath.Join(lower, "..", "upper") + ",workdir=" + filepath.Join(lower, "..", "work")
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			return 2
		}
		if err := unix.Mount("overlay", filepath.Dir(name), "overlay", 0, options); err != nil {
			return 3
		}
	}
	if root := os.Getenv(mapEnv + "_ROOT"); root != "" {
		if err := unix.Chroot(root); err != nil {
			return 6
		}
		name, _ = strings.CutPrefix(name, root)
	}
	f, err := os.Open(name)
	if err != nil {
		return 4
	}
	if _, err := unix.Mmap(int(f.Fd()), 0, 4096, unix.PROT_READ|unix.PROT_EXEC, unix.MAP_PRIVATE); err != nil {
		return 5
	}
	_ = f.Close()
	_, _ = os.Stdout.WriteString("mapped\n")
	_, _ = io.Copy(io.Discard, os.Stdin)
	return 0
}

// mapping starts a process that has a library mapped, and finds it there.
func mapping(t *testing.T, name, overlay string, env ...string) (uint32, File) {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(append(os.Environ(), mapEnv+"="+name), env...)
	if overlay != "" {
		cmd.Env = append(cmd.Env, mapEnv+"_LOWER="+overlay)
		cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	}
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = in.Close(); _ = cmd.Wait() })
	said := make([]byte, 7)
	_, err = io.ReadFull(out, said)
	require.NoError(t, err, "the process ended: its exit code says where in hold")
	pid := uint32(cmd.Process.Pid)
	files, err := Mapped("/proc", pid)
	require.NoError(t, err)
	require.Len(t, files, 1)
	require.Equal(t, name, files[0].Path)
	return pid, files[0]
}

func write(t *testing.T, name string, data []byte) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o755))
	require.NoError(t, os.WriteFile(name, data, 0o644))
}

// requireOpens also reads by the name that is given to the kernel.
func requireOpens(t *testing.T, f File, pid uint32, want []byte) {
	t.Helper()
	file, name, err := f.Open("/proc", pid)
	require.NoError(t, err)
	defer func() { _ = file.Close() }()
	got, err := os.ReadFile(name)
	require.NoError(t, err)
	require.True(t, bytes.Equal(want, got))
}

var (
	mine    = ssl(nil).image()
	another = newer(nil).image()
)

// What stands at the path of a mapped library may be anything.
func TestOpen(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		then func(t *testing.T, name string)
		root bool
	}{
		"untouched": {func(*testing.T, string) {}, false},
		"replaced": {func(t *testing.T, name string) {
			write(t, name+".new", another)
			require.NoError(t, os.Rename(name+".new", name))
		}, true},
		"removed": {func(t *testing.T, name string) { require.NoError(t, os.Remove(name)) }, true},
		"pipe": {func(t *testing.T, name string) {
			require.NoError(t, os.Remove(name))
			require.NoError(t, unix.Mkfifo(name, 0o644))
		}, true},
		"link to another": {func(t *testing.T, name string) {
			write(t, name+".other", another)
			require.NoError(t, os.Remove(name))
			require.NoError(t, os.Symlink(name+".other", name))
		}, true},
	}
	for what, test := range tests {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			if test.root {
				testkit.RequireRoot(t)
			}
			name := filepath.Join(t.TempDir(), "libssl.so.3")
			write(t, name, mine)
			pid, _ := mapping(t, name, "")
			test.then(t, name)
			files, err := Mapped("/proc", pid)
			require.NoError(t, err)
			require.Len(t, files, 1)
			require.Equal(t, what != "untouched", files[0].Deleted)
			requireOpens(t, files[0], pid, mine)
		})
	}
}

// uncapable runs a function on a thread without the capabilities that opening what is mapped takes.
func uncapable(t *testing.T, run func() error) {
	t.Helper()
	done := make(chan error, 1)
	go func() {
		// The thread ends with the goroutine: no other test runs without the capabilities.
		runtime.LockOSThread()
		if err := drop(unix.CAP_SYS_ADMIN, unix.CAP_CHECKPOINT_RESTORE); err != nil {
			done <- err
			return
		}
		done <- run()
	}()
	require.NoError(t, <-done)
}

// Without the capability the error names it, and nothing else than what is mapped is opened.
func TestOpenWithoutCapability(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "libssl.so.3")
	write(t, name, mine)
	pid, f := mapping(t, name, "")
	open := func() error {
		file, _, err := f.Open("/proc", pid)
		closed(file)
		return err
	}
	uncapable(t, open)
	require.NoError(t, os.Rename(name, name+".old"))
	write(t, name, another)
	var err error
	uncapable(t, func() error { err = open(); return nil })
	require.ErrorContains(t, err, "it was replaced or removed since the process mapped it, and opening what is mapped takes CAP_CHECKPOINT_RESTORE or CAP_SYS_ADMIN")
	require.NoError(t, os.Remove(name))
	uncapable(t, func() error { err = open(); return nil })
	require.ErrorContains(t, err, "no such file or directory, and opening what is mapped takes CAP_CHECKPOINT_RESTORE")
}

// maps shows paths from the reader's root, not from the process's.
func TestOpenChangedRoot(t *testing.T) {
	t.Parallel()
	testkit.RequireRoot(t)
	root := t.TempDir()
	name := filepath.Join(root, "lib", "libssl.so.3")
	write(t, name, mine)
	pid, f := mapping(t, name, "", mapEnv+"_ROOT="+root)
	uncapable(t, func() error {
		file, _, err := f.Open("/proc", pid)
		closed(file)
		return err
	})
	requireOpens(t, f, pid, mine)
}

// drop takes capabilities from this thread alone.
func drop(caps ...int) error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return err
	}
	for _, c := range caps {
		data[c/32].Effective &^= 1 << (c % 32)
	}
	return unix.Capset(&header, &data[0])
}

// On an overlay, as containers have, maps and stat disagree about the device.
func TestOpenOverlay(t *testing.T) {
	t.Parallel()
	testkit.RequireRoot(t)
	dir := t.TempDir()
	lower, merged := filepath.Join(dir, "lower"), filepath.Join(dir, "merged")
	for _, sub := range []string{"lower", "upper", "work", "merged"} {
		require.NoError(t, os.Mkdir(filepath.Join(dir, sub), 0o755))
	}
	write(t, filepath.Join(lower, "libssl.so.3"), mine)
	name := filepath.Join(merged, "libssl.so.3")
	pid, f := mapping(t, name, lower)
	requireOpens(t, f, pid, mine)

	inside := filepath.Join("/proc", "self", "root")
	require.NoFileExists(t, filepath.Join(inside, name), "the overlay is the other process's alone")
	var stat unix.Stat_t
	require.NoError(t, unix.Stat(filepath.Join("/proc", strconv.Itoa(int(pid)), "root", name), &stat))
	t.Logf("maps has %d:%d, stat has %d:%d", f.Dev, f.Inode, stat.Dev, stat.Ino)
	// Replaced in the upper layer.
	write(t, filepath.Join("/proc", strconv.Itoa(int(pid)), "root", name+".new"), another)
	require.NoError(t, os.Rename(filepath.Join("/proc", strconv.Itoa(int(pid)), "root", name+".new"), filepath.Join("/proc", strconv.Itoa(int(pid)), "root", name)))
	requireOpens(t, f, pid, mine)
}
