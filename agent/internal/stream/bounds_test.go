package stream

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sidelight/sidelight/agent/internal/probe"
	"github.com/sidelight/sidelight/internal/losses"
	trafficv1 "github.com/sidelight/sidelight/proto/gen/sidelight/traffic/v1"
)

// on plays on another connection.
func (r *rig) on(n uint64) *rig {
	r.key = probe.ConnKey{Sock: n, Start: 1 + n}
	return r
}

// at sets the numbers of the next bytes of both directions.
func (r *rig) at(seq [2]uint32) *rig {
	r.seq = seq
	return r
}

// When there is no room, what is quiet gives way: first what has no open exchange.
func TestRoom(t *testing.T) {
	t.Parallel()
	start := [2]uint32{1000, 2000}
	t.Run("a quiet one gives way, and comes back in step", func(t *testing.T) {
		t.Parallel()
		r := newRig(func(c *Config) { c.MaxConnections = 2 })
		r.on(1).at(start).ask(1, 2)
		there := r.seq
		r.on(2).at(start).in(request("2"))
		r.on(3).at(start).ask(3, 4)
		require.Equal(t, 2, r.table.Len())
		r.on(1).at(there).ask(4, 6)
		require.Equal(t, []string{"CLOSED ANSWERED /1 200", "CLOSED ANSWERED /3 200", "CLOSED ANSWERED /4 200", "CLOSED ANSWERED /5 200"}, r.told())
		require.False(t, r.out[2].GetResumed())
		require.Contains(t, r.losses.Snapshot(), losses.Loss{Place: "connections", Reason: "dropped", Count: 2})
		require.Zero(t, r.shop.BytesLost.Load())
		// The same bytes of a connection that was followed all the time have the same id.
		other := newRig()
		other.on(1).at(start).ask(1, 2)
		other.ask(4, 6)
		require.Equal(t, other.out[2].GetId(), r.out[3].GetId())
	})
	t.Run("one that came back elsewhere is lost", func(t *testing.T) {
		t.Parallel()
		r := newRig(func(c *Config) { c.MaxConnections = 1 })
		r.on(1).at(start).ask(1, 2)
		there := r.seq
		r.on(2).at(start).ask(2, 3)
		there[probe.In] += 5
		r.on(1).at(there).in(request("planted"))
		r.answer(ok)
		require.Len(t, r.out, 2)
		require.Positive(t, r.shop.BytesLost.Load())
	})
	t.Run("one in the middle of something is lost", func(t *testing.T) {
		t.Parallel()
		r := newRig(func(c *Config) { c.MaxConnections = 1 })
		r.on(1).at(start).in(upload)
		there := r.seq
		r.wait(20 * time.Minute)
		require.Zero(t, r.table.Len())
		r.on(1).at(there).in(request("planted"))
		r.answer(ok)
		require.Equal(t, []string{"CLOSED IDLE /1 0"}, r.told())
	})
	t.Run("busy ones stay until they are stale", func(t *testing.T) {
		t.Parallel()
		r := newRig(func(c *Config) { c.MaxConnections = 2 })
		r.on(1).at(start).in(request("1"))
		r.on(2).at(start).in(request("2"))
		r.on(3).at(start).in(request("3"))
		require.Contains(t, r.losses.Snapshot(), losses.Loss{Place: "connections", Reason: "full", Count: 1})
		require.Equal(t, uint64(len(request("3"))), r.shop.BytesLost.Load())
		// What was refused is not taken for a beginning later.
		there := r.seq
		r.wait(time.Minute)
		r.on(3).at(there).in(request("planted"))
		r.on(4).at(start).ask(4, 5)
		require.Equal(t, "CLOSED ANSWERED /4 200", r.told()[len(r.out)-1])
		require.NotContains(t, strings.Join(r.told(), " "), "planted")
	})
	t.Run("what was forgotten is not taken for new", func(t *testing.T) {
		t.Parallel()
		d := drops{most: 2, by: map[probe.ConnKey]dropped{}}
		for i := range uint64(100) {
			d.add(probe.ConnKey{Start: i + 1}, dropped{whole: true})
			d.add(probe.ConnKey{Start: 100}, dropped{})
			require.LessOrEqual(t, len(d.by), 2)
			require.LessOrEqual(t, len(d.order), 4)
		}
		_, known := d.take(probe.ConnKey{Start: 50, Sock: 7})
		require.True(t, known)
		_, known = d.take(probe.ConnKey{Start: 200})
		require.False(t, known)
	})
}

// heap is what a table with its connections holds.
func heap(play func() *rig) (*rig, uint64) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	r := play()
	runtime.GC()
	runtime.ReadMemStats(&after)
	return r, max(after.HeapAlloc, before.HeapAlloc) - before.HeapAlloc
}

// One after the other: they measure the heap.
func TestMemory(t *testing.T) { //nolint:paralleltest // see above
	head := "GET /products/4711?color=green&size=42 HTTP/1.1\r\nHost: shop.example.org\r\n"
	for i := range 13 {
		head += fmt.Sprintf("X-Header-%d: some value of a usual length %d\r\n", i, i)
	}
	start := [2]uint32{1000, 2000}
	each := func(n int, play func(*rig, int)) func() *rig {
		return func() *rig {
			r := newRig()
			for i := range n {
				r.on(uint64(i + 1)).at(start)
				play(r, i)
				r.out = nil
			}
			return r
		}
	}
	after := func(r *rig) {
		r.on(1<<40).at(start).ask(7, 8)
		require.Equal(t, "CLOSED ANSWERED /7 200", r.told()[len(r.out)-1], "others are still captured")
	}
	tests := []struct {
		name  string
		most  uint64
		conns int
		play  func(*rig, int)
	}{
		{"idle after an exchange", 15 << 20, 10_000, func(r *rig, _ int) { r.in(head + "\r\n"); r.answer(ok) }},
		{"a request under way", 60 << 20, 10_000, func(r *rig, _ int) { r.in(head + "\r\n") }},
		{"a head under way", 60 << 20, 10_000, func(r *rig, _ int) { r.in(head) }},
		{"a line under way", 20 << 20, 10_000, func(r *rig, _ int) { r.in("G") }},
		{"older than the agent", 60 << 20, 10_000, func(r *rig, _ int) {
			r.flags = probe.FlagAccepted
			r.in(head + "\r\n")
			r.flags |= probe.FlagStart
		}},
		{"100 000 idle ones", 60 << 20, 100_000, func(r *rig, _ int) { r.in(head + "\r\n"); r.answer(ok) }},
		{"scans", 30 << 20, 100_000, func(r *rig, _ int) { r.in("\x16\x03\x01\x02\x00\x01") }},
		{"a byte a minute", 60 << 20, 10_000, func(r *rig, i int) {
			r.in("GET / HTTP/1.1\r\n")
			for range 4 {
				r.in("A")
			}
		}},
		{"bodies", 130 << 20, 5_000, func(r *rig, _ int) { r.in(upload + strings.Repeat("x", 64<<10)) }},
		{"heads without end", 170 << 20, 2_000, func(r *rig, _ int) {
			r.in("GET / HTTP/1.1\r\n")
			for range 10 {
				r.in(strings.Repeat("Name: "+strings.Repeat("x", 500)+"\r\n", 32))
			}
		}},
		{"lines without end", 130 << 20, 2_000, func(r *rig, _ int) {
			for range 10 {
				r.in(strings.Repeat("A", 16<<10))
			}
		}},
		{"many small headers", 130 << 20, 100, func(r *rig, _ int) {
			r.in("GET / HTTP/1.1\r\n")
			for range 10 {
				r.in(strings.Repeat("A:\r\n", 4<<10))
			}
		}},
		{"chunks without end", 130 << 20, 300, func(r *rig, _ int) {
			r.in("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")
			for range 10 {
				r.in(strings.Repeat("1\r\nx\r\n", 2<<10))
			}
		}},
		{"trailers without end", 130 << 20, 1_000, func(r *rig, _ int) {
			r.in("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n")
			for range 10 {
				r.in(strings.Repeat("A: "+strings.Repeat("x", 500)+"\r\n", 32))
			}
		}},
		{"holes", 130 << 20, 2_000, func(r *rig, _ int) {
			r.ask(1, 2)
			for range 20 {
				r.event(probe.In, "", 1, 0)
				r.in(strings.Repeat("x", 16<<10))
			}
		}},
		{"behind an upgrade that is not answered", 130 << 20, 8_000, func(r *rig, _ int) {
			r.in("GET / HTTP/1.1\r\nUpgrade: x\r\n\r\n")
			for range 10 {
				r.in(strings.Repeat("x", 16<<10))
			}
		}},
		{"pipelines", 130 << 20, 4_000, func(r *rig, _ int) { r.in(strings.Repeat(request("x"), 300)) }},
		{"random bytes", 130 << 20, 20_000, func(r *rig, i int) {
			rng := rand.New(rand.NewPCG(uint64(i), 1))
			text := make([]byte, 1000)
			for i := range text {
				text[i] = byte(rng.Uint32())
			}
			r.in(string(text))
		}},
	}
	for _, test := range tests { //nolint:paralleltest // see above
		t.Run(test.name, func(t *testing.T) {
			r, used := heap(each(test.conns, test.play))
			t.Logf("%.1f MiB: %d bytes for each of %d", float64(used)/(1<<20), used/uint64(test.conns), test.conns)
			require.Less(t, used, test.most)
			after(r)
			require.Positive(t, r.table.kept+1)
			r.table.CloseAll(trafficv1.CloseReason_CLOSE_REASON_AGENT_STOP)
			require.Zero(t, r.table.kept)
			require.Zero(t, r.table.early)
			runtime.KeepAlive(r)
		})
	}
}

// What is due costs, and not what is there.
func BenchmarkTick(b *testing.B) {
	for _, n := range []int{100, 20_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			r := newRig(func(c *Config) { c.MaxConnections = n })
			for i := range n {
				r.on(uint64(i+1)).at([2]uint32{1, 1}).ask(1, 2)
				r.out = nil
			}
			for b.Loop() {
				r.mono += sweepEvery
				for range 100 {
					r.table.Tick(r.mono)
				}
				r.mono = 1000 * ms
				r.table.swept = 0
			}
		})
	}
}

// An event of a body: what the table and the parser cost beside the copy.
func BenchmarkEvent(b *testing.B) {
	r := newRig()
	r.in("POST / HTTP/1.1\r\nContent-Length: 9000000000000000\r\n\r\n")
	r.table.limits.Body = 1
	e := r.event(probe.In, "x", 1, 0)
	b.ReportAllocs()
	for b.Loop() {
		e.Seq = r.seq[probe.In]
		r.seq[probe.In]++
		r.table.Handle(e)
	}
}
