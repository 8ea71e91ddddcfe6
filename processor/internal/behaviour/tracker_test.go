package behaviour

import (
	"encoding/binary"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/timestamppb"

	detectionv1 "github.com/sidelight/sidelight/proto/gen/sidelight/detection/v1"

	"github.com/sidelight/sidelight/internal/losses"
)

// bench is a tracker with what it found and lost.
type bench struct {
	*Tracker
	hits []*detectionv1.Hit
	lost *losses.Losses
	next uint64
}

func newBench(change func(*Config)) *bench {
	cfg := DefaultConfig()
	if change != nil {
		change(&cfg)
	}
	b := &bench{lost: losses.NewLosses(nil, "processor")}
	b.Tracker = NewTracker(cfg, b.lost, func(h *detectionv1.Hit) { b.hits = append(b.hits, h) })
	return b
}

func hash(s string) []byte { return []byte(fmt.Sprintf("%16.16s", s)) }

// ask counts one request.
func (b *bench) ask(client, service, path string, status uint32, at time.Time) *detectionv1.Fact {
	b.next++
	endpoint := make([]byte, 16)
	copy(endpoint[8:], fmt.Sprintf("%8.8s", path))
	f := &detectionv1.Fact{
		ExchangeId: binary.BigEndian.AppendUint64(make([]byte, 8), b.next), Client: hash(client), Service: service, Host: "shop.example",
		Cluster: "east", Endpoint: endpoint, Status: status, ObservedAt: timestamppb.New(at), ClientAddress: client,
	}
	b.Track([]*detectionv1.Fact{f})
	return f
}

func (b *bench) loss(reason string) int64 {
	for _, l := range b.lost.Snapshot() {
		if l.Place == "behaviour" && l.Reason == reason {
			return l.Count
		}
	}
	return 0
}

func TestForcedBrowsing(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		run  func(b *bench, start time.Time)
		want int
		text string
	}{
		"a guesser": {func(b *bench, s time.Time) {
			for i := range 3 {
				b.ask("a", "shop", "/", 200, s.Add(time.Duration(i)*time.Second))
			}
			for i := range 30 {
				b.ask("a", "shop", fmt.Sprint(i), 404, s.Add(time.Duration(i)*time.Second))
			}
		}, 1, "30 of 33 requests in 60 s were answered 404, for 30 different paths"},
		"forbidden": {func(b *bench, s time.Time) {
			for i := range 30 {
				b.ask("a", "shop", fmt.Sprint(i), 403, s)
			}
		}, 1, "30 of 30 requests in 60 s were answered 403, for 30 different paths"},
		"both": {func(b *bench, s time.Time) {
			for i := range 30 {
				b.ask("a", "shop", fmt.Sprint(i), 403+uint32(i%2), s)
			}
		}, 1, "30 of 30 requests in 60 s were answered 404 or 403, for 30 different paths"},
		"a crawler": {func(b *bench, s time.Time) {
			for i := range 1000 {
				b.ask("a", "shop", fmt.Sprint(i), 200, s)
			}
		}, 0, ""},
		"a crawler with dead links": {func(b *bench, s time.Time) {
			for i := range 1000 {
				b.ask("a", "shop", fmt.Sprint(i), 200, s)
				if i%10 == 0 {
					b.ask("a", "shop", fmt.Sprint("d", i), 404, s)
				}
			}
		}, 0, ""},
		"a few misses": {func(b *bench, s time.Time) { misses(b, "a", 10, s, 0) }, 0, ""},
		"one short":    {func(b *bench, s time.Time) { misses(b, "a", 29, s, 0) }, 0, ""},
		"one path for ever": {func(b *bench, s time.Time) {
			for range 1000 {
				b.ask("a", "shop", "/favicon", 404, s)
			}
		}, 0, ""},
		"too slow":       {func(b *bench, s time.Time) { misses(b, "a", 60, s, 3*time.Second) }, 0, ""},
		"in two windows": {func(b *bench, s time.Time) { misses(b, "a", 20, s, 0); misses(b, "a", 29, s.Add(2*time.Minute), 0) }, 0, ""},
		"many clients": {func(b *bench, s time.Time) {
			for c := range 60 {
				misses(b, fmt.Sprint("c", c), 5, s, 0)
			}
		}, 0, ""},
		"out of order": {func(b *bench, s time.Time) {
			for i := range 30 {
				b.ask("a", "shop", fmt.Sprint(i), 404, s.Add(-time.Duration(i%3)*10*time.Second))
			}
		}, 1, ""},
		"two services": {func(b *bench, s time.Time) {
			for i := range 40 {
				b.ask("a", []string{"shop", "pay"}[i%2], fmt.Sprint(i), 404, s)
			}
		}, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := newBench(nil)
				tc.run(b, time.Now().Add(-3*time.Minute))
				require.Len(t, b.hits, tc.want)
				if tc.text != "" {
					require.Equal(t, tc.text, string(b.hits[0].GetEvidence().GetText()))
				}
			})
		})
	}
}

func misses(b *bench, client string, n int, from time.Time, step time.Duration) {
	for i := range n {
		b.ask(client, "shop", fmt.Sprint(i), 404, from.Add(time.Duration(i)*step))
	}
}

func TestTheHit(t *testing.T) {
	t.Parallel()
	b := newBench(nil)
	at := time.Now()
	misses(b, "198.51.100.7", 30, at, 0)
	h := b.hits[0]
	require.Len(t, h.GetExchangeId(), 16)
	require.Equal(t, "dirbust", h.GetType())
	require.Equal(t, "client", h.GetPoint())
	require.Equal(t, detectionv1.Severity_SEVERITY_MEDIUM, h.GetSeverity())
	require.Equal(t, detectionv1.Confidence_CONFIDENCE_HIGH, h.GetConfidence())
	require.Equal(t, detectionv1.Outcome_OUTCOME_REACHED_APP, h.GetOutcome())
	require.Contains(t, h.GetReferences(), "CWE-425")
	require.Equal(t, "198.51.100.7", h.GetRequest().GetClient().GetAddress())
	require.Equal(t, "shop", h.GetRequest().GetWorkload().GetService())
	require.Empty(t, h.GetRequest().GetPath())

	// Another process that comes to own the client tells of the same time under the same id.
	other := newBench(nil)
	misses(other, "198.51.100.7", 30, at.Truncate(10*time.Minute), 0)
	again := newBench(nil)
	misses(again, "198.51.100.7", 35, at.Truncate(10*time.Minute).Add(-time.Second).Add(2*time.Second), 0)
	require.Equal(t, other.hits[0].GetExchangeId(), again.hits[0].GetExchangeId())
	forbidden := newBench(nil)
	for i := range 30 {
		forbidden.ask("a", "shop", fmt.Sprint(i), 403, at)
	}
	require.Equal(t, detectionv1.Outcome_OUTCOME_UNKNOWN, forbidden.hits[0].GetOutcome())
}

func TestItIsToldOnceInTenMinutes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(nil)
		for i := range 25 * 60 {
			b.ask("a", "shop", fmt.Sprint(i), 404, time.Now())
			<-time.After(time.Second) // the bubble's clock
		}
		require.Len(t, b.hits, 3)
		ids := map[string]bool{}
		for _, h := range b.hits {
			ids[string(h.GetExchangeId())] = true
		}
		require.Len(t, ids, 3)
	})
}

func TestAFactCountsOnceForAMinute(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(nil)
		var first []*detectionv1.Fact
		for i := range 29 {
			first = append(first, b.ask("a", "shop", fmt.Sprint(i), 404, time.Now()))
		}
		b.Track(first)
		<-time.After(59 * time.Second)
		b.Track(first)
		require.Equal(t, int64(29), b.Facts.Load())
		require.Equal(t, int64(58), b.Duplicates.Load())
		require.Empty(t, b.hits)
		<-time.After(3 * time.Minute)
		b.ask("b", "shop", "x", 200, time.Now())
		<-time.After(2 * time.Minute)
		b.Track(first[:1])
		require.Equal(t, int64(31), b.Facts.Load(), "remembered for ever")
	})
}

func TestBoundsAreKeptAndCounted(t *testing.T) {
	t.Parallel()
	b := newBench(func(c *Config) { c.Clients = 10 })
	now := time.Now()
	for i := range 25 {
		misses(b, fmt.Sprint("client", i), 1, now, 0)
	}
	require.Len(t, b.clients, 10)
	require.Equal(t, 10, b.order.Len())
	require.Equal(t, int64(15), b.loss("evicted_client"))
	for i := range 7 {
		b.ask("a", fmt.Sprint("service", i), "x", 404, now)
	}
	require.Equal(t, int64(3), b.loss("evicted_service"))
	for i := range 1000 {
		b.ask("a", "shop", fmt.Sprint(i), 404, now)
	}
	c, _ := b.clients[[16]byte(hash("a"))].Value.(*client)
	require.Len(t, c.windows, mostServices)
	require.LessOrEqual(t, len(c.windows[0].misses), 60)
	// The one that is seen again and again stays, whoever comes.
	for i := range 30 {
		misses(b, fmt.Sprint("other", i), 1, now, 0)
		misses(b, "a", 1, now, 0)
	}
	require.Same(t, c, b.clients[[16]byte(hash("a"))].Value, "forgotten and made anew")
}

func TestTheWrongTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(nil)
		now := time.Now()
		b.ask("a", "shop", "x", 404, now.Add(24*time.Hour))
		b.ask("a", "shop", "x", 404, time.Unix(-5, 0))
		require.Equal(t, int64(2), b.loss("wrong_time"))
		b.ask("a", "shop", "x", 404, now)
		b.ask("a", "shop", "x", 404, now.Add(-2*time.Minute))
		require.Equal(t, int64(1), b.loss("late"))
		b.Track([]*detectionv1.Fact{{}, {ExchangeId: make([]byte, 16), Client: make([]byte, 16)}})
		require.Equal(t, int64(2), b.loss("malformed"))
		require.True(t, b.Since().IsZero())
		b.Start()
		require.Equal(t, now.Unix(), b.Since().Unix())
		require.Equal(t, int64(1), b.loss("reset"))
	})
}

func TestConfig(t *testing.T) {
	t.Parallel()
	require.NoError(t, DefaultConfig().Validate())
	err := Config{Clients: 200_000}.Validate()
	for _, want := range []string{"clients", "window", "paths", "share"} {
		require.ErrorContains(t, err, "behaviour.", want)
		require.ErrorContains(t, err, want)
	}
}

// FuzzTrack: whatever a peer sends, the tracker stands.
func FuzzTrack(f *testing.F) {
	f.Add([]byte("0123456789abcdef"), []byte("0123456789abcdef"), []byte("0123456789abcdef"), int64(1_700_000_000), uint32(404))
	f.Add([]byte(nil), []byte(nil), []byte(nil), int64(-1), uint32(0))
	b := newBench(nil)
	f.Fuzz(func(_ *testing.T, id, client, endpoint []byte, seconds int64, status uint32) {
		b.Track([]*detectionv1.Fact{{ExchangeId: id, Client: client, Endpoint: endpoint, Status: status, ObservedAt: &timestamppb.Timestamp{Seconds: seconds}}, nil})
	})
}

func BenchmarkTrack(b *testing.B) {
	t := newBench(nil)
	now := time.Now()
	facts := make([]*detectionv1.Fact, 1<<16)
	for i := range facts {
		facts[i] = &detectionv1.Fact{
			ExchangeId: binary.BigEndian.AppendUint64(make([]byte, 8), uint64(i)), Client: binary.BigEndian.AppendUint64(make([]byte, 8), uint64(i%5000)),
			Service: "shop", Endpoint: make([]byte, 16), Status: 200 + uint32(i%2)*204, ObservedAt: timestamppb.New(now),
		}
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		f := facts[i%len(facts)]
		binary.BigEndian.PutUint64(f.GetExchangeId(), uint64(i))
		t.Track(facts[i%len(facts) : i%len(facts)+1])
	}
}
