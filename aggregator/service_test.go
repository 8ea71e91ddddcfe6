package aggregator

import (
	"context"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	aggregatorv1 "github.com/sidelight/sidelight/proto/gen/sidelight/aggregator/v1"
	processorv1 "github.com/sidelight/sidelight/proto/gen/sidelight/processor/v1"
	statusv1 "github.com/sidelight/sidelight/proto/gen/sidelight/status/v1"
	trafficv1 "github.com/sidelight/sidelight/proto/gen/sidelight/traffic/v1"
)

func away(context.Context, *processorv1.InspectRequest) error {
	return status.Error(codes.Unavailable, "hits could not be kept")
}

func TestNothingIsLostAndNothingAcknowledgedEarly(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	r.processor.set(away)
	a := r.mirror(t).hello(t)
	const batches, each = 50, 20
	for b := range uint64(batches) {
		var list []*trafficv1.Exchange
		for i := range uint64(each) {
			list = append(list, exchange(b*each+i))
		}
		require.NoError(t, a.send(b+1, list...))
	}
	require.Eventually(t, func() bool { return r.processor.failures() >= 5 && r.service.ingest.Batches.Load() == batches }, soon, time.Millisecond)
	require.Empty(t, a.acks, "acknowledged what was not judged")
	r.processor.set(nil)
	got := map[uint64]bool{}
	for range batches {
		ack := a.ack(t)
		require.False(t, got[ack.GetSequence()], "acknowledged twice")
		got[ack.GetSequence()] = true
		require.Zero(t, ack.GetRefused())
		for i := range uint64(each) {
			require.NotNil(t, r.processor.exchange((ack.GetSequence()-1)*each+i), "acknowledged before it was judged")
		}
	}
	require.Zero(t, r.service.ingest.PendingBytes.Load())
	require.NoError(t, a.wire.CloseSend())
	require.Equal(t, io.EOF, <-a.end)
}

func TestWhatTheAggregatorAdds(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	a := r.mirror(t).hello(t)
	unnamed, foreign := exchange(2), exchange(3)
	unnamed.Workload, unnamed.Times = nil, nil
	foreign.Workload.Node = "n2"
	require.NoError(t, a.send(7, exchange(1), unnamed, foreign))
	ack := a.ack(t)
	require.EqualValues(t, 7, ack.GetSequence())
	require.EqualValues(t, 1, ack.GetRefused())
	x := r.processor.exchange(1)
	require.Equal(t, "east", x.GetWorkload().GetCluster())
	require.Equal(t, "198.51.100.7", x.GetClient().GetAddress())
	require.Equal(t, []string{"10.0.0.1", "10.0.0.2", "198.51.100.7"}, x.GetClient().GetChain())
	require.WithinDuration(t, time.Now(), x.GetTimes().GetObservedAt().AsTime(), 5*time.Second, "the agent's clock is an hour behind")
	require.Equal(t, "n1", r.processor.exchange(2).GetWorkload().GetNode())
	require.NotNil(t, r.processor.exchange(2).GetTimes().GetObservedAt())
	require.Nil(t, r.processor.exchange(3))
	require.Equal(t, "foreign_node", r.service.status.Now().GetLosses()[0].GetReason())

	require.NoError(t, a.send(8))
	require.EqualValues(t, 8, a.ack(t).GetSequence(), "an empty batch")
}

func TestHello(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	for name, say := range map[string]func(*agent){
		"a batch first": func(a *agent) { require.NoError(t, a.send(1, exchange(1))) },
		"a hello twice": func(a *agent) { a.hello(t).hello(t) },
		"an empty hello": func(a *agent) {
			require.NoError(t, a.wire.Send(&aggregatorv1.MirrorRequest{Message: &aggregatorv1.MirrorRequest_Hello{}}))
		},
	} {
		t.Run(name, func(t *testing.T) {
			a := r.mirror(t)
			say(a)
			require.Equal(t, codes.InvalidArgument, status.Code(<-a.end))
		})
	}
	require.Nil(t, r.processor.exchange(1))
}

func TestWhoMayCall(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	mirror, err := aggregatorv1.NewMirrorServiceClient(r.dial(t, "operator")).Mirror(t.Context())
	require.NoError(t, err)
	_, err = mirror.Recv()
	require.Equal(t, codes.PermissionDenied, status.Code(err))
	tail, err := aggregatorv1.NewTailServiceClient(r.dial(t, "agent")).Tail(t.Context(), &aggregatorv1.TailRequest{})
	require.NoError(t, err)
	_, err = tail.Recv()
	require.Equal(t, codes.PermissionDenied, status.Code(err))
}

// The agent is held up when the bound is reached: its sends block, and memory stays where it is.
func TestBackpressure(t *testing.T) {
	t.Parallel()
	r := start(t, func(c *Config) { c.MaxPendingBytes = 1 << 20 })
	release := make(chan struct{})
	r.processor.set(func(ctx context.Context, _ *processorv1.InspectRequest) error {
		select {
		case <-release:
		case <-ctx.Done():
		}
		return nil
	})
	a := r.mirror(t).hello(t)
	const batches = 100
	sent := make(chan error, 1)
	go func() {
		for b := range uint64(batches) {
			x := exchange(b)
			x.Request.Body = []*trafficv1.BodySegment{{Data: make([]byte, 128<<10)}}
			if err := a.send(b+1, x); err != nil {
				sent <- err
				return
			}
		}
		sent <- nil
	}()
	require.Eventually(t, func() bool { return r.service.ingest.Waits.Load() > 0 }, soon, time.Millisecond)
	require.LessOrEqual(t, r.service.ingest.PendingBytes.Load(), int64(1<<20))
	require.Less(t, r.service.ingest.Batches.Load(), int64(9))
	require.Empty(t, sent, "the agent was not held up")
	close(release)
	for range batches {
		a.ack(t)
	}
	require.NoError(t, <-sent)
	require.Zero(t, r.service.ingest.PendingBytes.Load())
}

// A stop waits for the answers to what was read, and for nothing else.
func TestDrain(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	release := make(chan struct{})
	r.processor.set(func(context.Context, *processorv1.InspectRequest) error { <-release; return nil })
	a := r.mirror(t).hello(t)
	idle := r.mirror(t).hello(t)
	for b := range uint64(5) {
		require.NoError(t, a.send(b+1, exchange(b)))
	}
	require.Eventually(t, func() bool { return r.service.ingest.Batches.Load() == 5 }, soon, time.Millisecond)
	r.stop()
	require.Equal(t, codes.Unavailable, status.Code(<-idle.end))
	require.Empty(t, a.acks)
	close(release)
	for range 5 {
		a.ack(t)
	}
	require.Equal(t, codes.Unavailable, status.Code(<-a.end))
	select {
	case err := <-r.done:
		require.NoError(t, err)
		r.done <- nil
	case <-time.After(soon):
		t.Fatal("it does not end")
	}
}

func TestStatusOfAgentsIsPassedOn(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	a := r.mirror(t).hello(t)
	require.NoError(t, a.wire.Send(&aggregatorv1.MirrorRequest{Message: &aggregatorv1.MirrorRequest_Status{Status: &statusv1.PartStatus{Part: "agent", Ready: true}}}))
	seen := map[string]bool{}
	for len(seen) < 2 {
		select {
		case p := <-r.cloudsync.parts:
			require.Equal(t, "east", p.GetCluster())
			seen[p.GetPart()+"/"+p.GetInstance()] = true
		case <-time.After(soon):
			t.Fatalf("reported: %v", seen)
		}
	}
	require.True(t, seen["agent/n1"])
	require.True(t, seen["aggregator/aggregator-0"])
}

func TestTail(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	client := aggregatorv1.NewTailServiceClient(r.dial(t, "operator"))
	refused, err := client.Tail(t.Context(), &aggregatorv1.TailRequest{Filter: "type:"})
	require.NoError(t, err)
	_, err = refused.Recv()
	require.Equal(t, codes.InvalidArgument, status.Code(err))

	all, err := client.Tail(t.Context(), &aggregatorv1.TailRequest{})
	require.NoError(t, err)
	_, err = all.Header()
	require.NoError(t, err)
	attacks, err := client.Tail(t.Context(), &aggregatorv1.TailRequest{AttacksOnly: true})
	require.NoError(t, err)
	_, err = attacks.Header()
	require.NoError(t, err)
	a := r.mirror(t).hello(t)
	for b := range uint64(30) {
		require.NoError(t, a.send(b+1, exchange(b)))
		a.ack(t)
	}
	for range 30 {
		m, err := all.Recv()
		require.NoError(t, err)
		require.Zero(t, m.GetDropped())
	}
	for range 3 {
		m, err := attacks.Recv()
		require.NoError(t, err)
		require.NotEmpty(t, m.GetSummary().GetHits())
	}
	r.stop()
	_, err = all.Recv()
	require.Equal(t, codes.Unavailable, status.Code(err))
}

func TestConfig(t *testing.T) {
	t.Parallel()
	require.NoError(t, DefaultConfig().Validate())
	err := Config{MaxPendingBytes: 1, ForwardedHeaders: []string{"via"}}.Validate()
	for _, want := range []string{"log.level", `forwarded_headers: "via"`, "processor.address", "cloudsync.address", "cluster", "max_pending_bytes"} {
		require.ErrorContains(t, err, want)
	}
	_, err = New(DefaultConfig(), Deps{})
	require.ErrorContains(t, err, "tls.cert")
}

// BenchmarkMirror is an exchange's way from one agent's stream to the processor and back to the acknowledgement, over
// three mutual TLS peers in this one process.
func BenchmarkMirror(b *testing.B) {
	r := start(b, nil)
	r.processor.set(nil)
	a := r.mirror(b).hello(b)
	const each = 100
	list := make([]*trafficv1.Exchange, each)
	for i := range list {
		list[i] = exchange(uint64(i))
	}
	inFlight := 0
	n := uint64(0)
	before := cpu(b)
	for b.Loop() {
		n++
		require.NoError(b, a.send(n, list...))
		if inFlight++; inFlight > 8 {
			a.ack(b)
			inFlight--
		}
	}
	for ; inFlight > 0; inFlight-- {
		a.ack(b)
	}
	total := float64(b.N * each)
	b.ReportMetric(float64(b.Elapsed().Microseconds())/total, "us/exchange")
	b.ReportMetric(float64((cpu(b)-before).Microseconds())/total, "cpu-us/exchange(3-peers)")
}
