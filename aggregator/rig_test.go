package aggregator

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

	aggregatorv1 "github.com/sidelight/sidelight/proto/gen/sidelight/aggregator/v1"
	cloudsyncv1 "github.com/sidelight/sidelight/proto/gen/sidelight/cloudsync/v1"
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

const soon = 10 * time.Second

// processor is a real server that judges when the test lets it.
type processor struct {
	processorv1.UnimplementedInspectServiceServer
	mu     sync.Mutex
	answer func(context.Context, *processorv1.InspectRequest) error
	judged map[uint64]*trafficv1.Exchange
	failed int
}

func (p *processor) Inspect(ctx context.Context, req *processorv1.InspectRequest) (*processorv1.InspectResponse, error) {
	p.mu.Lock()
	answer := p.answer
	p.mu.Unlock()
	var err error
	if answer != nil {
		err = answer(ctx, req)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	var some notKept
	if err != nil && !errors.As(err, &some) {
		p.failed++
		return nil, err
	}
	out := &processorv1.InspectResponse{}
	for i, x := range req.GetExchanges() {
		if some != nil && some(number(x)) {
			out.NotKept = append(out.NotKept, uint32(i))
			out.Summaries = append(out.Summaries, &processorv1.Summary{})
			continue
		}
		p.judged[number(x)] = x
		s := &processorv1.Summary{ExchangeId: x.GetId()}
		if number(x)%10 == 0 {
			s.Hits = []*processorv1.SummaryHit{{Type: "sqli"}}
		}
		out.Summaries = append(out.Summaries, s)
	}
	return out, nil
}

// notKept is an answer that names the exchanges whose hits could not be kept.
type notKept func(n uint64) bool

func (notKept) Error() string { return "not kept" }

func (p *processor) set(answer func(context.Context, *processorv1.InspectRequest) error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answer = answer
}

func (p *processor) exchange(n uint64) *trafficv1.Exchange {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.judged[n]
}

func (p *processor) failures() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.failed
}

type cloudsync struct {
	cloudsyncv1.UnimplementedStatusServiceServer
	parts chan *statusv1.PartStatus
}

func (c *cloudsync) Report(_ context.Context, req *cloudsyncv1.ReportRequest) (*cloudsyncv1.ReportResponse, error) {
	for _, p := range req.GetParts() {
		select {
		case c.parts <- p:
		default:
		}
	}
	return &cloudsyncv1.ReportResponse{}, nil
}

// policies is cloudsync's end of the policy lane.
type policies struct {
	cloudsyncv1.UnimplementedPolicyServiceServer
	bundles chan *policyv1.Bundle
}

func (p *policies) Watch(_ *cloudsyncv1.WatchRequest, out grpc.ServerStreamingServer[cloudsyncv1.WatchResponse]) error {
	for {
		select {
		case <-out.Context().Done():
			return nil
		case b := <-p.bundles:
			if err := out.Send(&cloudsyncv1.WatchResponse{Bundle: b}); err != nil {
				return err
			}
		}
	}
}

type rig struct {
	service   *Service
	processor *processor
	cloudsync *cloudsync
	policies  *policies
	ca        *testpki.CA
	certs     map[string]*tlsreload.Source
	stop      context.CancelFunc
	done      chan error
}

func start(t testing.TB, change func(*Config)) *rig {
	t.Helper()
	r := &rig{
		processor: &processor{judged: map[uint64]*trafficv1.Exchange{}}, cloudsync: &cloudsync{parts: make(chan *statusv1.PartStatus, 1000)},
		policies: &policies{bundles: make(chan *policyv1.Bundle)}, ca: testpki.New(t), certs: map[string]*tlsreload.Source{}, done: make(chan error, 1),
	}
	for _, part := range []string{"agent", "aggregator", "processor", "cloudsync", "operator"} {
		r.certs[part] = r.ca.Source(t, part)
	}
	cfg := DefaultConfig()
	cfg.Cluster, cfg.Instance = "east", "aggregator-0"
	cfg.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	cfg.Processor.Address = serve(t, r.certs["processor"], []string{"/sidelight.processor.v1.InspectService/"}, func(g *grpc.Server) {
		processorv1.RegisterInspectServiceServer(g, r.processor)
	})
	cfg.Cloudsync.Address = serve(t, r.certs["cloudsync"], []string{"/sidelight.cloudsync.v1.StatusService/", "/sidelight.cloudsync.v1.PolicyService/"}, func(g *grpc.Server) {
		cloudsyncv1.RegisterStatusServiceServer(g, r.cloudsync)
		cloudsyncv1.RegisterPolicyServiceServer(g, r.policies)
	})
	if change != nil {
		change(&cfg)
	}
	var err error
	r.service, err = New(cfg, Deps{Log: testkit.Quiet(), TLS: r.certs["aggregator"], Listener: listen(t)})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	r.stop = cancel
	go func() { r.done <- r.service.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-r.done)
		// For a test that has waited itself.
		r.done <- nil
	})
	return r
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	return l
}

// serve runs a peer until the test ends.
func serve(t testing.TB, certs *tlsreload.Source, services []string, register func(*grpc.Server)) string {
	t.Helper()
	var rules []rpc.Rule
	for _, service := range services {
		rules = append(rules, rpc.Rule{Method: service, Allow: []rpc.Identity{"aggregator"}})
	}
	s := rpc.NewServer(rpc.ServerConfig{}, rpc.ServerDeps{
		Log: testkit.Quiet(), TLS: certs, Listener: listen(t), Register: register, Rules: rules,
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() { cancel(); require.NoError(t, <-done) })
	return s.Addr()
}

func (r *rig) dial(t testing.TB, as string) *grpc.ClientConn {
	t.Helper()
	return r.dialWith(t, r.certs[as])
}

func (r *rig) dialWith(t testing.TB, certs *tlsreload.Source) *grpc.ClientConn {
	t.Helper()
	conn, err := rpc.Dial(rpc.ClientConfig{Address: r.service.Addr()}, rpc.ClientDeps{TLS: certs, Server: "aggregator"})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, conn.Close()) })
	return conn
}

// agent is one Mirror stream; a task of its own reads the acknowledgements.
type agent struct {
	wire     grpc.BidiStreamingClient[aggregatorv1.MirrorRequest, aggregatorv1.MirrorResponse]
	acks     chan *aggregatorv1.Ack
	policies chan *policyv1.AgentPolicy
	// end carries how the stream ended.
	end chan error
}

func (r *rig) mirror(t testing.TB) *agent {
	t.Helper()
	return r.mirrorWith(t, r.certs["agent"])
}

func (r *rig) mirrorWith(t testing.TB, certs *tlsreload.Source) *agent {
	t.Helper()
	wire, err := aggregatorv1.NewMirrorServiceClient(r.dialWith(t, certs)).Mirror(t.Context())
	require.NoError(t, err)
	a := &agent{wire: wire, acks: make(chan *aggregatorv1.Ack, 10_000), policies: make(chan *policyv1.AgentPolicy, 10), end: make(chan error, 1)}
	go func() {
		for {
			m, err := wire.Recv()
			if err != nil {
				a.end <- err
				return
			}
			if m.GetPolicy() != nil {
				a.policies <- m.GetPolicy()
			} else {
				a.acks <- m.GetAck()
			}
		}
	}()
	return a
}

func (a *agent) hello(t testing.TB) *agent { return a.helloAs(t, "n1") }

// bornAt is when the agents of the tests began, on their own clocks.
var bornAt = &timestamppb.Timestamp{Seconds: 1_700_000_000, Nanos: 7}

func (a *agent) helloAs(t testing.TB, node string) *agent {
	t.Helper()
	require.NoError(t, a.wire.Send(&aggregatorv1.MirrorRequest{Message: &aggregatorv1.MirrorRequest_Hello{Hello: &aggregatorv1.Hello{
		StartedAt: bornAt, Node: node, BootId: "b", Version: "test", Wall: timestamppb.New(time.Now().Add(-time.Hour)), MonoNs: 1000e9,
	}}}))
	return a
}

func (a *agent) send(sequence uint64, list ...*trafficv1.Exchange) error {
	return a.wire.Send(&aggregatorv1.MirrorRequest{Message: &aggregatorv1.MirrorRequest_Batch{Batch: &aggregatorv1.Batch{Sequence: sequence, Exchanges: list}}})
}

func (a *agent) ack(t testing.TB) *aggregatorv1.Ack {
	t.Helper()
	// The reader puts every acknowledgement here before it says how the stream ended.
	select {
	case ack := <-a.acks:
		return ack
	case err := <-a.end:
		a.end <- err
		select {
		case ack := <-a.acks:
			return ack
		default:
			t.Fatalf("the stream ended: %v", err)
		}
	case <-time.After(soon):
		t.Fatal("no acknowledgement")
	}
	return nil
}

func exchange(n uint64) *trafficv1.Exchange {
	return &trafficv1.Exchange{
		Id: binary.BigEndian.AppendUint64(make([]byte, 8), n), Revision: 1, Phase: trafficv1.Phase_PHASE_CLOSED,
		Request: &trafficv1.Request{
			Method: []byte("GET"), Target: []byte("/orders/1042?expand=items"), Authority: []byte("shop.example"),
			Headers: []*trafficv1.Header{
				{Name: []byte("Host"), Value: []byte("shop.example")}, {Name: []byte("User-Agent"), Value: []byte("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36")},
				{Name: []byte("Accept"), Value: []byte("application/json")}, {Name: []byte("Authorization"), Value: []byte("Bearer 0123456789012345678901234567890123456789")},
				{Name: []byte("X-Forwarded-For"), Value: []byte("198.51.100.7, 10.0.0.2")}, {Name: []byte("Cookie"), Value: []byte("session=0123456789abcdef0123456789abcdef")},
			},
		},
		Response:   &trafficv1.Response{Status: 200, Headers: []*trafficv1.Header{{Name: []byte("Content-Type"), Value: []byte("application/json")}}},
		Connection: &trafficv1.Connection{Id: make([]byte, 16), Peer: &trafficv1.SocketAddress{Ip: []byte{10, 0, 0, 1}, Port: 1}, Local: &trafficv1.SocketAddress{Ip: []byte{10, 0, 0, 9}, Port: 80}},
		Workload:   &trafficv1.Workload{Node: "n1", Service: "shop", Process: &trafficv1.Process{Pid: 1, Executable: "/usr/sbin/nginx"}},
		Times:      &trafficv1.Times{RequestStart: timestamppb.Now(), RequestEnd: timestamppb.Now(), ResponseStart: timestamppb.Now(), RequestStartMonoNs: 1000e9},
	}
}

func number(x *trafficv1.Exchange) uint64 { return binary.BigEndian.Uint64(x.GetId()[8:]) }
