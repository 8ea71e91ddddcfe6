package ingest

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	aggregatorv1 "github.com/sidelight/sidelight/proto/gen/sidelight/aggregator/v1"
	policyv1 "github.com/sidelight/sidelight/proto/gen/sidelight/policy/v1"
	statusv1 "github.com/sidelight/sidelight/proto/gen/sidelight/status/v1"
	trafficv1 "github.com/sidelight/sidelight/proto/gen/sidelight/traffic/v1"

	agents "github.com/sidelight/sidelight/aggregator/internal/status"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fromTheFuture is a message of a kind that this release does not know.
func fromTheFuture(t testing.TB) *aggregatorv1.MirrorRequest {
	t.Helper()
	m := &aggregatorv1.MirrorRequest{}
	require.NoError(t, proto.Unmarshal(protowire.AppendBytes(protowire.AppendTag(nil, 99, protowire.BytesType), []byte("news")), m))
	return m
}

func TestMessages(t *testing.T) {
	t.Parallel()
	x := func() *trafficv1.Exchange { return &trafficv1.Exchange{Id: []byte("1")} }
	for name, tc := range map[string]struct {
		say    []*aggregatorv1.MirrorRequest
		code   codes.Code
		lost   map[string]int64
		judged int
		watch  int
	}{
		"nothing":                       {nil, codes.OK, nil, 0, 0},
		"hello alone":                   {[]*aggregatorv1.MirrorRequest{hello()}, codes.OK, nil, 0, 0},
		"a heartbeat before hello":      {[]*aggregatorv1.MirrorRequest{heartbeat(5), hello()}, codes.InvalidArgument, nil, 0, 0},
		"a status before hello":         {[]*aggregatorv1.MirrorRequest{report(&statusv1.PartStatus{}), hello()}, codes.InvalidArgument, nil, 0, 0},
		"a batch before hello":          {[]*aggregatorv1.MirrorRequest{batchOf(1, nil, x()), hello()}, codes.InvalidArgument, nil, 0, 0},
		"news before hello":             {[]*aggregatorv1.MirrorRequest{fromTheFuture(t), hello()}, codes.InvalidArgument, nil, 0, 0},
		"an empty message before hello": {[]*aggregatorv1.MirrorRequest{{}, hello()}, codes.InvalidArgument, nil, 0, 0},
		"hello twice":                   {[]*aggregatorv1.MirrorRequest{hello(), hello()}, codes.InvalidArgument, nil, 0, 0},
		"news, and then a batch":        {[]*aggregatorv1.MirrorRequest{hello(), fromTheFuture(t), {}, batchOf(1, nil, x())}, codes.OK, map[string]int64{"ingest/unknown_message": 2}, 1, 0},
		"an old agent":                  {[]*aggregatorv1.MirrorRequest{hello(), report(&statusv1.PartStatus{Part: "agent"}), batchOf(1, nil, x())}, codes.OK, nil, 1, 0},
		"heartbeats":                    {[]*aggregatorv1.MirrorRequest{hello(), heartbeat(999e9), heartbeat(1000e9)}, codes.OK, nil, 0, 2},
		"nothing is watched yet":        {[]*aggregatorv1.MirrorRequest{hello(), heartbeat(0)}, codes.OK, nil, 0, 0},
		"a heartbeat that cannot be":    {[]*aggregatorv1.MirrorRequest{hello(), heartbeat(1 << 63), heartbeat(9000e9), heartbeat(1000e9)}, codes.OK, map[string]int64{"ingest/implausible_heartbeat": 2}, 0, 1},
		"no such workload": {
			[]*aggregatorv1.MirrorRequest{hello(), batchOf(1, nil, &trafficv1.Exchange{WorkloadRef: 1}, x())}, codes.OK, map[string]int64{"ingest/bad_workload_ref": 1}, 1, 0,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, 1<<20)
			err := r.mirror(t, tc.say...)
			require.Equal(t, tc.code, status.Code(err), "%v", err)
			if tc.lost == nil {
				tc.lost = map[string]int64{}
			}
			require.Equal(t, tc.lost, r.lost())
			require.Len(t, r.judge.items, tc.judged)
			require.Len(t, r.board.watched, tc.watch)
			require.Zero(t, r.board.open)
			require.Empty(t, r.service.streams)
		})
	}
}

func TestConnectionsOfABatch(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1<<30)
	header := func(name, value string) *trafficv1.Header {
		return &trafficv1.Header{Name: []byte(name), Value: []byte(value)}
	}
	by := func(id string, ref uint32, authority string, headers ...*trafficv1.Header) *trafficv1.Exchange {
		return &trafficv1.Exchange{Id: []byte(id), ConnectionRef: ref, Request: &trafficv1.Request{Authority: []byte(authority), Headers: headers}}
	}
	both := by("both", 1, "")
	both.Connection = &trafficv1.Connection{Netns: 9}
	inline := by("inline", 0, "a", header("Host", "b"))
	inline.Connection = &trafficv1.Connection{Netns: 9}
	batch := batchOf(1, nil,
		by("1", 1, "", header("hOsT", "first"), header("Host", "second")), by("2", 2, "given", header("Host", "other")), by("1 again", 1, ""), by("far", 3, ""), both, inline)
	batch.GetBatch().Connections = []*trafficv1.Connection{{Netns: 1}, {Netns: 2}}
	require.NoError(t, r.mirror(t, hello(), batch))
	got := map[string]string{}
	for _, item := range r.judge.items {
		require.Zero(t, item.Exchange.GetConnectionRef(), "only Mirror knows of them")
		require.GreaterOrEqual(t, item.Size, int64(proto.Size(item.Exchange.GetConnection())), "a call is bounded by what is sent")
		got[string(item.Exchange.GetId())] = fmt.Sprint(item.Exchange.GetConnection().GetNetns(), " ", string(item.Exchange.GetRequest().GetAuthority()))
	}
	require.Equal(t, map[string]string{"1": "1 first", "2": "2 given", "1 again": "1 ", "inline": "9 a"}, got)
}

func TestWorkloadsOfABatch(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1<<30)
	table := []*trafficv1.Workload{
		{Service: "shop"}, {Service: "pay", Node: "n1", Cluster: "west"}, {Service: "other", Node: "n2"}, {Service: string(make([]byte, maxWorkload))},
	}
	by := func(id string, ref uint32) *trafficv1.Exchange {
		return &trafficv1.Exchange{Id: []byte(id), WorkloadRef: ref}
	}
	both := by("both", 1)
	both.Workload = &trafficv1.Workload{Node: "n1"}
	inline := by("inline", 0)
	inline.Workload = &trafficv1.Workload{Service: "inline"}
	require.NoError(t, r.mirror(t, hello(), batchOf(1, table,
		by("1", 1), by("2", 2), by("1 again", 1), by("foreign", 3), by("big", 4), by("5", 5), by("far", 1<<31), both, inline, by("none", 0))))
	got := map[string]string{}
	for _, item := range r.judge.items {
		w := item.Exchange.GetWorkload()
		require.Zero(t, item.Exchange.GetWorkloadRef(), "only Mirror knows of them")
		if string(item.Exchange.GetId()) == "2" {
			require.GreaterOrEqual(t, item.Size, int64(proto.Size(w)), "a call is bounded by what is sent")
		}
		got[string(item.Exchange.GetId())] = w.GetService() + " " + w.GetNode() + " " + w.GetCluster()
	}
	require.Equal(t, map[string]string{
		"1": "shop n1 east", "2": "pay n1 east", "1 again": "shop n1 east", "inline": "inline n1 east", "none": " n1 east",
	}, got)
	require.Equal(t, map[string]int64{"ingest/bad_workload_ref": 3, "ingest/foreign_node": 1, "ingest/workload_too_big": 1}, r.lost())
	require.EqualValues(t, 5, r.wire.acks()[1].GetRefused())
	require.Zero(t, r.service.PendingBytes.Load())
	require.Empty(t, r.service.room.holders)
}

func TestTimesOfAgents(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1<<20)
	away := noon.Add(-time.Hour)
	require.NoError(t, r.mirror(t, hello(),
		heartbeat(990e9), heartbeat(1003e9), heartbeat(1002e9),
		report(&statusv1.PartStatus{
			Part: "agent", ReportedAt: timestamppb.New(away), WatchedFrom: timestamppb.New(away.Add(-10 * time.Minute)), StartedAt: timestamppb.New(away),
			BlindIntervals: []*statusv1.BlindInterval{{From: timestamppb.New(away.Add(-2 * time.Minute)), To: timestamppb.New(away.Add(time.Hour))}, {From: &timestamppb.Timestamp{Nanos: -1}}},
		})))
	require.Equal(t, agents.Life{Node: "n1", Seconds: 42}, r.board.lastLife)
	// The second lies 3 s ahead of now: the hello was so long on its way, and all later times are set right by that.
	require.Equal(t, []time.Time{noon.Add(-10 * time.Second), noon, noon.Add(-time.Second)}, r.board.watched)
	s := r.board.reports[0]
	late := -3 * time.Second
	require.Equal(t, noon.Add(late), s.GetReportedAt().AsTime())
	require.Equal(t, noon.Add(late-10*time.Minute), s.GetWatchedFrom().AsTime())
	require.Equal(t, noon.Add(late-2*time.Minute), s.GetBlindIntervals()[0].GetFrom().AsTime())
	require.Equal(t, noon, s.GetBlindIntervals()[0].GetTo().AsTime(), "never ahead of now")
	require.Nil(t, s.GetBlindIntervals()[1].GetFrom())
	require.Equal(t, away, s.GetStartedAt().AsTime(), "it names a life, and is no time to reckon with")
}

func TestPolicyIsTheFirstAnswer(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1<<20)
	require.NoError(t, r.mirror(t, hello(), batchOf(1, nil)))
	require.Len(t, r.wire.responses, 1, "built-in defaults need no word")
	r.service.Obey(&policyv1.AgentPolicy{Sequence: 3, RequestBudget: 1 << 16})
	require.NoError(t, r.mirror(t, hello(), batchOf(1, nil)))
	require.EqualValues(t, 3, r.wire.responses[0].GetPolicy().GetSequence())
	require.Len(t, r.wire.responses, 2)
}

// FuzzMirror holds what must be true whatever an agent says after its hello: no panic, every batch is answered, what was
// not refused was handed on, and nothing stays behind.
func FuzzMirror(f *testing.F) {
	add := func(list ...*aggregatorv1.MirrorRequest) {
		var all []byte
		for _, m := range list {
			data, err := proto.Marshal(m)
			require.NoError(f, err)
			all = protowire.AppendBytes(all, data)
		}
		f.Add(all)
	}
	add(hello())
	add(heartbeat(5), fromTheFuture(f), heartbeat(1<<63), heartbeat(1005e9))
	add(batchOf(1, []*trafficv1.Workload{{Node: "n1"}, {Node: "n2"}, {}}, &trafficv1.Exchange{WorkloadRef: 1}, &trafficv1.Exchange{WorkloadRef: 2}, &trafficv1.Exchange{WorkloadRef: 3},
		&trafficv1.Exchange{WorkloadRef: 4}, &trafficv1.Exchange{Times: &trafficv1.Times{RequestStartMonoNs: 1 << 62}}))
	add(batchOf(1, nil), batchOf(1, nil), batchOf(0, nil, &trafficv1.Exchange{Request: &trafficv1.Request{Body: []*trafficv1.BodySegment{{Data: make([]byte, 5000)}}}}))
	add(report(&statusv1.PartStatus{Part: "agent", WatchedFrom: &timestamppb.Timestamp{Seconds: -1 << 62, Nanos: -5}, BlindIntervals: []*statusv1.BlindInterval{{}}}))
	f.Fuzz(func(t *testing.T, data []byte) {
		requests := []*aggregatorv1.MirrorRequest{hello()}
		batches, exchanges := 0, 0
		for len(data) > 0 {
			one, n := protowire.ConsumeBytes(data)
			m := &aggregatorv1.MirrorRequest{}
			if n < 0 || proto.Unmarshal(one, m) != nil {
				break
			}
			if m.GetHello() == nil {
				requests = append(requests, m)
			}
			if m.GetBatch() != nil {
				batches++
				exchanges += len(m.GetBatch().GetExchanges())
			}
			data = data[n:]
		}
		// A bound that most batches are over.
		r := newRig(t, 4<<10)
		require.NoError(t, r.mirror(t, requests...))
		answers, refused := 0, 0
		for _, m := range r.wire.responses {
			answers++
			refused += int(m.GetAck().GetRefused())
		}
		require.Equal(t, batches, answers)
		require.Equal(t, exchanges, refused+len(r.judge.items))
		for _, item := range r.judge.items {
			require.Equal(t, "n1", item.Exchange.GetWorkload().GetNode())
			require.Zero(t, item.Exchange.GetWorkloadRef())
			require.False(t, item.Exchange.GetTimes().GetObservedAt().AsTime().After(noon) && !item.Exchange.GetReplayed())
		}
		for _, until := range r.board.watched {
			require.False(t, until.After(noon))
		}
		require.Zero(t, r.service.PendingBytes.Load())
		require.Empty(t, r.service.room.holders)
		require.Zero(t, r.board.open)
	})
}
