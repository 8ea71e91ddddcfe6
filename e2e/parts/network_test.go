package parts

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// network is a bridge in a namespace of its own, and a namespace for each host beside it. Nothing of the machine's own
// network is touched, and all of it is gone with the test's process.
type network struct {
	t     testing.TB
	hub   *namespace
	hosts int
}

// namespace is a network namespace and a thread that lives in it.
type namespace struct {
	name, address string
	file          *os.File
	work          chan func()
	// port is the bridge's end of its cable.
	port string
}

func newNetwork(t testing.TB) *network {
	t.Helper()
	n := &network{t: t, hub: newNamespace(t, "hub")}
	n.hub.address = "10.77.0.1"
	n.hub.ip(t, "link add br0 type bridge")
	n.hub.ip(t, "addr add 10.77.0.1/24 dev br0")
	n.hub.ip(t, "link set br0 up")
	return n
}

// host adds a host to the bridge.
func (n *network) host(name string) *namespace {
	n.t.Helper()
	h := newNamespace(n.t, name)
	n.hosts++
	h.address, h.port = fmt.Sprintf("10.77.0.%d", 10+n.hosts), fmt.Sprintf("port%d", n.hosts)
	n.hub.ip(n.t, fmt.Sprintf("link add %s type veth peer name eth0 netns /proc/%d/fd/%d", h.port, os.Getpid(), h.file.Fd()))
	n.hub.ip(n.t, fmt.Sprintf("link set %s master br0 up", h.port))
	h.ip(n.t, "addr add "+h.address+"/24 dev eth0")
	h.ip(n.t, "link set eth0 up")
	return h
}

func newNamespace(t testing.TB, name string) *namespace {
	t.Helper()
	n := &namespace{name: name, work: make(chan func())}
	ready := make(chan error, 1)
	go func() {
		// Never unlocked: the thread is the namespace's own. Children that it starts are told when it ends, and it ends with
		// the process.
		runtime.LockOSThread()
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			n.file, err = os.Open("/proc/thread-self/ns/net")
		}
		ready <- err
		for f := range n.work {
			f()
		}
	}()
	require.NoError(t, <-ready)
	n.ip(t, "link set lo up")
	// Not closed at the end: threads stay for what other tests of this process may have started in them.
	return n
}

// do runs f on the namespace's thread.
func (n *namespace) do(f func()) {
	done := make(chan struct{})
	n.work <- func() { defer close(done); f() }
	<-done
}

func (n *namespace) ip(t testing.TB, args string) {
	t.Helper()
	var output []byte
	var err error
	n.do(func() { output, err = exec.Command("ip", strings.Fields(args)...).CombinedOutput() })
	require.NoError(t, err, "in %s: ip %s: %s", n.name, args, output)
}

// dial connects from within the namespace. The socket stays there wherever it is used.
func (n *namespace) dial(ctx context.Context, network, address string) (net.Conn, error) {
	type result struct {
		conn net.Conn
		err  error
	}
	done := make(chan result, 1)
	go func() {
		runtime.LockOSThread()
		// The thread ends with this goroutine: it is not unlocked.
		if err := unix.Setns(int(n.file.Fd()), unix.CLONE_NEWNET); err != nil {
			done <- result{err: fmt.Errorf("entering %s: %w", n.name, err)}
			return
		}
		conn, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, network, address)
		done <- result{conn, err}
	}()
	r := <-done
	return r.conn, r.err
}

// cut makes packets between two hosts vanish; heal lets them through again.
func cut(t testing.TB, a, b *namespace) {
	t.Helper()
	a.ip(t, "route add blackhole "+b.address+"/32")
	b.ip(t, "route add blackhole "+a.address+"/32")
}

func heal(t testing.TB, a, b *namespace) {
	t.Helper()
	a.ip(t, "route del blackhole "+b.address+"/32")
	b.ip(t, "route del blackhole "+a.address+"/32")
}
