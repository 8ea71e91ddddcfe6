package agent

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime/pprof"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"

	"github.com/sidelight/sidelight/agent/internal/seccomp"
	"github.com/sidelight/sidelight/agent/internal/selector"
	"github.com/sidelight/sidelight/internal/config"
	"github.com/sidelight/sidelight/internal/rpc"
	"github.com/sidelight/sidelight/internal/testkit"
	"github.com/sidelight/sidelight/internal/testkit/testpki"
	"github.com/sidelight/sidelight/internal/tlsreload"
	aggregatorv1 "github.com/sidelight/sidelight/proto/gen/sidelight/aggregator/v1"
)

// confinedVariable makes the test binary a whole agent that confines itself; its value is an order.
const confinedVariable = "SIDELIGHT_TEST_CONFINED"

type order struct {
	Aggregator string
	TLS        tlsreload.Config
	Filter     selector.Filter
	// Panic instead of doing anything.
	Panic bool
	// First is what the surroundings do before the program starts: "runtime" is a container runtime that applies the profile,
	// "read-only" one that mounts everything so.
	First string
}

func TestMain(m *testing.M) {
	text := os.Getenv(confinedVariable)
	if text == "" {
		os.Exit(m.Run())
	}
	if err := confined(text); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func confined(text string) error {
	var o order
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		return err
	}
	if o.First != "" {
		return first(o)
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	if err := errors.Join(ReduceCapabilities(), Confine(log)); err != nil {
		return err
	}
	if o.Panic {
		panic("on purpose")
	}
	if err := json.NewEncoder(os.Stdout).Encode(attempts()); err != nil {
		return err
	}
	cfg := DefaultConfig()
	cfg.Aggregator.Address, cfg.TLS, cfg.Mirror.Filters = o.Aggregator, o.TLS, []selector.Filter{o.Filter}
	cfg.TLS.Poll = config.Duration(20 * time.Millisecond)
	a, err := New(cfg, Deps{Log: log})
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	return a.Run(ctx)
}

func first(o order) error {
	var err error
	switch o.First {
	case "runtime":
		err = seccomp.InstallForStart(SeccompProfile)
	case "read-only":
		err = errors.Join(unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""), readOnly())
		if file, openErr := os.Create("/tmp/" + confinedVariable); err == nil && openErr == nil {
			return errors.Join(errors.New("the root can be written"), file.Close())
		}
	}
	o.First = ""
	text, encodeErr := json.Marshal(o)
	if err = errors.Join(err, encodeErr, os.Setenv(confinedVariable, string(text))); err != nil {
		return err
	}
	return syscall.Exec("/proc/self/exe", os.Args, os.Environ())
}

// readOnly makes every mount so; one by one before Linux 5.12.
func readOnly() error {
	err := unix.MountSetattr(-1, "/", unix.AT_RECURSIVE, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY})
	if !errors.Is(err, unix.ENOSYS) {
		return err
	}
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return err
	}
	var problems []error
	for line := range strings.Lines(string(mounts)) {
		at := strings.Fields(line)[1]
		problems = append(problems, unix.Mount("", at, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, ""))
	}
	return errors.Join(problems...)
}

// attempts does what must be possible, and tries what must not.
func attempts() map[string]string {
	var profile bytes.Buffer
	errno := func(number uintptr, args ...uintptr) error {
		var all [6]uintptr
		copy(all[:], args)
		if _, _, err := syscall.Syscall6(number, all[0], all[1], all[2], all[3], all[4], all[5]); err != 0 {
			return err
		}
		return nil
	}
	lookup := func(preferGo bool) error {
		_, err := (&net.Resolver{PreferGo: preferGo}).LookupHost(context.Background(), "host.invalid")
		if errors.Is(err, unix.EPERM) {
			return err
		}
		return nil
	}
	tries := map[string]func() error{
		"may: profile": func() error {
			if err := pprof.StartCPUProfile(&profile); err != nil {
				return err
			}
			for begin := time.Now(); time.Since(begin) < 50*time.Millisecond; {
			}
			pprof.StopCPUProfile()
			return nil
		},
		"may: names, by Go": func() error { return lookup(true) }, "may: names, by libc": func() error { return lookup(false) },
		"may: localhost":      func() error { _, err := net.LookupHost("localhost"); return err },
		"may: interfaces":     func() error { _, err := net.InterfaceAddrs(); return err },
		"start a program":     func() error { return exec.Command("/bin/true").Run() },
		"become a program":    func() error { return syscall.Exec("/bin/true", []string{"true"}, nil) },
		"clone a process":     func() error { return errno(unix.SYS_CLONE, uintptr(unix.SIGCHLD)|unix.CLONE_SIGHAND) }, // elsewhere: EINVAL
		"ptrace":              func() error { return errno(unix.SYS_PTRACE, unix.PTRACE_ATTACH, uintptr(os.Getppid())) },
		"read other's memory": func() error { return errno(unix.SYS_PROCESS_VM_READV, uintptr(os.Getppid())) },
		"take a descriptor":   func() error { return errno(unix.SYS_PIDFD_OPEN, uintptr(os.Getppid())) },
		"mount":               func() error { return unix.Mount("none", "/mnt", "tmpfs", 0, "") },
		"unshare":             func() error { return unix.Unshare(unix.CLONE_NEWUSER) },
		"raw packets":         func() error { _, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW, 0); return err },
		"write a file":        func() error { _, err := os.OpenFile("/dev/null", os.O_WRONLY, 0); return err },
		"make a file":         func() error { _, err := os.OpenFile("/tmp/x", os.O_RDONLY|os.O_CREATE, 0o600); return err },
		"delete a file":       func() error { return unix.Unlink("/nonexistent") },
		"signal a process":    func() error { return unix.Kill(os.Getppid(), 0) },
		"change limits":       func() error { return unix.Prlimit(os.Getppid(), unix.RLIMIT_NOFILE, nil, &unix.Rlimit{}) },
		"be dumpable":         func() error { return unix.Prctl(unix.PR_SET_DUMPABLE, 1, 0, 0, 0) },
		"io_uring":            func() error { return errno(unix.SYS_IO_URING_SETUP, 1, 0) },
		"load a module":       func() error { return errno(unix.SYS_FINIT_MODULE, 0) },
		"terminal input":      func() error { return errno(unix.SYS_IOCTL, 0, unix.TIOCSTI) },
	}
	got := map[string]string{}
	for name, try := range tries {
		got[name] = "done"
		if err := try(); err != nil {
			got[name] = err.Error()
			if errors.Is(err, unix.EPERM) {
				got[name] = "refused"
			}
		}
	}
	return got
}

// startConfined starts the test binary as an unprivileged user with the agent's capabilities, as the launcher does.
func startConfined(t *testing.T, o order, credential *syscall.SysProcAttr) (*exec.Cmd, *bufio.Reader, *bytes.Buffer) {
	t.Helper()
	text, err := json.Marshal(o)
	require.NoError(t, err)
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), confinedVariable+"="+string(text), "GOCOVERDIR=")
	cmd.SysProcAttr = credential
	var stderr bytes.Buffer
	cmd.Stderr = io.MultiWriter(&stderr, t.Output())
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return cmd, bufio.NewReader(stdout), &stderr
}

func likeTheLauncher() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}, AmbientCaps: Capabilities()}
}

// A whole agent under its own seccomp profile and with its capabilities alone: it mirrors a real nginx, lets go of it, takes it
// up again, reads new certificates, and stops; and it cannot do anything else.
func TestConfined(t *testing.T) {
	for name, test := range map[string]struct {
		how   *syscall.SysProcAttr
		first string
	}{
		"as the launcher starts it": {likeTheLauncher(), ""},
		// As a unit without a setting, or a container with too many privileges: it sheds them itself.
		"as root":                          {nil, ""},
		"under a container runtime":        {nil, "runtime"},
		"with nothing that can be written": {&syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS}, "read-only"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			s.stop()
			mirrorConfined(t, s, test.how, test.first)
		})
	}
}

func mirrorConfined(t *testing.T, s *site, how *syscall.SysProcAttr, first string) {
	ca := testpki.New(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s.aggregator = &aggregator{came: make(chan struct{}, 1)}
	server := rpc.NewServer(rpc.ServerConfig{}, rpc.ServerDeps{
		Log: testkit.Quiet(), TLS: ca.Source(t, "aggregator"), Listener: listener,
		Rules:    []rpc.Rule{{Method: aggregatorv1.MirrorService_Mirror_FullMethodName, Allow: []rpc.Identity{"agent"}}},
		Register: func(g *grpc.Server) { aggregatorv1.RegisterMirrorServiceServer(g, s.aggregator) },
	})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx) }()
	defer func() { cancel(); require.NoError(t, <-ended) }()
	_, text, err := net.SplitHostPort(s.address)
	require.NoError(t, err)
	port, err := strconv.ParseUint(text, 10, 16)
	require.NoError(t, err)
	files := ca.Files(t, "agent")
	_, aggregatorPort, err := net.SplitHostPort(listener.Addr().String())
	require.NoError(t, err)
	cmd, stdout, _ := startConfined(t, order{
		Aggregator: "localhost:" + aggregatorPort, TLS: files, Filter: selector.Filter{Executable: "nginx", Port: uint16(port)}, First: first,
	}, how)

	line, err := stdout.ReadBytes('\n')
	require.NoError(t, err)
	var got map[string]string
	require.NoError(t, json.Unmarshal(line, &got))
	for name, outcome := range got {
		want := "refused"
		if strings.HasPrefix(name, "may: ") {
			want = "done"
		}
		require.Equal(t, want, outcome, name)
	}
	s.awaitMirrored(t, "first")
	requireConfined(t, cmd.Process.Pid)

	// New certificates: the next stream uses them.
	ca.Files(t, "agent")
	s.awaitMirrored(t, "after-certificates")

	s.restartNginx(t, func() {
		require.Eventually(t, func() bool { return !holdsBPF(t, cmd.Process.Pid) }, time.Minute, 10*time.Millisecond, "nothing is selected")
	})
	s.awaitMirrored(t, "again")
	requireConfined(t, cmd.Process.Pid)

	require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
	require.NoError(t, cmd.Wait())
}

// awaitMirrored sends requests until one of them comes out as an exchange.
func (s *site) awaitMirrored(t *testing.T, name string) {
	t.Helper()
	n := 0
	require.Eventually(t, func() bool {
		n++
		target := fmt.Sprintf("/%s/%d", name, n)
		s.send(t, "GET "+target+" HTTP/1.1\r\nHost: a\r\n\r\n")
		<-time.After(20 * time.Millisecond)
		for i := range n {
			if len(s.aggregator.of(fmt.Sprintf("/%s/%d", name, i+1))) > 0 {
				return true
			}
		}
		return false
	}, 2*time.Minute, 10*time.Millisecond, name)
}

// restartNginx calls between while there is none.
func (s *site) restartNginx(t *testing.T, between func()) {
	t.Helper()
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", s.nginx))
	require.NoError(t, err)
	// nginx writes its own title: "nginx: master process /usr/sbin/nginx -p …".
	_, command, _ := strings.Cut(strings.TrimRight(strings.ReplaceAll(string(line), "\x00", " "), " "), "process ")
	words := strings.Fields(command)
	require.NoError(t, syscall.Kill(-s.nginx, syscall.SIGTERM))
	between()
	nginx := exec.Command(words[0], words[1:]...)
	nginx.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	nginx.Stderr = t.Output()
	require.NoError(t, nginx.Start())
	s.nginx = nginx.Process.Pid
	t.Cleanup(func() { _ = syscall.Kill(-nginx.Process.Pid, syscall.SIGKILL); _ = nginx.Wait() })
	require.Eventually(t, func() bool {
		conn, err := net.Dial("tcp", s.address)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	}, time.Minute, 10*time.Millisecond)
}

// requireConfined looks at every thread.
func requireConfined(t *testing.T, pid int) {
	t.Helper()
	var mask uint64
	for _, c := range Capabilities() {
		mask |= 1 << c
	}
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	require.NoError(t, err)
	require.NotEmpty(t, threads)
	for _, thread := range threads {
		status, err := os.ReadFile(thread)
		require.NoError(t, err)
		for _, want := range []string{fmt.Sprintf("CapEff:\t%016x", mask), fmt.Sprintf("CapPrm:\t%016x", mask), "NoNewPrivs:\t1", "Seccomp:\t2"} {
			require.Contains(t, string(status), want, thread)
		}
	}
}

func holdsBPF(t *testing.T, pid int) bool {
	t.Helper()
	descriptors, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	require.NoError(t, err)
	for _, descriptor := range descriptors {
		if what, err := os.Readlink(descriptor); err == nil && strings.Contains(what, "bpf") {
			return true
		}
	}
	return false
}

// A crash ends the process with its trace, and not in a loop of refused calls.
func TestConfinedCrash(t *testing.T) {
	testkit.RequireRoot(t)
	cmd, stdout, stderr := startConfined(t, order{Panic: true}, likeTheLauncher())
	_, err := io.Copy(io.Discard, stdout)
	require.NoError(t, err)
	var exit *exec.ExitError
	require.ErrorAs(t, cmd.Wait(), &exit)
	require.Equal(t, 2, exit.ExitCode())
	require.Contains(t, stderr.String(), "panic: on purpose")
}
