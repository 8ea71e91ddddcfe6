// Package local tests the whole of Sidelight on one host: the real binary, the real kernel, nginx, Postgres and a browser.
package local

import (
	"bufio"
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sidelight/sidelight/internal/testkit"
)

// binary is the command under test, built once.
var binary string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "sidelight-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	// The services' user runs it too.
	if err := os.Chmod(dir, 0o755); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	binary = filepath.Join(dir, "sidelight")
	build := exec.Command("go", "build", "-o", binary, "../../cli/cmd/sidelight")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "building the command:", err)
		return 1
	}
	return m.Run()
}

// requireHost skips, loudly, where the demo cannot run.
func requireHost(t testing.TB) {
	t.Helper()
	testkit.RequireRoot(t)
	if output, err := exec.Command(binary, "check").CombinedOutput(); err != nil {
		testkit.Skip(t, "sidelight check: "+string(output))
	}
	if _, err := os.Stat("/usr/sbin/nginx"); err != nil {
		testkit.Skip(t, "no nginx: apt-get install nginx-light")
	}
	if servers, _ := filepath.Glob("/usr/lib/postgresql/*/bin/postgres"); len(servers) == 0 {
		testkit.Skip(t, "no PostgreSQL: apt-get install postgresql")
	}
}

// demo is a run of `sidelight demo`.
type demo struct {
	cmd    *exec.Cmd
	output strings.Builder
	lines  *bufio.Scanner
	dir    string
}

func startDemo(t testing.TB, args ...string) *demo {
	t.Helper()
	requireHost(t)
	d := &demo{dir: t.TempDir()}
	require.NoError(t, os.Chmod(d.dir, 0o755))
	require.NoError(t, os.Chmod(filepath.Dir(d.dir), 0o755))
	d.cmd = exec.Command(binary, append([]string{"demo", "--listen=127.0.0.1:0"}, args...)...)
	// All that the demo makes lies below: what is left behind can be seen.
	d.cmd.Env = append(os.Environ(), "TMPDIR="+d.dir)
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	read, write, err := os.Pipe()
	require.NoError(t, err)
	d.cmd.Stdout, d.cmd.Stderr = write, write
	require.NoError(t, d.cmd.Start())
	require.NoError(t, write.Close())
	d.lines = bufio.NewScanner(read)
	d.lines.Buffer(nil, 1<<20)
	t.Cleanup(func() {
		_ = d.cmd.Process.Kill()
		_ = d.cmd.Wait()
		_ = read.Close()
		if t.Failed() {
			t.Logf("the demo printed:\n%s", d.output.String())
		}
	})
	return d
}

// until reads lines up to the first that matches.
func (d *demo) until(t testing.TB, pattern string) []string {
	t.Helper()
	want := regexp.MustCompile(pattern)
	for d.lines.Scan() {
		d.output.WriteString(d.lines.Text() + "\n")
		if m := want.FindStringSubmatch(d.lines.Text()); m != nil {
			return m
		}
	}
	t.Fatalf("the demo ended without a line that matches %q", pattern)
	return nil
}

// end reads the rest and gives the exit code and the last line.
func (d *demo) end(t testing.TB) (code int, last string) {
	t.Helper()
	timer := time.AfterFunc(2*time.Minute, func() { _ = d.cmd.Process.Kill() })
	defer timer.Stop()
	for d.lines.Scan() {
		d.output.WriteString(d.lines.Text() + "\n")
		if d.lines.Text() != "" {
			last = d.lines.Text()
		}
	}
	_ = d.cmd.Wait()
	return d.cmd.ProcessState.ExitCode(), last
}

// children lists the processes below one, with their command lines.
func children(pid int) map[int]string {
	found := map[int]string{}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
		if len(fields) < 2 || fields[1] != strconv.Itoa(pid) {
			continue
		}
		child, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err != nil {
			continue
		}
		line, _ := os.ReadFile(filepath.Dir(path) + "/cmdline")
		found[child] = strings.ReplaceAll(strings.TrimRight(string(line), "\x00"), "\x00", " ")
		maps.Copy(found, children(child))
	}
	return found
}

// find gives the first process below the demo whose command line has the text.
func (d *demo) find(t testing.TB, text string) int {
	t.Helper()
	for pid, line := range children(d.cmd.Process.Pid) {
		if strings.Contains(line, text) {
			return pid
		}
	}
	t.Fatalf("no process of the demo has %q: %v", text, children(d.cmd.Process.Pid))
	return 0
}

// leftNothing checks the folder, and that the processes that were there are gone.
func (d *demo) leftNothing(t testing.TB, processes map[int]string) {
	t.Helper()
	entries, err := os.ReadDir(d.dir)
	require.NoError(t, err)
	require.Empty(t, entries, "files are left behind")
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for pid, line := range processes {
		require.Eventually(t, func() bool {
			now, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
			return ctx.Err() == nil && (err != nil || strings.ReplaceAll(strings.TrimRight(string(now), "\x00"), "\x00", " ") != line)
		}, 10*time.Second, 20*time.Millisecond, "%d %s is left behind", pid, line)
	}
}
