package processor

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	detectionv1 "github.com/sidelight/sidelight/proto/gen/sidelight/detection/v1"
	processorv1 "github.com/sidelight/sidelight/proto/gen/sidelight/processor/v1"
	trafficv1 "github.com/sidelight/sidelight/proto/gen/sidelight/traffic/v1"

	"github.com/sidelight/sidelight/internal/rpc"
	"github.com/sidelight/sidelight/internal/testkit"
)

// guess is a request for a path that is not there.
func guess(n int, client string) *trafficv1.Exchange {
	x := exchange("GET", fmt.Sprintf("/guess-%s", strings.Repeat("x", n)), nil, nil)
	x.Id = binary.BigEndian.AppendUint64([]byte(client[len(client)-8:]), uint64(n))
	x.Response.Status = 404
	x.Client = &trafficv1.Client{Address: client}
	x.Times.ObservedAt = timestamppb.Now()
	return x
}

func dirbusts(hits []*detectionv1.Hit) []*detectionv1.Hit {
	var out []*detectionv1.Hit
	for _, h := range hits {
		if h.GetType() == "dirbust" {
			out = append(out, h)
		}
	}
	return out
}

// Facts of one client from two replicas meet at one owner: neither half alone is enough.
func TestForcedBrowsingAcrossTwoReplicas(t *testing.T) {
	t.Parallel()
	rigs := startAll(t, 2, testkit.Quiet())
	clients := []processorv1.InspectServiceClient{rigs[0].dial(t, "aggregator"), rigs[1].dial(t, "aggregator")}
	// Several clients, so that each replica owns some.
	const people = 16
	for p := range people {
		var halves [2][]*trafficv1.Exchange
		for n := range 40 {
			halves[n%2] = append(halves[n%2], guess(n, fmt.Sprintf("198.51.100.%d", 10+p)))
		}
		for k, half := range halves {
			_, err := clients[k].Inspect(t.Context(), batch(half...))
			require.NoError(t, err)
		}
	}
	require.Eventually(t, func() bool {
		hits, _ := rigs[0].journal.kept()
		return len(dirbusts(hits)) >= people && rigs[0].counter("facts")+rigs[1].counter("facts") == 40*people
	}, 20*time.Second, 20*time.Millisecond)
	hits, _ := rigs[0].journal.kept()
	found := dirbusts(hits)
	require.Len(t, found, people, "one for each client")
	require.Len(t, hits, people)
	require.Regexp(t, `^\d+ of \d+ requests in 60 s were answered 404, for \d+ different paths$`, string(found[0].GetEvidence().GetText()))
	require.Equal(t, "client", found[0].GetPoint())
	require.Equal(t, "shop.example", found[0].GetRequest().GetHost())
	require.Equal(t, "test", found[0].GetCluster())
	require.NotZero(t, rigs[0].counter("facts"), "both own some clients")
	require.NotZero(t, rigs[1].counter("facts"), "both own some clients")
}

func TestWithoutPeersThisProcessOwnsAll(t *testing.T) {
	t.Parallel()
	r := start(t)
	client := r.dial(t, "aggregator")
	for n := range 29 {
		_, err := client.Inspect(t.Context(), batch(guess(n, "198.51.100.9")))
		require.NoError(t, err)
	}
	require.Eventually(t, func() bool { return r.counter("facts") == 29 }, 10*time.Second, 10*time.Millisecond)
	hits, _ := r.journal.kept()
	require.Empty(t, hits)
	_, err := client.Inspect(t.Context(), batch(guess(29, "198.51.100.9")))
	require.NoError(t, err)
	require.Eventually(t, func() bool { hits, _ := r.journal.kept(); return len(hits) == 1 }, 10*time.Second, 10*time.Millisecond)
	require.Equal(t, int64(1), r.lost("behaviour", "reset"))
	require.NotZero(t, r.counter("behaviour_windows_since"))
}

// A fact counts once, however often its exchange comes, and only when the batch's hits are kept.
func TestAFactCountsOnce(t *testing.T) {
	t.Parallel()
	r := start(t)
	client := r.dial(t, "aggregator")
	x := exchange("GET", "/etc/passwd", nil, nil)
	x.Times.ObservedAt = timestamppb.Now()
	r.journal.fail(status.Error(codes.Internal, "disk full"))
	res, err := client.Inspect(t.Context(), batch(x))
	require.NoError(t, err)
	require.Equal(t, []uint32{0}, res.GetNotKept())
	r.journal.fail(nil)
	require.Eventually(t, r.service.gate.Open, 10*time.Second, 10*time.Millisecond, "the journal is back")
	open := proto.CloneOf(x)
	open.Id[0], open.Phase, open.Response, open.CloseReason = 7, trafficv1.Phase_PHASE_REQUEST, nil, 0
	later := proto.CloneOf(x)
	later.Id[0], later.Revision, later.Request.Headers = 7, 2, nil
	last := proto.CloneOf(later)
	last.Revision = 3
	replayed := numbered(8, proto.CloneOf(x))
	replayed.Replayed = true
	resumed := numbered(9, proto.CloneOf(x))
	resumed.Resumed = true
	for _, b := range []*processorv1.InspectRequest{
		batch(x, x), batch(x), batch(open), batch(later), batch(later), batch(last), batch(replayed, resumed),
	} {
		_, err := client.Inspect(t.Context(), b)
		require.NoError(t, err)
	}
	end := numbered(10, proto.CloneOf(x))
	_, err = client.Inspect(t.Context(), batch(end))
	require.NoError(t, err)
	require.Eventually(t, func() bool { return r.counter("facts") == 3 }, 10*time.Second, 10*time.Millisecond)
	require.Zero(t, r.counter("fact_duplicates"), "what was told is not told again, the owner need not tell")
}

// Two calls may judge the same revision at the same time: neither knows of the other until the first is settled.
func TestTheSameRevisionInTwoCallsAtOnce(t *testing.T) {
	t.Parallel()
	r := start(t)
	_, err := r.dial(t, "aggregator").Inspect(t.Context(), batch())
	require.NoError(t, err)
	h, x := r.service.handler, exchange("GET", "/orders/1", nil, nil)
	x.Times.ObservedAt = timestamppb.Now()
	first, second := h.judge(inspector(t), x, false), h.judge(inspector(t), x, false)
	h.settle(first)
	h.settle(second)
	<-r.inventory.seen
	require.Eventually(t, func() bool { return r.counter("facts") == 1 }, 10*time.Second, 5*time.Millisecond)
	require.Eventually(t, func() bool { return r.counter("observations") == 1 }, 10*time.Second, 5*time.Millisecond)
	require.Zero(t, r.counter("fact_duplicates"))
	require.Empty(t, r.inventory.seen)
}

func TestOnlyAProcessorMayTrack(t *testing.T) {
	t.Parallel()
	r := start(t)
	for _, as := range []string{"aggregator", "agent", "cloudsync", "processor"} {
		conn, err := rpc.Dial(rpc.ClientConfig{Address: r.service.Addr()}, rpc.ClientDeps{TLS: r.certs[as], Server: "processor"})
		require.NoError(t, err)
		_, err = processorv1.NewBehaviourServiceClient(conn).Track(t.Context(), &processorv1.TrackRequest{Facts: []*detectionv1.Fact{{}}})
		want := codes.PermissionDenied
		if as == "processor" {
			want = codes.OK
		}
		require.Equal(t, want, status.Code(err), as)
		require.NoError(t, conn.Close())
	}
	require.Equal(t, int64(1), r.lost("behaviour", "malformed"))
}

func TestFact(t *testing.T) {
	t.Parallel()
	i := inspector(t)
	x := exchange("GET", "/orders/17", [][2]string{{"Authorization", "Bearer canary"}, {"Host", "Shop.Example:8443"}}, nil)
	f := i.Inspect(x).Fact
	require.Equal(t, x.GetId(), f.GetExchangeId())
	require.Equal(t, "192.0.2.7", f.GetClientAddress())
	require.Equal(t, "shop.example", f.GetHost())
	require.Equal(t, uint32(200), f.GetStatus())
	require.Len(t, f.GetSession(), half)
	other := i.Inspect(exchange("GET", "/orders/18", [][2]string{{"Cookie", "sid=another"}}, nil)).Fact
	require.Equal(t, f.GetEndpoint()[:half], other.GetEndpoint()[:half], "one endpoint")
	require.NotEqual(t, f.GetEndpoint()[half:], other.GetEndpoint()[half:], "two paths")
	require.NotEqual(t, f.GetSession(), other.GetSession())
	require.Equal(t, f.GetClient(), other.GetClient())
	require.Equal(t, []string{"ptrav"}, i.Inspect(exchange("GET", "/etc/passwd", nil, nil)).Fact.GetTypes())
	require.Nil(t, i.Inspect(exchange("GET", "/", [][2]string{{"Cookie", "theme=dark"}}, nil)).Fact.GetSession())

	for name, change := range map[string]func(*trafficv1.Exchange){
		"resumed": func(x *trafficv1.Exchange) { x.Resumed = true }, "replayed": func(x *trafficv1.Exchange) { x.Replayed = true },
		"no answer yet": func(x *trafficv1.Exchange) { x.Response = nil }, "nobody": func(x *trafficv1.Exchange) { x.Connection = nil },
		"at no time": func(x *trafficv1.Exchange) { x.Times = nil },
	} {
		x := exchange("GET", "/", nil, nil)
		change(x)
		require.Nil(t, i.Inspect(x).Fact, name)
	}

	long := strings.Repeat("long-name.", 30)
	x = exchange("GET", "/etc/passwd?a=%27+union+select+1,2+from+users--&b=<script>alert(1)</script>", [][2]string{{"Host", long}, {"Cookie", "sid=1"}}, nil)
	x.Workload.Service, x.Workload.Cluster = long, long
	x.Client = &trafficv1.Client{Address: "2001:db8:1111:2222:3333:4444:5555:6666"}
	f = i.Inspect(x).Fact
	require.LessOrEqual(t, proto.Size(f), largestFact)
	require.Equal(t, x.GetClient().GetAddress(), f.GetClientAddress())
	x.Workload.Service, x.Workload.Cluster = "shop", "east"
	f = i.Inspect(x).Fact
	require.LessOrEqual(t, proto.Size(f), largestFact)
	require.Equal(t, "shop", f.GetService(), "what the windows need is cut last")
}
