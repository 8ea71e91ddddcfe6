package processor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	apidiscoveryv1 "github.com/sidelight/sidelight/proto/gen/sidelight/apidiscovery/v1"
	cloudsyncv1 "github.com/sidelight/sidelight/proto/gen/sidelight/cloudsync/v1"
	detectionv1 "github.com/sidelight/sidelight/proto/gen/sidelight/detection/v1"
	inventoryv1 "github.com/sidelight/sidelight/proto/gen/sidelight/inventory/v1"
	policyv1 "github.com/sidelight/sidelight/proto/gen/sidelight/policy/v1"
	processorv1 "github.com/sidelight/sidelight/proto/gen/sidelight/processor/v1"
	statusv1 "github.com/sidelight/sidelight/proto/gen/sidelight/status/v1"
	trafficv1 "github.com/sidelight/sidelight/proto/gen/sidelight/traffic/v1"

	"github.com/sidelight/sidelight/internal/rpc"
	"github.com/sidelight/sidelight/internal/testkit"
	"github.com/sidelight/sidelight/internal/testkit/testpki"
	"github.com/sidelight/sidelight/internal/tlsreload"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// journal stands for cloudsync: it keeps, or fails as told.
type journal struct {
	cloudsyncv1.UnimplementedJournalServiceServer
	cloudsyncv1.UnimplementedStatusServiceServer
	mu       sync.Mutex
	fails    error
	tried    int
	hits     []*detectionv1.Hit
	outcomes []*detectionv1.OutcomeUpdate
	parts    chan *statusv1.PartStatus
	cloudsyncv1.UnimplementedPolicyServiceServer
	bundles chan *policyv1.Bundle
}

// Watch hands on what a test publishes.
func (j *journal) Watch(_ *cloudsyncv1.WatchRequest, stream grpc.ServerStreamingServer[cloudsyncv1.WatchResponse]) error {
	for {
		select {
		case <-stream.Context().Done():
			return nil
		case b := <-j.bundles:
			if err := stream.Send(&cloudsyncv1.WatchResponse{Bundle: b}); err != nil {
				return err
			}
		}
	}
}

func (j *journal) Commit(_ context.Context, r *cloudsyncv1.CommitRequest) (*cloudsyncv1.CommitResponse, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.tried++
	if j.fails != nil {
		return nil, j.fails
	}
	j.hits = append(j.hits, r.GetHits()...)
	j.outcomes = append(j.outcomes, r.GetOutcomes()...)
	return &cloudsyncv1.CommitResponse{}, nil
}

func (j *journal) commits() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.tried
}

func (j *journal) Report(_ context.Context, r *cloudsyncv1.ReportRequest) (*cloudsyncv1.ReportResponse, error) {
	for _, p := range r.GetParts() {
		select {
		case j.parts <- p:
		default:
		}
	}
	return &cloudsyncv1.ReportResponse{}, nil
}

func (j *journal) fail(err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.fails = err
}

func (j *journal) kept() (hits []*detectionv1.Hit, outcomes []*detectionv1.OutcomeUpdate) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.hits, j.outcomes
}

// inventory stands for apidiscovery.
type inventory struct {
	apidiscoveryv1.UnimplementedObservationServiceServer
	seen chan *inventoryv1.Observation
}

func (s *inventory) Observe(stream grpc.BidiStreamingServer[apidiscoveryv1.ObserveRequest, apidiscoveryv1.ObserveResponse]) error {
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		for _, o := range m.GetObservations() {
			s.seen <- o
		}
		learned := &apidiscoveryv1.ObserveResponse{Message: &apidiscoveryv1.ObserveResponse_Learned{Learned: &inventoryv1.Learned{}}}
		if err := stream.Send(learned); err != nil {
			return err
		}
		ack := &apidiscoveryv1.ObserveResponse{Message: &apidiscoveryv1.ObserveResponse_Acknowledged{Acknowledged: m.GetSequence()}}
		if err := stream.Send(ack); err != nil {
			return err
		}
	}
}

// rig is a processor between two fakes, over real TLS.
type rig struct {
	service   *Service
	journal   *journal
	inventory *inventory
	certs     map[string]*tlsreload.Source
}

func start(t *testing.T) *rig {
	t.Helper()
	return startAll(t, 1, testkit.Quiet())[0]
}

func startWith(t *testing.T, log *slog.Logger) *rig {
	t.Helper()
	return startAll(t, 1, log)[0]
}

// startAll runs replicas that share journal and inventory, and clients if there are several.
func startAll(t *testing.T, replicas int, log *slog.Logger) []*rig {
	t.Helper()
	shared := rig{
		journal:   &journal{parts: make(chan *statusv1.PartStatus, 4), bundles: make(chan *policyv1.Bundle, 4)},
		inventory: &inventory{seen: make(chan *inventoryv1.Observation, 4096)},
		certs:     testpki.TLS(t, "aggregator", "processor", "cloudsync", "apidiscovery", "agent"),
	}
	r := &shared
	cfg := DefaultConfig()
	cfg.Ops.Listen = "127.0.0.1:0"
	cfg.Cluster, cfg.Inspect.HashKey = "test", "a key for tests, not a secret"
	cfg.CloudSync.Address = serve(t, r.certs["cloudsync"], func(g *grpc.Server) {
		cloudsyncv1.RegisterJournalServiceServer(g, r.journal)
		cloudsyncv1.RegisterStatusServiceServer(g, r.journal)
		cloudsyncv1.RegisterPolicyServiceServer(g, r.journal)
	})
	cfg.APIDiscovery.Address = serve(t, r.certs["apidiscovery"], func(g *grpc.Server) {
		apidiscoveryv1.RegisterObservationServiceServer(g, r.inventory)
	})
	var listeners []net.Listener
	for range replicas {
		listeners = append(listeners, listen(t))
	}
	if replicas > 1 {
		var addresses []string
		for _, l := range listeners {
			addresses = append(addresses, l.Addr().String())
		}
		cfg.Behaviour.Peers.Address = strings.Join(addresses, ",")
	}
	var out []*rig
	for n, l := range listeners {
		one := shared
		cfg.Instance = fmt.Sprintf("processor-%d", n)
		var err error
		one.service, err = New(cfg, Deps{Log: log, Listener: l, TLS: r.certs["processor"], Inspector: inspector(t)})
		require.NoError(t, err)
		background(t, one.service.Run)
		out = append(out, &one)
	}
	return out
}

// lost gives a counter as the status lane shows it.
func (r *rig) lost(place, reason string) int64 {
	for _, l := range r.service.status.Now().GetLosses() {
		if l.GetPlace() == place && l.GetReason() == reason {
			return l.GetCount()
		}
	}
	return 0
}

// counter gives a counter as the status lane shows it.
func (r *rig) counter(name string) int64 {
	for _, c := range r.service.status.Now().GetCounters() {
		if c.GetName() == name {
			return c.GetValue()
		}
	}
	return 0
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	return l
}

func serve(t *testing.T, certs *tlsreload.Source, register func(*grpc.Server)) string {
	t.Helper()
	s := rpc.NewServer(rpc.ServerConfig{}, rpc.ServerDeps{
		Log: testkit.Quiet(), TLS: certs, Listener: listen(t), Register: register,
		Rules: []rpc.Rule{
			{Method: "/sidelight.cloudsync.v1.JournalService/", Allow: []string{"processor"}},
			{Method: "/sidelight.cloudsync.v1.StatusService/", Allow: []string{"processor"}},
			{Method: "/sidelight.cloudsync.v1.PolicyService/", Allow: []string{"processor"}},
			{Method: "/sidelight.apidiscovery.v1.ObservationService/", Allow: []string{"processor"}},
		},
	})
	background(t, s.Run)
	return s.Addr()
}

// background runs until the test ends, and waits for the end.
func background(t *testing.T, run func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-done)
	})
}

func (r *rig) dial(t *testing.T, as string) processorv1.InspectServiceClient {
	t.Helper()
	// A call that is refused must show at once, so no retries here.
	conn, err := rpc.Dial(rpc.ClientConfig{Address: r.service.Addr()}, rpc.ClientDeps{
		TLS: r.certs[as], Server: "processor", Extra: []grpc.DialOption{grpc.WithDisableRetry()},
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, conn.Close()) })
	return processorv1.NewInspectServiceClient(conn)
}

func batch(xs ...*trafficv1.Exchange) *processorv1.InspectRequest {
	return &processorv1.InspectRequest{Exchanges: xs}
}

func numbered(id byte, x *trafficv1.Exchange) *trafficv1.Exchange {
	x.Id = append([]byte{id}, x.GetId()[1:]...)
	return x
}

const traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

func TestHitsAreKeptBeforeTheAnswer(t *testing.T) {
	t.Parallel()
	r := start(t)
	client := r.dial(t, "aggregator")
	bad := numbered(1, exchange("GET", "/?q=%27%20or%201%3D1--%20-", [][2]string{{"traceparent", traceparent}}, nil))
	good := numbered(2, exchange("GET", "/docs/etc/passwords", nil, nil))
	res, err := client.Inspect(t.Context(), batch(bad, good))
	require.NoError(t, err)
	hits, _ := r.journal.kept()
	require.Len(t, hits, 1)
	require.Equal(t, "sqli", hits[0].GetType())
	require.Equal(t, "query.q", hits[0].GetPoint())
	require.Equal(t, detectionv1.Outcome_OUTCOME_REACHED_APP, hits[0].GetOutcome())
	require.Equal(t, "4bf92f3577b34da6a3ce929d0e0e4736", hits[0].GetRequest().GetTraceId())
	require.Equal(t, "test", hits[0].GetCluster())
	require.NotEmpty(t, hits[0].GetRequest().GetMaskedRequest())

	require.Len(t, res.GetSummaries(), 2)
	require.Equal(t, bad.GetId(), res.GetSummaries()[0].GetExchangeId())
	require.Len(t, res.GetSummaries()[0].GetHits(), 1)
	require.Empty(t, res.GetSummaries()[0].GetRequest().GetMaskedRequest(), "a summary carries no request")
	require.Empty(t, res.GetSummaries()[1].GetHits())
	require.True(t, res.GetSummaries()[1].GetComplete())

	first, second := <-r.inventory.seen, <-r.inventory.seen
	require.True(t, first.GetAttack())
	require.False(t, second.GetAttack())
	require.Equal(t, "docs", second.GetSegments()[0].GetText())
	require.Equal(t, uint32(200), second.GetStatus())
}

func TestWithoutAJournalNothingIsPromised(t *testing.T) {
	t.Parallel()
	r := start(t)
	client := r.dial(t, "aggregator")
	r.journal.fail(status.Error(codes.Internal, "disk full"))
	bad := numbered(1, exchange("GET", "/etc/passwd", nil, nil))
	fine := numbered(3, exchange("GET", "/orders/3", nil, nil))
	res, err := client.Inspect(t.Context(), batch(bad, fine, bad))
	require.NoError(t, err)
	require.Equal(t, []uint32{0, 2}, res.GetNotKept(), "and what has no hits is judged")
	require.Empty(t, res.GetSummaries()[0].GetHits(), "nothing is said of what does not stand")
	require.Equal(t, fine.GetId(), res.GetSummaries()[1].GetExchangeId())
	require.Equal(t, fine.GetId(), (<-r.inventory.seen).GetExchangeId())
	commits := r.journal.commits()
	res, err = client.Inspect(t.Context(), batch(bad))
	require.NoError(t, err)
	require.Equal(t, []uint32{0}, res.GetNotKept())
	require.LessOrEqual(t, r.journal.commits()-commits, 1, "no call waits for a journal that is known to be away; one knocks")

	r.journal.fail(nil)
	require.Eventually(t, r.service.gate.Open, 10*time.Second, 10*time.Millisecond, "the journal is back")
	res, err = client.Inspect(t.Context(), batch(bad))
	require.NoError(t, err)
	require.Empty(t, res.GetNotKept())
	require.False(t, res.GetSummaries()[0].GetDuplicate(), "a batch that failed was not judged")
	require.Len(t, res.GetSummaries()[0].GetHits(), 1)
	hits, _ := r.journal.kept()
	require.Len(t, hits, 1)
	require.Equal(t, bad.GetId(), (<-r.inventory.seen).GetExchangeId())
	require.Empty(t, r.inventory.seen, "the failed call was observed")

	clean := numbered(2, exchange("GET", "/orders/1", nil, nil))
	r.journal.fail(status.Error(codes.Internal, "disk full"))
	_, err = client.Inspect(t.Context(), batch(clean))
	require.NoError(t, err, "what has no hits needs no journal")
	<-r.inventory.seen
}

func TestAResendCountsOnce(t *testing.T) {
	t.Parallel()
	r := start(t)
	client := r.dial(t, "aggregator")
	bad := numbered(1, exchange("GET", "/etc/passwd", nil, nil))
	_, err := client.Inspect(t.Context(), batch(bad))
	require.NoError(t, err)
	<-r.inventory.seen
	res, err := client.Inspect(t.Context(), batch(bad, bad))
	require.NoError(t, err)
	for _, s := range res.GetSummaries() {
		require.True(t, s.GetDuplicate())
		require.Equal(t, "ptrav", s.GetHits()[0].GetType())
	}
	hits, _ := r.journal.kept()
	require.Len(t, hits, 1)
	require.Empty(t, r.inventory.seen)
}

func TestAnOutcomeComesLater(t *testing.T) {
	t.Parallel()
	r := start(t)
	client := r.dial(t, "aggregator")
	whole := numbered(1, exchange("GET", "/etc/passwd", [][2]string{{"traceparent", traceparent}}, nil))
	open := proto.CloneOf(whole)
	open.Phase, open.CloseReason, open.Response = trafficv1.Phase_PHASE_REQUEST, 0, nil
	_, err := client.Inspect(t.Context(), batch(open))
	require.NoError(t, err)
	hits, outcomes := r.journal.kept()
	require.Equal(t, detectionv1.Outcome_OUTCOME_UNSPECIFIED, hits[0].GetOutcome())
	require.Empty(t, outcomes)

	closed := proto.CloneOf(whole)
	closed.Revision = 2
	closed.Request.Headers = nil
	closed.Response.Status = 404
	res, err := client.Inspect(t.Context(), batch(closed))
	require.NoError(t, err)
	require.Equal(t, "ptrav", res.GetSummaries()[0].GetHits()[0].GetType())
	require.Equal(t, "4bf92f3577b34da6a3ce929d0e0e4736", res.GetSummaries()[0].GetRequest().GetTraceId())
	require.True(t, res.GetSummaries()[0].GetComplete())
	hits, outcomes = r.journal.kept()
	require.Len(t, hits, 1, "nothing is judged twice")
	require.Len(t, outcomes, 1)
	require.Equal(t, uint32(404), outcomes[0].GetStatus())
	require.Equal(t, detectionv1.Outcome_OUTCOME_REACHED_APP, outcomes[0].GetOutcome())
	require.False(t, (<-r.inventory.seen).GetOutcomeOnly())
	later := <-r.inventory.seen
	require.True(t, later.GetOutcomeOnly())
	require.Equal(t, uint32(404), later.GetStatus())

	// Another replica never saw the request: it cannot know that there are no hits.
	elsewhere := proto.CloneOf(closed)
	elsewhere.Id[0] = 9
	elsewhere.Response, elsewhere.CloseReason = nil, trafficv1.CloseReason_CLOSE_REASON_RESET
	_, err = client.Inspect(t.Context(), batch(elsewhere))
	require.NoError(t, err)
	_, outcomes = r.journal.kept()
	require.Equal(t, detectionv1.Outcome_OUTCOME_NO_ANSWER, outcomes[1].GetOutcome())

	// A request that was judged clean has nothing to fill in.
	clean := numbered(3, exchange("GET", "/orders/1", nil, nil))
	_, err = client.Inspect(t.Context(), batch(clean))
	require.NoError(t, err)
	clean.Revision = 2
	_, err = client.Inspect(t.Context(), batch(clean))
	require.NoError(t, err)
	_, outcomes = r.journal.kept()
	require.Len(t, outcomes, 2)
}

func TestOnlyTheAggregatorMayAsk(t *testing.T) {
	t.Parallel()
	r := start(t)
	_, err := r.dial(t, "agent").Inspect(t.Context(), batch())
	require.Equal(t, codes.PermissionDenied, status.Code(err), "%v", err)
}

func TestAMalformedExchangeSpoilsNoBatch(t *testing.T) {
	t.Parallel()
	r := start(t)
	client := r.dial(t, "aggregator")
	res, err := client.Inspect(t.Context(), batch(&trafficv1.Exchange{Id: []byte("short")}, numbered(1, exchange("GET", "/etc/passwd", nil, nil)), &trafficv1.Exchange{}))
	require.NoError(t, err)
	require.Len(t, res.GetSummaries(), 3)
	require.NotEmpty(t, res.GetSummaries()[0].GetWhyIncomplete())
	require.Len(t, res.GetSummaries()[1].GetHits(), 1)
	require.False(t, res.GetSummaries()[2].GetComplete())
	require.Equal(t, int64(2), r.lost("inspect", "malformed_exchange"))
}

// A batch that takes too long is answered all the same: sent again, it would take too long again.
func TestABatchEnds(t *testing.T) {
	t.Parallel()
	r := start(t)
	client := r.dial(t, "aggregator")
	_, err := client.Inspect(t.Context(), batch())
	require.NoError(t, err)
	r.service.handler.batchTime = -1
	res, err := client.Inspect(t.Context(), batch(numbered(1, exchange("GET", "/etc/passwd", nil, nil))))
	require.NoError(t, err)
	require.Equal(t, "not inspected: overlimit: time of the batch", res.GetSummaries()[0].GetWhyIncomplete())
	require.False(t, res.GetSummaries()[0].GetComplete())
	require.Equal(t, int64(1), r.lost("inspect", "overlimit_time"))
}

func TestStatusIsReported(t *testing.T) {
	t.Parallel()
	r := start(t)
	select {
	case p := <-r.journal.parts:
		require.Equal(t, "processor", p.GetPart())
		require.Equal(t, "processor-0", p.GetInstance())
		require.Equal(t, "test", p.GetCluster())
	case <-time.After(10 * time.Second):
		t.Fatal("no status")
	}
	require.NoError(t, r.service.Ready())
}
