package ship

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/sidelight/sidelight/internal/losses"
	"github.com/sidelight/sidelight/internal/testkit"
	aggregatorv1 "github.com/sidelight/sidelight/proto/gen/sidelight/aggregator/v1"
	policyv1 "github.com/sidelight/sidelight/proto/gen/sidelight/policy/v1"
	statusv1 "github.com/sidelight/sidelight/proto/gen/sidelight/status/v1"
	trafficv1 "github.com/sidelight/sidelight/proto/gen/sidelight/traffic/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func exchange(name string, body int) *trafficv1.Exchange {
	e := &trafficv1.Exchange{Id: []byte(name), Request: &trafficv1.Request{Target: []byte(name)}}
	if body > 0 {
		e.Request.Body = []*trafficv1.BodySegment{{Data: bytes.Repeat([]byte("x"), body)}}
	}
	return e
}

func TestBufferShedsBodiesFirst(t *testing.T) {
	t.Parallel()
	lost := losses.NewLosses(nil, "agent")
	b := newBuffer(5000, lost)
	for i := range 4 {
		b.add(exchange(fmt.Sprint(i), 2000))
	}
	require.Len(t, b.waiting, 4)
	require.Nil(t, b.waiting[0].exchange.GetRequest().GetBody())
	require.Equal(t, trafficv1.GapReason_GAP_REASON_SHED, b.waiting[0].exchange.GetGaps()[0].GetReason())
	require.NotNil(t, b.waiting[3].exchange.GetRequest().GetBody(), "the newest keep theirs")
	require.LessOrEqual(t, b.bytes, 5000)
	require.Equal(t, []losses.Loss{{Place: "body_bytes", Reason: "shed", Count: 4000}}, lost.Snapshot())

	b = newBuffer(100, lost)
	for i := range 50 {
		b.add(exchange(fmt.Sprint(i), 0))
	}
	require.Less(t, len(b.waiting), 50)
	require.Equal(t, "49", string(b.waiting[len(b.waiting)-1].exchange.GetId()), "the oldest go")
	require.Equal(t, int64(50-len(b.waiting)), lost.Snapshot()[1].Count)
}

func TestAcknowledgementsInAnyOrder(t *testing.T) {
	t.Parallel()
	b := newBuffer(1<<20, losses.NewLosses(nil, "agent"))
	for i := range 3 {
		b.add(exchange(fmt.Sprint(i), 10))
		require.Equal(t, uint64(i+1), b.cut(10, 1000).sequence)
	}
	require.True(t, b.acknowledge(2))
	require.False(t, b.acknowledge(2))
	left := b.unacknowledged()
	require.Len(t, left, 2)
	require.Equal(t, []uint64{1, 3}, []uint64{left[0].sequence, left[1].sequence})
	b.acknowledge(1)
	b.acknowledge(3)
	require.True(t, b.empty())
	require.Zero(t, b.bytes)
}

// far is the other end: a script of what it does with each batch.
type far struct {
	aggregatorv1.UnimplementedMirrorServiceServer
	mu      sync.Mutex
	hellos  int
	batches map[uint64]int
	seen    map[string]int
	refuse  func(n int) bool
	n       int
	told    chan struct{}
}

func (f *far) Mirror(stream aggregatorv1.MirrorService_MirrorServer) error {
	first, err := stream.Recv()
	if err != nil || first.GetHello().GetNode() != "node" {
		return status.Error(codes.InvalidArgument, "no hello")
	}
	f.mu.Lock()
	f.hellos++
	f.mu.Unlock()
	if err := stream.Send(&aggregatorv1.MirrorResponse{Message: &aggregatorv1.MirrorResponse_Policy{Policy: &policyv1.AgentPolicy{Sequence: 7}}}); err != nil {
		return err
	}
	for {
		m, err := stream.Recv()
		if err != nil {
			return nil
		}
		batch := m.GetBatch()
		if batch == nil {
			continue
		}
		f.mu.Lock()
		f.n++
		refused := f.refuse(f.n)
		if !refused {
			f.batches[batch.GetSequence()]++
			for _, e := range batch.GetExchanges() {
				f.seen[string(e.GetId())]++
			}
		}
		f.mu.Unlock()
		if refused {
			return status.Error(codes.Unavailable, "cut")
		}
		if err := stream.Send(&aggregatorv1.MirrorResponse{Message: &aggregatorv1.MirrorResponse_Ack{Ack: &aggregatorv1.Ack{Sequence: batch.GetSequence()}}}); err != nil {
			return nil
		}
		f.told <- struct{}{}
	}
}

func start(t *testing.T, f *far, change func(*Config)) (*Shipper, *losses.Losses, func()) {
	t.Helper()
	f.batches, f.seen, f.told = map[uint64]int{}, map[string]int{}, make(chan struct{}, 1000)
	if f.refuse == nil {
		f.refuse = func(int) bool { return false }
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := grpc.NewServer()
	aggregatorv1.RegisterMirrorServiceServer(server, f)
	served := make(chan struct{})
	go func() { defer close(served); _ = server.Serve(listener) }()
	conn, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	cfg := DefaultConfig()
	change(&cfg)
	lost := losses.NewLosses(nil, "agent")
	policies := make(chan uint64, 100)
	s := New(cfg, Deps{
		Log: testkit.Quiet(), Client: aggregatorv1.NewMirrorServiceClient(conn), Losses: lost, Hello: &aggregatorv1.Hello{Node: "node"},
		Mono: func() uint64 { return 1 }, Status: func() *statusv1.PartStatus { return &statusv1.PartStatus{} },
		Policy: func(p *policyv1.AgentPolicy) { policies <- p.GetSequence() },
	})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	require.Equal(t, uint64(7), <-policies)
	require.True(t, s.Connected())
	return s, lost, func() {
		cancel()
		require.NoError(t, <-ended)
		require.NoError(t, conn.Close())
		server.Stop()
		<-served
	}
}

func (f *far) await(t *testing.T, n int) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		f.mu.Lock()
		got := len(f.seen)
		f.mu.Unlock()
		if got >= n {
			return
		}
		select {
		case <-f.told:
		case <-deadline:
			t.Fatalf("%d of %d exchanges came", got, n)
		}
	}
}

func TestNothingIsLostOrSentTwice(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		refuse  func(int) bool
		change  func(*Config)
		atLeast int // streams
	}{
		"plain":    {nil, func(*Config) {}, 1},
		"cuts":     {func(n int) bool { return n == 2 || n == 5 }, func(c *Config) { c.BatchItems = 10 }, 3},
		"renewals": {nil, func(c *Config) { c.Renew = 5 * time.Millisecond; c.BatchItems = 10 }, 2},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := &far{refuse: test.refuse}
			s, lost, stop := start(t, f, test.change)
			for i := range 200 {
				s.Add(exchange(fmt.Sprint(i), 10))
				if i%50 == 0 {
					f.await(t, i) // so that several streams have their share
				}
			}
			f.await(t, 200)
			stop()
			require.Len(t, f.seen, 200)
			for id, n := range f.seen {
				require.Equal(t, 1, n, id)
			}
			require.GreaterOrEqual(t, f.hellos, test.atLeast)
			require.Empty(t, lost.Snapshot())
		})
	}
}

func TestStopDrainsAndCountsTheRest(t *testing.T) {
	t.Parallel()
	f := &far{}
	s, lost, stop := start(t, f, func(c *Config) { c.Linger = time.Hour })
	s.Add(exchange("late", 1))
	stop()
	require.Equal(t, map[string]int{"late": 1}, f.seen)
	require.Empty(t, lost.Snapshot())

	f = &far{refuse: func(int) bool { return true }}
	s, lost, stop = start(t, f, func(c *Config) { c.Drain = 10 * time.Millisecond })
	s.Add(exchange("never", 1))
	stop()
	require.Equal(t, []losses.Loss{{Place: "exchanges", Reason: "agent_stop", Count: 1}}, lost.Snapshot())
}
