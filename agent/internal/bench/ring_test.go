package bench

import (
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sidelight/sidelight/agent/internal/exchange"
	"github.com/sidelight/sidelight/agent/internal/probe"
	"github.com/sidelight/sidelight/agent/internal/ship"
	"github.com/sidelight/sidelight/agent/internal/stream"
	"github.com/sidelight/sidelight/agent/internal/workload"
	"github.com/sidelight/sidelight/internal/losses"
)

// underWay bounds what a flood has not been acknowledged for: nothing is to be lost in it.
const underWay = 20_000

// flood gives as many exchanges as are taken. The clock is read now and then, since the kernel stamps events.
func (s *site) flood() {
	if s.made%256 == 0 {
		for s.made-s.shop.Acknowledged.Load() > underWay {
			<-time.After(time.Millisecond)
		}
		s.clock = probe.Monotonic()
		s.table.Tick(s.clock)
	}
	s.clock += 1000
	s.pass(s.clock)
}

// BenchmarkRingToSend: a GET of 15 headers and its answer's head, over a hundred kept connections, from the ring's events to
// what the aggregator acknowledged.
func BenchmarkRingToSend(b *testing.B) {
	s := newSite(b, 100, 0, func(*ship.Config) {})
	for range 50_000 {
		s.flood()
	}
	s.settled(b)
	made, began, cpu := s.made, time.Now(), used(b)
	b.ReportAllocs()
	for b.Loop() {
		s.flood()
	}
	s.settled(b)
	took, n := used(b)-cpu, float64(s.made-made)
	b.ReportMetric(float64(took.Nanoseconds())/n, "cpu-ns/exchange")
	b.ReportMetric(n/took.Seconds(), "exchanges/cpu-s")
	b.ReportMetric(n/time.Since(began).Seconds(), "exchanges/s")
	s.stop()
	c := s.end()
	b.ReportMetric(float64(c.Exchanges)/float64(c.Batches), "exchanges/batch")
	require.Equal(b, int(s.made), c.Exchanges)
	require.Equal(b, int(s.made), c.Distinct)
	require.Empty(b, s.losses.Snapshot())
}

// BenchmarkRingToWire is the part of BenchmarkRingToSend that one goroutine does alone, without what waits to be sent: it varies less.
func BenchmarkRingToWire(b *testing.B) {
	shop, size := &workload.Workload{}, 0
	builder := exchange.New(exchange.Config{BootID: boot}, func(r *exchange.Revision) { size += len(r.Wire) })
	s := &site{clients: newClients(100), table: stream.NewTable(stream.DefaultConfig(), stream.Deps{
		Builder: builder, Losses: losses.NewLosses(nil, "agent"), Workload: func(uint32) *workload.Workload { return shop }})}
	b.ReportAllocs()
	for b.Loop() {
		s.clock += 1000
		s.pass(s.clock)
	}
	b.ReportMetric(float64(size)/float64(s.made), "B/exchange")
}

// BenchmarkQuiet: 400 exchanges per second, as they come from one busy site: what timers and small batches cost.
func BenchmarkQuiet(b *testing.B) {
	s := newSite(b, 4, 0, func(*ship.Config) {})
	s.pass(probe.Monotonic())
	s.settled(b)
	next := time.NewTicker(time.Second / 400)
	defer next.Stop()
	made, cpu, waits := s.made, used(b), switches(b)
	for b.Loop() {
		<-next.C
		s.pass(probe.Monotonic())
	}
	s.settled(b)
	all := used(b) - cpu
	waits = switches(b) - waits
	// The same without exchanges: the ticker is not the agent's.
	alone := s.made - made
	cpu = used(b)
	waits2 := switches(b)
	for range alone {
		<-next.C
	}
	idle := used(b) - cpu
	waits -= switches(b) - waits2
	b.ReportMetric(waits/float64(alone), "waits/exchange")
	b.ReportMetric(float64(all.Nanoseconds())/float64(alone), "cpu-ns/exchange")
	b.ReportMetric(float64(idle.Nanoseconds())/float64(alone), "of-which-idle-ns/exchange")
	s.stop()
	b.ReportMetric(float64(s.end().Batches)/float64(s.made), "batches/exchange")
}

// BenchmarkConnections: 10 000 kept connections, each with a request that waits for its answer: memory of the whole process, with
// the collector as the agent has it, at its highest.
func BenchmarkConnections(b *testing.B) {
	before := debug.SetMemoryLimit(100 << 20)
	defer debug.SetMemoryLimit(before)
	const connections = 10_000
	s := newSite(b, connections, 0, func(c *ship.Config) { c.BufferBytes = 32 << 20 })
	runtime.GC()
	debug.FreeOSMemory()
	empty := resident(b)
	for range 5 * connections {
		s.flood()
	}
	for range connections {
		s.asks(probe.Monotonic(), true)
	}
	idle, ticks := used(b), 0
	for b.Loop() {
		s.table.Tick(probe.Monotonic())
		ticks++
		<-time.After(20 * time.Millisecond)
	}
	b.ReportMetric(float64((used(b)-idle).Nanoseconds())/float64(ticks), "cpu-ns/tick")
	full := resident(b)
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	b.ReportMetric(full/(1<<20), "MiB-resident")
	b.ReportMetric((full-empty)/(1<<20), "MiB-more-than-empty")
	b.ReportMetric(float64(m.HeapAlloc)/(1<<20), "MiB-heap-live")
	s.stop()
}

// resident is the memory that the process holds.
func resident(t testing.TB) float64 {
	t.Helper()
	text, err := os.ReadFile("/proc/self/status")
	require.NoError(t, err)
	for line := range strings.Lines(string(text)) {
		if value, found := strings.CutPrefix(line, "VmRSS:"); found {
			n, err := strconv.Atoi(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")))
			require.NoError(t, err)
			return float64(n) * 1024
		}
	}
	t.Fatal("no VmRSS")
	return 0
}
