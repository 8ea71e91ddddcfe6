package bench

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sidelight/sidelight/agent/internal/probe"
	"github.com/sidelight/sidelight/agent/internal/ship"
	trafficv1 "github.com/sidelight/sidelight/proto/gen/sidelight/traffic/v1"
)

// An aggregator that takes a third of what comes: all that was made is acknowledged or counted, and the far end says the same.
func TestThreeTimesWhatIsTaken(t *testing.T) {
	t.Parallel()
	const taken = 4000
	s := newSite(t, 100, taken, func(c *ship.Config) { c.BufferBytes = 1 << 20 })
	each := time.NewTicker(10 * time.Millisecond)
	defer each.Stop()
	for range 150 {
		<-each.C
		mono := probe.Monotonic()
		s.table.Tick(mono)
		for range 3 * taken / 100 {
			s.pass(mono)
		}
	}
	s.settled(t)
	s.stop()
	c := s.end()
	acknowledged, lost := int(s.shop.Acknowledged.Load()), int(s.shop.Lost.Load())
	t.Logf("%d made, %d acknowledged, %d given up", s.made, acknowledged, lost)
	require.Equal(t, int(s.made), acknowledged+lost)
	require.Equal(t, int64(lost), s.lost("exchanges", "buffer_full"))
	require.Equal(t, acknowledged, c.Distinct)
	require.Positive(t, lost)
	require.Positive(t, s.lost("response_heads", "shed"), "what is worth least goes first")
}

// A ring that drops two events of three: each request is an exchange, or its bytes are lost and counted.
func TestRingIsFull(t *testing.T) {
	t.Parallel()
	s := newSite(t, 20, 0, func(*ship.Config) {})
	dropped := [2]int{}
	mono := probe.Monotonic()
	state := uint32(1)
	seen := func(dir probe.Direction) bool {
		state = state*1664525 + 1013904223
		if state>>30 == 0 {
			return true
		}
		dropped[dir]++
		return false
	}
	play := func(n int, seen func(probe.Direction) bool) {
		for range n {
			mono += uint64(time.Millisecond)
			s.asks(mono, seen(probe.In))
			s.answers(mono+1000, seen(probe.Out))
			s.table.Tick(mono)
		}
	}
	play(len(s.clients), func(probe.Direction) bool { return true })
	play(5000, seen)
	play(10*len(s.clients), func(probe.Direction) bool { return true })
	s.table.Tick(mono + uint64(time.Second))
	s.table.CloseAll(trafficv1.CloseReason_CLOSE_REASON_AGENT_STOP)
	s.settled(t)
	s.stop()
	c := s.end()
	require.Equal(t, int(s.shop.Exchanges.Load()), c.Distinct)
	lost := int(s.shop.BytesLost.Load()) - dropped[probe.Out]*len(answer)
	t.Logf("%d requests, %d exchanges, %d requests and %d answers dropped, %d bytes of requests lost: %d requests",
		s.made, c.Distinct, dropped[probe.In], dropped[probe.Out], lost, lost/len(request))
	require.Equal(t, int(s.made)*len(request), c.Distinct*len(request)+lost)
}

// BenchmarkOverload: three times as many exchanges as this host can take, for some seconds, into a ring of the usual size. What comes
// out is compared with what came out when no more was sent than was taken; and every request is an exchange that is acknowledged, one
// that was given up and counted, or bytes that were lost and counted.
func BenchmarkOverload(b *testing.B) {
	s := newSite(b, 100, 0, func(c *ship.Config) { c.BufferBytes = 32 << 20 })
	for range 50_000 {
		s.flood()
	}
	began, before := time.Now(), s.made
	for time.Since(began) < 2*time.Second {
		s.flood()
	}
	s.settled(b)
	capacity := float64(s.made-before) / time.Since(began).Seconds()
	acknowledged, cpu := s.shop.Acknowledged.Load(), used(b)
	const held = 96 // bytes of an event's own
	room := uint64(probe.DefaultConfig().RingBytes) / uint64(len(request)+len(answer)+2*held)
	dropped := uint64(0)
	began, before = time.Now(), s.made
	for b.Loop() {
		for {
			s.clock = probe.Monotonic()
			if come := uint64(3 * capacity * time.Since(began).Seconds()); come > s.made-before {
				for come-(s.made-before) > room {
					s.asks(s.clock, false)
					s.answers(s.clock, false)
					dropped++
				}
				break
			}
		}
		s.table.Tick(s.clock)
		for range 64 {
			s.pass(s.clock)
		}
	}
	took := time.Since(began)
	for range 10 * len(s.clients) {
		s.clock += uint64(time.Millisecond)
		s.pass(s.clock)
	}
	s.table.Tick(s.clock + uint64(time.Second))
	s.table.CloseAll(trafficv1.CloseReason_CLOSE_REASON_AGENT_STOP)
	s.settled(b)
	made := s.shop.Exchanges.Load()
	b.ReportMetric(float64(s.made-before)/took.Seconds()/capacity, "offered/capacity")
	b.ReportMetric(float64(s.shop.Acknowledged.Load()-acknowledged)/took.Seconds()/capacity, "acknowledged/capacity")
	b.ReportMetric(float64((used(b)-cpu).Nanoseconds())/float64(s.made-before-dropped), "cpu-ns/event-pair-seen")
	b.ReportMetric(100*float64(dropped)/float64(s.made-before), "%dropped-by-ring")
	b.ReportMetric(100*float64(s.shop.Lost.Load())/float64(s.made-before), "%given-up")
	s.stop()
	require.Equal(b, made, s.shop.Acknowledged.Load()+s.shop.Lost.Load())
	lost := int(s.shop.BytesLost.Load()) - int(dropped)*len(answer)
	require.Equal(b, int(s.made)*len(request), int(made)*len(request)+lost)
}
