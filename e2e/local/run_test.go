package local

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// startRun starts `sidelight run` with a configuration of its own.
func startRun(t *testing.T, mirror string) (d *demo, dataDir string) {
	t.Helper()
	requireHost(t)
	dir := t.TempDir()
	for path := dir; path != os.TempDir() && path != "/"; path = filepath.Dir(path) {
		require.NoError(t, os.Chmod(path, 0o755))
	}
	dataDir = filepath.Join(dir, "data")
	file := filepath.Join(dir, "sidelight.yaml")
	require.NoError(t, os.WriteFile(file, fmt.Appendf(nil, "data_dir: %s\nconsole:\n  listen: 127.0.0.1:0\n%s", dataDir, mirror), 0o600))
	d = &demo{dir: dir, cmd: exec.Command(binary, "run", "--config", file)}
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	read, write, err := os.Pipe()
	require.NoError(t, err)
	d.cmd.Stdout, d.cmd.Stderr = write, write
	require.NoError(t, d.cmd.Start())
	require.NoError(t, write.Close())
	d.lines = bufio.NewScanner(read)
	t.Cleanup(func() {
		_ = d.cmd.Process.Signal(os.Interrupt)
		_ = d.cmd.Wait()
		_ = read.Close()
		if t.Failed() {
			t.Logf("it printed:\n%s", d.output.String())
		}
	})
	return d, dataDir
}

// Nothing by default: everything is up, and no BPF program is in the kernel.
func TestRunMirrorsNothingByDefault(t *testing.T) {
	d, dataDir := startRun(t, "")
	d.until(t, `^sign in   user admin, one-time secret \S+`)
	d.until(t, `^mirroring nothing: .* no BPF program is attached`)
	agent := d.find(t, "child agent")
	descriptors, err := os.ReadDir(filepath.Join("/proc", strconv.Itoa(agent), "fd"))
	require.NoError(t, err)
	for _, descriptor := range descriptors {
		what, _ := os.Readlink(filepath.Join("/proc", strconv.Itoa(agent), "fd", descriptor.Name()))
		require.NotContains(t, what, "bpf")
	}
	privileges(t, d)
	// What a host pays for an agent that has nothing to do. A part of it is the program's own file, shared by all of them.
	peak, own := memory(t, agent, "VmHWM"), memory(t, agent, "RssAnon")
	t.Logf("the agent's largest memory: %d MiB, of which it has %d MiB for itself alone", peak>>20, own>>20)
	require.Less(t, peak, int64(40e6))

	out := filepath.Join(t.TempDir(), "certs")
	code, stdout, stderr := sidelight(t, "", "certs", "--data-dir", dataDir, "--out", out)
	require.Equal(t, 0, code, stderr)
	require.Contains(t, stdout, "aggregator")
	for _, name := range []string{"tls.crt", "tls.key", "ca.crt"} {
		info, err := os.Stat(filepath.Join(out, name))
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	}
	stop(t, d)
}

// privileges: the agent has its five capabilities, the services none, and neither is root.
func privileges(t *testing.T, d *demo) {
	t.Helper()
	for process, want := range map[string]string{"child agent": "000001c000080004", "child services": "0000000000000000"} {
		status, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(d.find(t, process)), "status"))
		require.NoError(t, err)
		require.Contains(t, string(status), "CapEff:\t"+want, process)
		require.Contains(t, string(status), "NoNewPrivs:\t1", process)
		require.NotContains(t, string(status), "Uid:\t0\t", process)
	}
}

// stop ends it as Ctrl-C does, and checks that it leaves no process.
func stop(t *testing.T, d *demo) {
	t.Helper()
	processes := children(d.cmd.Process.Pid)
	require.NotEmpty(t, processes)
	require.NoError(t, d.cmd.Process.Signal(os.Interrupt))
	code, _ := d.end(t)
	require.Equal(t, 0, code)
	for pid, line := range processes {
		require.Eventually(t, func() bool {
			now, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
			return err != nil || strings.ReplaceAll(strings.TrimRight(string(now), "\x00"), "\x00", " ") != line
		}, 10*time.Second, 20*time.Millisecond, "%s is left behind", line)
	}
}

// A second start finds what the first one left, and mirrors what its filters select.
func TestRunAgain(t *testing.T) {
	d, dataDir := startRun(t, "mirror:\n  filters:\n    - executable: no-such-program\n")
	d.until(t, `^mirroring nothing`)
	stop(t, d)
	require.NoDirExists(t, filepath.Join(dataDir, "run"), "keys and sockets are gone")
	require.DirExists(t, filepath.Join(dataDir, "journal"))
	config := filepath.Join(d.dir, "sidelight.yaml")
	again := &demo{dir: d.dir, cmd: exec.Command(binary, "run", "--config", config)}
	read, write, err := os.Pipe()
	require.NoError(t, err)
	defer read.Close()
	again.cmd.Stdout, again.cmd.Stderr = write, write
	require.NoError(t, again.cmd.Start())
	require.NoError(t, write.Close())
	again.lines = bufio.NewScanner(read)
	again.until(t, `^mirroring nothing`)
	stop(t, again)
}
