package probe

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sidelight/sidelight/internal/testkit"
)

// rig is a mirrored server and all events that came of it.
type rig struct {
	probe   *Probe
	address string
	pid     uint32
	port    uint16

	mu     sync.Mutex
	events []Event
	ended  chan struct{}
	closed chan struct{}
	// stop ends reading; it may be called twice.
	stop func()
}

func start(t *testing.T, how string, cfg Config) *rig {
	t.Helper()
	r := prepare(t, how, cfg)
	require.NoError(t, r.probe.SetTargets([]Target{{r.pid, []uint16{r.port}}}))
	return r
}

// prepare starts the server and a probe that has no target yet.
func prepare(t *testing.T, how string, cfg Config) *rig {
	t.Helper()
	testkit.RequireRoot(t)
	for _, finding := range Check() {
		if !finding.OK {
			testkit.Skip(t, "BPF: "+finding.Name+": "+finding.Detail)
		}
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	file, err := listenerFile(listener)
	require.NoError(t, err)
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), roleVariable+"="+how)
	cmd.ExtraFiles = []*os.File{file}
	cmd.Stderr = t.Output()
	stdin, err := cmd.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	require.NoError(t, file.Close())
	require.NoError(t, listener.Close())
	t.Cleanup(func() { stdin.Close(); _ = cmd.Wait() })

	r := &rig{probe: New(cfg, testkit.Logger(t)), address: listener.Addr().String(), pid: uint32(cmd.Process.Pid),
		port: uint16(listener.Addr().(*net.TCPAddr).Port), ended: make(chan struct{}), closed: make(chan struct{}, 64)}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		defer close(r.ended)
		if err := r.probe.Run(ctx, r.handle, func() {}); err != nil {
			t.Errorf("probe: %v", err)
		}
	}()
	r.stop = func() { cancel(); <-r.ended }
	t.Cleanup(r.stop)
	return r
}

func (r *rig) handle(e *Event) {
	kept := *e
	kept.Data = bytes.Clone(e.Data)
	r.mu.Lock()
	r.events = append(r.events, kept)
	r.mu.Unlock()
	if e.Flags&FlagClose != 0 {
		r.closed <- struct{}{}
	}
}

// talk sends each message and reads its echo, on one connection, and waits until the server's side was seen to close.
func (r *rig) talk(t *testing.T, messages ...[]byte) {
	t.Helper()
	conn, err := net.Dial("tcp", r.address)
	require.NoError(t, err)
	exchange(t, conn, messages...)
	require.NoError(t, conn.Close())
	r.awaitClose(t)
}

func exchange(t *testing.T, conn net.Conn, messages ...[]byte) {
	t.Helper()
	for _, message := range messages {
		// A large message fills both directions: send and receive at once.
		sent := make(chan error, 1)
		go func() { _, err := conn.Write(message); sent <- err }()
		echo := make([]byte, len(message))
		_, err := io.ReadFull(conn, echo)
		require.NoError(t, err)
		require.NoError(t, <-sent)
		require.Equal(t, message, echo)
	}
}

func (r *rig) awaitClose(t *testing.T) {
	t.Helper()
	select {
	case <-r.closed:
	case <-time.After(10 * time.Second):
		t.Fatal("the connection's end was not seen")
	}
}

// stream puts a direction's bytes together by sequence number; holes are 0, and the second result marks what was copied.
func (r *rig) stream(dir Direction) (data []byte, copied []bool, size int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	first, started := uint32(0), false
	for _, e := range r.events {
		if e.Dir != dir || e.Flags&FlagClose != 0 {
			continue
		}
		if !started {
			first, started = e.Seq, true
		}
		end := int(e.Seq-first) + int(e.Len)
		if end > len(data) {
			data = append(data, make([]byte, end-len(data))...)
			copied = append(copied, make([]bool, end-len(copied))...)
		}
		copy(data[e.Seq-first:], e.Data)
		for i := range e.Data {
			copied[int(e.Seq-first)+i] = true
		}
		size += int(e.Len)
	}
	return data, copied, size
}

func random(n int) []byte {
	source := rand.NewChaCha8([32]byte{byte(n)})
	data := make([]byte, n)
	_, _ = source.Read(data)
	return data
}

// generous budgets: nothing of these tests is over them.
func generous() Config {
	cfg := DefaultConfig()
	cfg.RequestBudget, cfg.ResponseBudget = 1<<20, 1<<20
	return cfg
}

func TestBytesAreExact(t *testing.T) {
	for _, how := range []string{"read-write", "readv-writev", "recvfrom-sendto", "recvmsg-sendmsg"} {
		t.Run(how, func(t *testing.T) {
			r := start(t, how, generous())
			messages := [][]byte{[]byte("GET / HTTP/1.1\r\n\r\n"), random(255), random(256), random(257), random(1024), random(4097), random(16384), random(60000)}
			r.talk(t, messages...)
			want := bytes.Join(messages, nil)
			for _, dir := range []Direction{In, Out} {
				data, copied, _ := r.stream(dir)
				require.Equal(t, want, data, "direction %d", dir)
				require.NotContains(t, copied, false)
			}
			require.Zero(t, r.probe.Stats().RingFullBytes)
			require.NotZero(t, r.events[0].Flags&FlagStart)
			for _, e := range r.events {
				require.Equal(t, r.address, e.Local.String())
				require.Equal(t, r.pid, e.Tgid|uint32(boolTo(e.Flags&FlagClose != 0))*r.pid)
			}
		})
	}
}

func boolTo(b bool) int {
	if b {
		return 1
	}
	return 0
}

func TestSendfileTellsItsSize(t *testing.T) {
	r := start(t, "sendfile", generous())
	r.talk(t, random(5000), []byte("x"))
	_, copied, size := r.stream(Out)
	require.Equal(t, 5001, size)
	require.NotContains(t, copied, true)
}

func TestBudgetIsPerRunOfADirection(t *testing.T) {
	cfg := DefaultConfig()
	cfg.RequestBudget, cfg.ResponseBudget = 1000, 100
	r := start(t, "read-write", cfg)
	messages := [][]byte{random(3000), random(50), random(2500)}
	r.talk(t, messages...)
	data, copied, size := r.stream(In)
	require.Equal(t, 5550, size)
	for start, i := 0, 0; i < len(messages); i++ {
		n := min(1000, len(messages[i]))
		require.Equal(t, messages[i][:n], data[start:start+n])
		require.NotContains(t, copied[start:start+n], false)
		require.NotContains(t, copied[start+n:start+len(messages[i])], true)
		start += len(messages[i])
	}
	require.Equal(t, uint64(2000+1500+2900+2400), r.probe.Stats().TruncatedBytes)
}

func TestConnectionOlderThanTheProbe(t *testing.T) {
	r := prepare(t, "read-write", generous())
	conn, err := net.Dial("tcp", r.address)
	require.NoError(t, err)
	exchange(t, conn, []byte("before"))
	require.NoError(t, r.probe.SetTargets([]Target{{r.pid, []uint16{r.port}}}))
	exchange(t, conn, []byte("after"))
	require.NoError(t, conn.Close())
	r.awaitClose(t)
	data, _, _ := r.stream(In)
	require.Equal(t, "after", string(data))
	require.NotZero(t, r.events[0].Flags&FlagAccepted, "its port listens: it is the server side")
	require.Zero(t, r.events[0].Flags&FlagStart, "its beginning was not seen")
}

// The ring is a page: most of what comes does not fit, and every byte of it is counted.
func TestEveryLossIsCounted(t *testing.T) {
	cfg := generous()
	cfg.RingBytes = uint32(os.Getpagesize())
	cfg.Poll = 100 * time.Millisecond
	r := start(t, "read-write", cfg)
	messages := slices.Repeat([][]byte{random(2000)}, 200)
	conn, err := net.Dial("tcp", r.address)
	require.NoError(t, err)
	exchange(t, conn, messages...)
	require.NoError(t, conn.Close())
	require.NoError(t, r.probe.SetTargets(nil))
	stats := r.probe.Stats()
	require.NotZero(t, stats.RingFullBytes)
	require.Equal(t, uint64(2*200*2000), stats.Bytes+stats.RingFullBytes)
}

func TestNothingSelectedNothingAttached(t *testing.T) {
	r := prepare(t, "read-write", generous())
	require.False(t, r.probe.Attached())
	require.Empty(t, inKernel(t))
	require.NoError(t, r.probe.SetTargets([]Target{{Tgid: r.pid}}))
	require.Len(t, inKernel(t), 2*len(ProgramNames()), "a program and a link each")
	r.talk(t, []byte("hello"))
	require.NoError(t, r.probe.SetTargets(nil))
	require.False(t, r.probe.Attached())
	require.Empty(t, inKernel(t))
	r.mu.Lock()
	r.events = nil
	r.mu.Unlock()
	conn, err := net.Dial("tcp", r.address)
	require.NoError(t, err)
	exchange(t, conn, []byte("unseen"))
	require.NoError(t, conn.Close())
	require.NoError(t, r.probe.SetTargets([]Target{{Tgid: r.pid}}))
	r.talk(t, []byte("seen"))
	data, _, _ := r.stream(In)
	require.Equal(t, "seen", string(data))
}

// inKernel lists what this process holds in the kernel: programs, maps and links live as long as these descriptors.
func inKernel(t *testing.T) []string {
	t.Helper()
	descriptors, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	var held []string
	for _, descriptor := range descriptors {
		what, err := os.Readlink("/proc/self/fd/" + descriptor.Name())
		if err == nil && (strings.Contains(what, "bpf-prog") || strings.Contains(what, "bpf_link")) {
			held = append(held, what)
		}
	}
	return held
}

func TestOthersAreNotSeen(t *testing.T) {
	r := start(t, "read-write", generous())
	other := prepare(t, "read-write", generous())
	conn, err := net.Dial("tcp", other.address)
	require.NoError(t, err)
	exchange(t, conn, []byte("private"))
	require.NoError(t, conn.Close())
	r.talk(t, []byte("mirrored"))
	data, _, _ := r.stream(In)
	require.Equal(t, "mirrored", string(data))
}
