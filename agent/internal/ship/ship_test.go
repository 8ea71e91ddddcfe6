package ship

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/sidelight/sidelight/internal/losses"
	"github.com/sidelight/sidelight/internal/testkit"
	aggregatorv1 "github.com/sidelight/sidelight/proto/gen/sidelight/aggregator/v1"
	policyv1 "github.com/sidelight/sidelight/proto/gen/sidelight/policy/v1"
	statusv1 "github.com/sidelight/sidelight/proto/gen/sidelight/status/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// far is the other end: a script of what it does with each batch.
type far struct {
	aggregatorv1.UnimplementedMirrorServiceServer
	mu      sync.Mutex
	hellos  int
	batches map[uint64]int
	seen    map[string]int
	refuse  func(n int) bool
	n       int
	// torn counts bytes of bodies that are not what was sent.
	torn int
	told chan struct{}
	// hold keeps acknowledgements back until it is closed.
	hold chan struct{}
	// added is what the agent's side says.
	added atomic.Uint64
	// marks are the heartbeats; last is the last message of the newest stream that was ended in good order.
	marks []uint64
	last  *aggregatorv1.MirrorRequest
	hello *aggregatorv1.Hello
}

func (f *far) Mirror(stream aggregatorv1.MirrorService_MirrorServer) error {
	first, err := stream.Recv()
	if err != nil || first.GetHello().GetNode() != "node" {
		return status.Error(codes.InvalidArgument, "no hello")
	}
	f.mu.Lock()
	f.hellos++
	f.hello = first.GetHello()
	f.mu.Unlock()
	if err := stream.Send(&aggregatorv1.MirrorResponse{Message: &aggregatorv1.MirrorResponse_Policy{Policy: &policyv1.AgentPolicy{Sequence: 7}}}); err != nil {
		return err
	}
	var last *aggregatorv1.MirrorRequest
	for {
		m, err := stream.Recv()
		f.mu.Lock()
		if errors.Is(err, io.EOF) {
			f.last = last
		}
		if h := m.GetHeartbeat(); h != nil {
			f.marks = append(f.marks, h.GetWatchedUntilMonoNs())
		}
		f.mu.Unlock()
		if err != nil {
			return nil
		}
		last = m
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
				f.seen[string(e.GetRequest().GetTarget())]++
				for _, s := range e.GetRequest().GetBody() {
					f.torn += len(s.GetData()) - bytes.Count(s.GetData(), []byte("x"))
				}
			}
		}
		f.mu.Unlock()
		if refused {
			return status.Error(codes.Unavailable, "cut")
		}
		if f.hold != nil {
			f.told <- struct{}{}
			<-f.hold
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
		Log: testkit.Quiet(), Client: aggregatorv1.NewMirrorServiceClient(conn), Losses: lost, Hello: &aggregatorv1.Hello{Node: "node", StartedAt: timestamppb.New(time.Unix(5, 0))},
		Mono: func() uint64 { return 1 }, Added: f.added.Load, Status: func() *statusv1.PartStatus { return &statusv1.PartStatus{} },
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

func (f *far) awaitStreams(t *testing.T, n int) {
	t.Helper()
	require.Eventually(t, func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.hellos >= n
	}, 20*time.Second, time.Millisecond)
}

func TestNothingIsLostOrSentTwice(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		refuse  func(int) bool
		change  func(*Config)
		atLeast int // streams
		body    int
	}{
		"plain":    {nil, func(*Config) {}, 1, 10},
		"cuts":     {func(n int) bool { return n == 2 || n == 5 }, func(c *Config) { c.BatchItems = 10 }, 3, 10},
		"renewals": {nil, func(c *Config) { c.Renew = 5 * time.Millisecond; c.BatchItems = 10 }, 2, 10},
		// Their memory is used again.
		"large batches, cuts": {func(n int) bool { return n%5 == 2 }, func(c *Config) { c.BatchItems = 10 }, 3, 5000},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := &far{refuse: test.refuse}
			s, lost, stop := start(t, f, test.change)
			for i := range 200 {
				s.takeMessage(quick(fmt.Sprint(i), test.body), shop())
				if i%50 == 0 {
					// So that several streams have their share.
					f.await(t, i)
					f.awaitStreams(t, min(test.atLeast, i/50+1))
				}
			}
			f.await(t, 200)
			stop()
			require.Len(t, f.seen, 200)
			require.Zero(t, f.torn)
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
	s.takeMessage(quick("late", 1), shop())
	stop()
	require.Equal(t, map[string]int{"late": 1}, f.seen)
	require.Empty(t, lost.Snapshot())

	f = &far{refuse: func(int) bool { return true }}
	s, lost, stop = start(t, f, func(c *Config) { c.Drain = 10 * time.Millisecond })
	s.takeMessage(quick("never", 1), shop())
	stop()
	require.Equal(t, []losses.Loss{{Place: "exchanges", Reason: "agent_stop", Count: 1}}, lost.Snapshot())
}

// What is not acknowledged holds the watermark up, it never goes back, and the last word of a life is how far it came.
func TestHeartbeats(t *testing.T) {
	t.Parallel()
	f := &far{hold: make(chan struct{})}
	f.added.Store(1000)
	s, _, stop := start(t, f, func(c *Config) { c.HeartbeatEvery = 5 * time.Millisecond })
	require.Equal(t, int64(5), f.hello.GetStartedAt().GetSeconds())
	until := func(mark uint64) {
		t.Helper()
		require.Eventually(t, func() bool {
			f.mu.Lock()
			defer f.mu.Unlock()
			return len(f.marks) > 0 && f.marks[len(f.marks)-1] == mark
		}, 10*time.Second, time.Millisecond)
	}
	until(1000)
	e := quick("held", 1)
	e.Times.RequestStartMonoNs = 1500
	s.takeMessage(e, shop())
	<-f.told
	f.added.Store(2000)
	require.Equal(t, uint64(1500), s.Watermark())
	close(f.hold)
	until(2000)
	f.added.Store(1800)
	require.Equal(t, uint64(2000), s.Watermark())
	f.added.Store(2100)
	stop()
	require.Equal(t, uint64(2100), f.last.GetHeartbeat().GetWatchedUntilMonoNs(), "the last message of the stream")
	require.IsNonDecreasing(t, f.marks)
}
