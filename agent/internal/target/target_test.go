package target

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/sidelight/sidelight/agent/internal/selector"
	"github.com/sidelight/sidelight/internal/testkit"
)

// ringParams is a zeroed struct io_uring_params.
func ringParams() unsafe.Pointer { return unsafe.Pointer(new([120]byte)) }

func TestAServerFromItsStartToItsEnd(t *testing.T) {
	t.Parallel()
	file := copyOf(t, "/proc/self/exe", "server-under-test")
	w, sets := watch(t, Config{Filters: only("server-under-test", 0), Poll: 10 * time.Millisecond})
	require.Empty(t, next(t, sets))

	p := startProcess(t, file)
	set := next(t, sets)
	require.Len(t, set, 1)
	require.Equal(t, p.pid, set[0].PID)
	require.Empty(t, set[0].Ports)
	require.Equal(t, "shop", set[0].Service)
	require.NotZero(t, set[0].StartTime)
	found, ok := w.Lookup(p.pid)
	require.True(t, ok)
	require.Equal(t, file, found.Exe)

	port := p.listen()
	require.Equal(t, []uint16{port}, next(t, sets)[0].Ports, "it bound long after it was first seen")
	p.do("close")
	require.Empty(t, next(t, sets)[0].Ports)

	if answer := p.do("ring"); answer == "done" {
		require.True(t, next(t, sets)[0].IOUring)
	} else {
		testkit.Skip(t, "no io_uring: "+answer)
	}
	p.end()
	require.Empty(t, next(t, sets))
}

func TestAPortThatIsBoundLate(t *testing.T) {
	t.Parallel()
	p := startProcess(t, copyOf(t, "/proc/self/exe", "late-under-test"))
	q := startProcess(t, copyOf(t, "/proc/self/exe", "late-under-test"))
	port := q.listen()
	_, sets := watch(t, Config{Filters: only("late-under-test", port), Poll: 10 * time.Millisecond})
	set := next(t, sets)
	require.Len(t, set, 1)
	require.Equal(t, q.pid, set[0].PID)
	q.do("close")
	require.Empty(t, next(t, sets))
	p.listen()
	require.NotEqual(t, port, p.listen(), "this port is free, and not asked for")
	require.Empty(t, sets)
}

// A process may become another program: its id, its start and its directory stay the same.
func TestAnotherProgramInTheSameProcess(t *testing.T) {
	t.Parallel()
	cat, err := exec.LookPath("cat")
	require.NoError(t, err)
	p := startProcess(t, copyOf(t, "/proc/self/exe", "exec-under-test"))
	other := copyOf(t, cat, "other-under-test")
	w, sets := watch(t, Config{Filters: only("exec-under-test", 0), Poll: 10 * time.Millisecond})
	require.Len(t, next(t, sets), 1)
	p.doNotWait("exec", other)
	require.Empty(t, next(t, sets))
	_, ok := w.Lookup(1 << 30)
	require.False(t, ok)
}

func (p *process) doNotWait(words ...string) {
	p.t.Helper()
	_, err := p.in.WriteString(words[0] + " " + words[1] + "\n")
	require.NoError(p.t, err)
}

// What the kernel tells of is looked at without the next look, and what it mirrors by itself is dropped if no filter holds.
func TestPoke(t *testing.T) {
	t.Parallel()
	cat, err := exec.LookPath("cat")
	require.NoError(t, err)
	file := copyOf(t, "/proc/self/exe", "poked-under-test")
	other := startProcess(t, copyOf(t, cat, "stray-under-test"))
	strays := make(chan uint32, 8)
	w, sets := watch(t, Config{
		Filters: only("poked-under-test", 0), Poll: time.Hour,
		Stray: func(pid uint32) error { strays <- pid; return nil },
	})
	require.Empty(t, next(t, sets))
	p := startProcess(t, file)
	w.Poke(p.pid)
	require.Equal(t, p.pid, next(t, sets)[0].PID)
	w.Poke(other.pid)
	require.Equal(t, other.pid, <-strays)
	p.end()
	w.Poke(p.pid)
	require.Empty(t, next(t, sets))
	require.Empty(t, strays, "what is gone is no stray")
	for pid := range uint32(3 * mostPokes) {
		w.Poke(pid + 1<<30)
	}
	w.Poke(other.pid)
	w.pokes.mu.Lock()
	defer w.pokes.mu.Unlock()
	require.LessOrEqual(t, len(w.pokes.pids), mostPokes)
}

// Without anyone to tell of strays the whole set is told again, so that what was added by itself goes.
func TestPokeTellsTheSetAgain(t *testing.T) {
	t.Parallel()
	cat, err := exec.LookPath("cat")
	require.NoError(t, err)
	other := startProcess(t, copyOf(t, cat, "unwanted-under-test"))
	w, sets := watch(t, Config{Filters: only("wanted-under-test", 0), Poll: time.Hour})
	require.Empty(t, next(t, sets))
	w.Poke(other.pid)
	require.Empty(t, next(t, sets))
}

// A child that runs its parent's program serves its connections, whether it holds the listening socket or not.
func TestChildrenWithoutTheSocket(t *testing.T) {
	t.Parallel()
	p := startProcess(t, copyOf(t, "/proc/self/exe", "forking-under-test"))
	_, sets := watch(t, Config{Filters: only("forking-under-test", p.listen()), Poll: 10 * time.Millisecond})
	require.Len(t, next(t, sets), 1)
	p.do("fork")
	set := next(t, sets)
	require.Len(t, set, 2)
	child := set[slices.IndexFunc(set, func(s Selected) bool { return s.PID != p.pid })]
	// Between its fork and its exec it holds the socket, too: on a busy machine it is seen there.
	require.Contains(t, []string{"child of a mirrored process", "mirror.filters[0] holds"}, child.Why)
	require.Equal(t, "shop", child.Service)
	p.end()
	set = next(t, sets)
	require.Len(t, set, 1, "it outlives its parent")
	require.Equal(t, child.PID, set[0].PID)
	found, err := os.FindProcess(int(child.PID))
	require.NoError(t, err)
	require.NoError(t, found.Kill())
	require.Empty(t, next(t, sets))
}

// Mirror everything: not this program, nor any part of Sidelight that is a program of its own. The demo API is mirrored.
func TestNeverSidelight(t *testing.T) {
	t.Parallel()
	part := build(t, "github.com/sidelight/sidelight/aggregator", "cmd/aggregator")
	shop := build(t, "github.com/sidelight/sidelight/examples/shop", "cmd/shop")
	other := build(t, "example.com/sidelight/sidelight/aggregator", "cmd/aggregator")
	w := New(Config{Filters: []selector.Filter{{Executable: "*"}, {Port: 1}}}, testkit.Logger(t))
	self, err := os.Executable()
	require.NoError(t, err)
	me := startProcess(t, self)
	set, err := w.look()
	require.NoError(t, err)
	selected := map[uint32]bool{}
	for _, s := range set {
		selected[s.PID] = true
	}
	require.False(t, selected[uint32(os.Getpid())])
	require.False(t, selected[me.pid], "another process of this program")
	require.False(t, selected[part], "a part that is a program of its own")
	require.True(t, selected[shop], "an example")
	require.True(t, selected[other], "somebody else's program")
}

// build makes a Go program of this main package, starts it, and gives its process.
func build(t *testing.T, module, pkg string) uint32 {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, pkg), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "go.mod"), []byte("module "+module+"\n\ngo 1.26\n"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, pkg, "main.go"), []byte("package main\n\nimport \"os\"\n\nfunc main() { var b [1]byte; _, _ = os.Stdin.Read(b[:]) }\n"), 0o600))
	cmd := exec.Command("go", "build", "-o", filepath.Join(dir, "program"), "./"+pkg)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	return startProcess(t, filepath.Join(dir, "program")).pid
}

func TestIsOwn(t *testing.T) {
	t.Parallel()
	for pkg, want := range map[string]bool{
		"github.com/sidelight/sidelight/cli/cmd/sidelight":      true,
		"github.com/sidelight/sidelight/processor/cmd/x":        true,
		"github.com/sidelight/sidelight/examples/shop/cmd/shop": false,
		"github.com/sidelight/sidelight/agent/x.test":           false,
		"github.com/sidelight/sidelighter/cmd":                  false,
		"":                                                      false,
	} {
		require.Equal(t, want, isOwn(pkg), pkg)
	}
	require.Empty(t, mainPackage("/proc/self/status"))
	require.Empty(t, mainPackage("/none"))
	_, err := (&bounded{nil, 10}).ReadAt(make([]byte, 11), 0)
	require.ErrorIs(t, err, errTooMuch)
}

// From exec to selected, listening included, with the interval that ships. The rest of the second is the probe's.
func TestSoonSelected(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes half a minute")
	}
	t.Parallel()
	file := copyOf(t, "/proc/self/exe", "soon-under-test")
	_, sets := watch(t, Config{Filters: only("soon-under-test", 0)})
	require.Empty(t, next(t, sets))
	var took []time.Duration
	for range 50 {
		begin := time.Now()
		p := startProcess(t, file)
		port := p.listen()
		for set := next(t, sets); len(set) == 0 || !slices.Equal(set[0].Ports, []uint16{port}); {
			set = next(t, sets)
		}
		took = append(took, time.Since(begin))
		p.end()
		for set := next(t, sets); len(set) > 0; {
			set = next(t, sets)
		}
	}
	slices.Sort(took)
	t.Logf("median %v, slowest of 50 %v", took[25], took[49])
	require.Less(t, took[49], 900*time.Millisecond)
}

// BenchmarkLook is the cost of one look at 500 processes of which 20 are selected.
func BenchmarkLook(b *testing.B) {
	for name, filters := range map[string][]selector.Filter{
		"executable": {{Executable: "looked-under-test", Port: 1}}, "unit": {{Unit: "looked-under-test"}}, "everything": {{Executable: "*"}},
	} {
		b.Run(name, func(b *testing.B) {
			many(b)
			// As often as Run looks, since some things are asked less often: what counts is what it takes of a second.
			ticker := time.NewTicker(DefaultPoll)
			defer ticker.Stop()
			w := New(Config{Filters: filters}, testkit.Quiet())
			_, err := w.look()
			require.NoError(b, err)
			before := cpu(b)
			for b.Loop() {
				<-ticker.C
				_, _ = w.look()
			}
			b.ReportMetric(float64(cpu(b)-before)/float64(b.N)/1e6, "cpu-ms/look")
		})
	}
}

func many(b *testing.B) {
	b.Helper()
	sleep, err := exec.LookPath("sleep")
	require.NoError(b, err)
	chosen := copyOf(b, sleep, "looked-under-test")
	for i := range 500 {
		file := sleep
		if i%25 == 0 {
			file = chosen
		}
		cmd := exec.Command(file, "600")
		require.NoError(b, cmd.Start())
		b.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	}
}

// cpu is what this process has used.
func cpu(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
