package probe

import (
	"bytes"
	"context"
	"fmt"
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
	"golang.org/x/sys/unix"

	"github.com/sidelight/sidelight/internal/testkit"
)

// rig is a mirrored server and all events that came of it.
type rig struct {
	probe   *Probe
	address string
	pid     uint32
	port    uint16

	mu      sync.Mutex
	events  []Event
	notices []Notice
	ended   chan struct{}
	closed  chan struct{}
	// stop ends reading; it may be called twice.
	stop func()
	// echoed bytes were read back.
	echoed int
}

func start(t *testing.T, how string, cfg Config) *rig {
	t.Helper()
	r := prepare(t, how, cfg)
	require.NoError(t, r.probe.SetTargets([]Target{{r.pid, []uint16{r.port}}}))
	return r
}

// findings are asked for once: each time loads all programs.
var findings = sync.OnceValue(Check)

func requireBPF(t *testing.T) {
	t.Helper()
	testkit.RequireRoot(t)
	for _, finding := range findings() {
		if !finding.OK {
			testkit.Skip(t, "BPF: "+finding.Name+": "+finding.Detail)
		}
	}
}

// overBackends runs a test over each backend. What the kernel does not have is skipped by name: older ones do not tell what their
// sockets move, and not every machine lets programs stand at functions; the kernels of make test-kernels all do the latter.
func overBackends(t *testing.T, test func(t *testing.T, backend string)) {
	t.Helper()
	for _, backend := range []string{BackendSockets, BackendCalls, BackendFunctions} {
		t.Run(backend, func(t *testing.T) {
			requireBackend(t, backend)
			if err := tryFunctions(); backend == BackendFunctions && err != nil {
				t.Skip("functions cannot be watched here: " + firstLine(err))
			}
			test(t, backend)
		})
	}
}

func requireBackend(t *testing.T, backend string) {
	t.Helper()
	requireBPF(t)
	if _, err := choose(backend); err != nil {
		require.True(t, before(t, 6, 5), "this kernel has what sockets need: %v", err)
		t.Skip(err.Error())
	}
}

// before tells whether the running kernel is older.
func before(t *testing.T, major, minor int) bool {
	t.Helper()
	var name unix.Utsname
	require.NoError(t, unix.Uname(&name))
	var is [2]int
	_, err := fmt.Sscanf(unix.ByteSliceToString(name.Release[:]), "%d.%d", &is[0], &is[1])
	require.NoError(t, err)
	return is[0] < major || is[0] == major && is[1] < minor
}

// prepare starts the server and a probe that has no target yet.
func prepare(t *testing.T, how string, cfg Config) *rig {
	t.Helper()
	requireBPF(t)
	address := "127.0.0.1:0"
	if at, found := strings.CutPrefix(how, "ipv6 "); found {
		address, how = "[::1]:0", at
	}
	return prepareAt(t, address, how, cfg)
}

func startAt(t *testing.T, address, how string, cfg Config) *rig {
	t.Helper()
	r := prepareAt(t, address, how, cfg)
	require.NoError(t, r.probe.SetTargets([]Target{{r.pid, []uint16{r.port}}}))
	return r
}

func prepareAt(t *testing.T, address, how string, cfg Config) *rig {
	t.Helper()
	listener, err := net.Listen("tcp", address)
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
		if err := r.probe.Run(ctx, Handlers{Event: r.handle, Idle: func() {}, Notice: r.notice}); err != nil {
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

func (r *rig) notice(n Notice) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.notices = append(r.notices, n)
}

func (r *rig) noticed(kind NoticeKind) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Contains(r.notices, Notice{kind, r.pid})
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

func defaults(backend string) Config {
	cfg := DefaultConfig()
	cfg.Backend = backend
	return cfg
}

// generous budgets: nothing of these tests is over them.
func generous(backend string) Config {
	cfg := defaults(backend)
	cfg.RequestBudget, cfg.ResponseBudget = 1<<20, 1<<20
	return cfg
}

func TestBytesAreExact(t *testing.T) {
	overBackends(t, bytesAreExact)
}

func bytesAreExact(t *testing.T, backend string) {
	ways := []string{
		"read-write", "readv-writev", "recvfrom-sendto", "recvmsg-sendmsg", "recvmmsg-sendmmsg", "nonblocking", "zerocopy",
		"dup", "passed", "inherited", "ipv6 read-write",
	}
	for _, how := range ways {
		t.Run(how, func(t *testing.T) {
			r := start(t, how, generous(backend))
			messages := [][]byte{[]byte("GET / HTTP/1.1\r\n\r\n"), random(255), random(256), random(257), random(1024), random(4097), random(16384), random(60000)}
			if how == "nonblocking" {
				messages = append(messages, random(900_000))
			}
			r.talk(t, messages...)
			want := bytes.Join(messages, nil)
			for _, dir := range []Direction{In, Out} {
				data, copied, size := r.stream(dir)
				require.Equal(t, len(want), size, "nothing twice, direction %d", dir)
				require.True(t, bytes.Equal(want, data), "direction %d", dir)
				require.NotContains(t, copied, false)
			}
			require.Zero(t, r.probe.Stats().RingFullBytes)
			require.NotZero(t, r.events[0].Flags&FlagStart)
			for _, e := range r.events {
				require.Equal(t, r.address, e.Local.String())
				require.NotZero(t, e.Flags&FlagAccepted)
			}
			last := r.events[len(r.events)-1]
			require.NotZero(t, last.Flags&FlagClose)
			for _, dir := range []Direction{In, Out} {
				require.Equal(t, uint32(len(want)), last.Ends[dir]-r.first(dir), "where it ended")
			}
		})
	}
}

// The client's FIN is taken note of by the call that receives the last bytes before it: it is none of them.
func TestHalfClosed(t *testing.T) {
	overBackends(t, halfClosed)
}

func halfClosed(t *testing.T, backend string) {
	r := start(t, "half-closed", generous(backend))
	conn, err := net.Dial("tcp", r.address)
	require.NoError(t, err)
	_, err = io.WriteString(conn, "the only one")
	require.NoError(t, err)
	require.NoError(t, conn.(*net.TCPConn).CloseWrite())
	echo, err := io.ReadAll(conn)
	require.NoError(t, err)
	require.Equal(t, "the only one", string(echo))
	require.NoError(t, conn.Close())
	r.awaitClose(t)
	for _, dir := range []Direction{In, Out} {
		data, _, size := r.stream(dir)
		require.Equal(t, "the only one", string(data))
		require.Equal(t, 12, size)
		require.Equal(t, uint32(12), r.events[len(r.events)-1].Ends[dir]-r.first(dir))
	}
	require.NotZero(t, r.events[0].Flags&FlagStart)
	require.Zero(t, r.probe.Stats().UnseenBytes)
}

// An urgent byte has a number, and programs do not read it: a sender must not hide behind that.
func TestUrgent(t *testing.T) {
	overBackends(t, urgentBytes)
}

func urgentBytes(t *testing.T, backend string) {
	r := start(t, "read-write", generous(backend))
	conn, err := net.Dial("tcp", r.address)
	require.NoError(t, err)
	require.NoError(t, conn.SetDeadline(time.Now().Add(20*time.Second)))
	raw, err := conn.(*net.TCPConn).SyscallConn()
	require.NoError(t, err)
	want := ""
	urgent := func() {
		var failed error
		require.NoError(t, raw.Control(func(fd uintptr) { failed = unix.Sendto(int(fd), []byte("!"), unix.MSG_OOB, nil) }))
		require.NoError(t, failed)
	}
	for i := range 20 {
		// Before the first byte, too.
		urgent()
		text := fmt.Sprintf("request %d, ", i)
		want += text
		_, err := io.WriteString(conn, text)
		require.NoError(t, err)
		echo := make([]byte, len(want)-r.echoed)
		r.echoed = len(want)
		_, err = io.ReadFull(conn, echo)
		require.NoError(t, err)
	}
	require.NoError(t, conn.Close())
	r.awaitClose(t)
	for _, dir := range []Direction{In, Out} {
		data, copied, size := r.stream(dir)
		require.Equal(t, want, string(data))
		require.Len(t, data, size)
		require.NotContains(t, copied, false)
	}
	require.NotZero(t, r.events[0].Flags&FlagStart)
	require.Zero(t, r.probe.Stats().UnseenBytes)
}

// first is the number of a direction's first byte.
func (r *rig) first(dir Direction) uint32 {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.events {
		if e.Dir == dir {
			return e.Seq
		}
	}
	return 0
}

// A socket of both families: what came over IPv4 has IPv4 addresses.
func TestMappedAddresses(t *testing.T) {
	overBackends(t, mappedAddresses)
}

func mappedAddresses(t *testing.T, backend string) {
	dual := startAt(t, "[::]:0", "read-write", generous(backend))
	_, port, err := net.SplitHostPort(dual.address)
	require.NoError(t, err)
	dual.address = "127.0.0.1:" + port
	dual.talk(t, []byte("hello"))
	require.Equal(t, dual.address, dual.events[0].Local.String())
}

// What no buffer of the process held is told by its size.
func TestSizeOnly(t *testing.T) {
	overBackends(t, sizeOnly)
}

func sizeOnly(t *testing.T, backend string) {
	for how, dirs := range map[string][]Direction{"sendfile": {Out}, "splice": {In, Out}} {
		t.Run(how, func(t *testing.T) {
			r := start(t, how, generous(backend))
			r.talk(t, random(5000), []byte("x"))
			for _, dir := range dirs {
				_, copied, size := r.stream(dir)
				want := 5001
				if backend == BackendSockets && how == "splice" && dir == In {
					// Nobody is told of it: it shows in the numbers once the connection is known.
					want = 1
				}
				require.Equal(t, want, size)
				require.NotContains(t, copied, true)
			}
		})
	}
}

// What io_uring moves passes through functions like all else. Elsewhere it is counted to the byte: from the first one where the
// sockets tell, and once the process is known to use it where calls do.
func TestIOUring(t *testing.T) {
	overBackends(t, func(t *testing.T, backend string) {
		if backend == BackendFunctions {
			ioUringIsSeen(t)
		} else {
			ioUringIsCounted(t, generous(backend))
		}
	})
}

func ioUringIsCounted(t *testing.T, cfg Config) {
	if !CountsIOUring() {
		testkit.Skip(t, "this kernel does not tell what io_uring moves")
	}
	r := start(t, "io_uring", cfg)
	conn, err := net.Dial("tcp", r.address)
	require.NoError(t, err)
	exchange(t, conn, []byte("unknown as yet"))
	require.Eventually(t, func() bool { return r.noticed(NoticeURing) }, 10*time.Second, time.Millisecond)
	require.NoError(t, r.probe.WatchIOUring(r.pid))
	counted := uint64(0)
	if cfg.Backend == BackendSockets {
		counted = 2 * 14
	}
	exchange(t, conn, random(5000), random(300))
	counted += 2 * 5300
	require.Eventually(t, func() bool { return r.probe.Usage(r.pid).IOUring == counted }, 10*time.Second, time.Millisecond)
	const call = "call: answered by a system call"
	exchange(t, conn, []byte(call))
	// The answer is read before the call that sent it has ended, which is when it counts as one.
	require.Eventually(t, func() bool { return r.probe.Usage(r.pid).IOUring == counted+uint64(len(call)) }, 10*time.Second, time.Millisecond)
	exchange(t, conn, random(700), []byte(call), random(1200))
	require.NoError(t, conn.Close())
	r.awaitClose(t)
	data, copied, size := r.stream(Out)
	require.Equal(t, strings.Repeat(call, 2), string(slices.DeleteFunc(data, func(b byte) bool { return b == 0 })))
	answers, all := 700+1200, 14+5300+len(call)+700+len(call)+1200
	if cfg.Backend == BackendSockets {
		require.Equal(t, 2*len(call)+answers, size, "what stands before the first call that was seen is not known of")
		require.Equal(t, uint64(answers+700+len(call)+1200), r.probe.Stats().UnseenBytes)
	} else {
		require.Equal(t, all, size, "known from when it was accepted")
		require.Equal(t, uint64(all+all-2*len(call)), r.probe.Stats().UnseenBytes)
	}
	require.Len(t, slices.DeleteFunc(copied, func(yes bool) bool { return !yes }), 2*len(call))
	for _, e := range r.events {
		if e.Flags&FlagUnseen != 0 {
			require.NotZero(t, e.Flags&FlagURing)
			require.NotZero(t, e.Flags&FlagSizeOnly)
		}
	}
}

func ioUringIsSeen(t *testing.T) {
	r := start(t, "io_uring", generous(BackendFunctions))
	require.NoError(t, r.probe.WatchIOUring(r.pid))
	messages := [][]byte{[]byte("by a ring"), random(5000), random(300), []byte("call: answered by a system call")}
	r.talk(t, messages...)
	for _, dir := range []Direction{In, Out} {
		data, copied, size := r.stream(dir)
		require.Equal(t, bytes.Join(messages, nil), data)
		require.NotContains(t, copied, false)
		require.Len(t, data, size)
	}
	require.Zero(t, r.probe.Usage(r.pid))
	require.NotZero(t, r.events[0].Flags&FlagStart)
	require.NotZero(t, r.events[0].Flags&FlagAccepted)
}

// A program that starts, a child of a mirrored one, code that it maps.
func TestNotices(t *testing.T) {
	overBackends(t, notices)
}

func notices(t *testing.T, backend string) {
	r := start(t, "inherited", generous(backend))
	r.talk(t, []byte("hello"))
	var child uint32
	for _, e := range r.events {
		if e.Tgid != r.pid && e.Tgid != 0 && e.Flags&FlagClose == 0 {
			child = e.Tgid
		}
	}
	require.NotZero(t, child)
	r.mu.Lock()
	defer r.mu.Unlock()
	require.Contains(t, r.notices, Notice{NoticeFork, child})
	require.Contains(t, r.notices, Notice{NoticeExec, child})
	require.Contains(t, r.notices, Notice{NoticeCode, r.pid})
}

func TestBudgetIsPerRunOfADirection(t *testing.T) {
	overBackends(t, budgetIsPerRunOfADirection)
}

func budgetIsPerRunOfADirection(t *testing.T, backend string) {
	cfg := defaults(backend)
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
	overBackends(t, connectionOlderThanTheProbe)
}

func connectionOlderThanTheProbe(t *testing.T, backend string) {
	r := prepare(t, "read-write", generous(backend))
	conn, err := net.Dial("tcp", r.address)
	require.NoError(t, err)
	exchange(t, conn, []byte("before"))
	require.NoError(t, r.probe.SetTargets([]Target{{r.pid, []uint16{r.port}}}))
	want := "after"
	if backend == BackendFunctions {
		// The server waits in a function that nobody watched when it was called: how that call ends is not seen.
		exchange(t, conn, []byte("in flight"))
	}
	exchange(t, conn, []byte(want))
	require.NoError(t, conn.Close())
	r.awaitClose(t)
	data, _, _ := r.stream(In)
	require.Equal(t, want, strings.TrimPrefix(string(data), "in flight"))
	require.NotZero(t, r.events[0].Flags&FlagAccepted, "its port listens: it is the server side")
	require.Zero(t, r.events[0].Flags&FlagStart, "its beginning was not seen")
}

// The ring is a page: most of what comes does not fit, and every byte of it is counted.
func TestEveryLossIsCounted(t *testing.T) {
	overBackends(t, everyLossIsCounted)
}

func everyLossIsCounted(t *testing.T, backend string) {
	cfg := generous(backend)
	cfg.RingBytes = uint32(os.Getpagesize())
	cfg.Poll = 100 * time.Millisecond
	r := start(t, "read-write", cfg)
	messages := slices.Repeat([][]byte{random(2000)}, 200)
	conn, err := net.Dial("tcp", r.address)
	require.NoError(t, err)
	exchange(t, conn, messages...)
	require.NoError(t, conn.Close())
	const want = 2 * 200 * 2000
	var stats Stats
	// The echo may be here before the call that sent it has ended.
	all := func() bool {
		stats = r.probe.Stats()
		counted := stats.Bytes + stats.RingFullBytes
		// What was skipped may also be a call of another process.
		return counted <= want && counted+2000*stats.Missed >= want
	}
	require.Eventually(t, all, 10*time.Second, time.Millisecond, "not all is counted: %+v", &stats)
	require.NotZero(t, stats.RingFullBytes)
	require.NoError(t, r.probe.SetTargets(nil))
	require.True(t, all(), "and stays so: %+v", &stats)
}

func TestNothingSelectedNothingAttached(t *testing.T) {
	overBackends(t, nothingSelectedNothingAttached)
}

func nothingSelectedNothingAttached(t *testing.T, backend string) {
	r := prepare(t, "read-write", generous(backend))
	require.False(t, r.probe.Attached())
	require.Empty(t, inKernel(t))
	require.NoError(t, r.probe.SetTargets([]Target{{Tgid: r.pid}}))
	require.Equal(t, backend, r.probe.Backend())
	require.Len(t, slices.DeleteFunc(inKernel(t), func(what string) bool { return !strings.Contains(what, "bpf_link") }), 5+len(slices.Concat(r.probe.live.sockets, r.probe.live.again.behind, r.probe.live.again.before)),
		"five programs and those of the backend run; those of io_uring and TLS libraries wait until one is used")
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
	overBackends(t, othersAreNotSeen)
}

func othersAreNotSeen(t *testing.T, backend string) {
	r := start(t, "read-write", generous(backend))
	other := prepare(t, "read-write", generous(backend))
	conn, err := net.Dial("tcp", other.address)
	require.NoError(t, err)
	exchange(t, conn, []byte("private"))
	require.NoError(t, conn.Close())
	r.talk(t, []byte("mirrored"))
	data, _, _ := r.stream(In)
	require.Equal(t, "mirrored", string(data))
}
