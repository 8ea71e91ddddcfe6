package apidiscovery_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

	apidiscoveryv1 "github.com/sidelight/sidelight/proto/gen/sidelight/apidiscovery/v1"
	cloudsyncv1 "github.com/sidelight/sidelight/proto/gen/sidelight/cloudsync/v1"
	inventoryv1 "github.com/sidelight/sidelight/proto/gen/sidelight/inventory/v1"

	"github.com/sidelight/sidelight/apidiscovery"
	"github.com/sidelight/sidelight/internal/config"
	"github.com/sidelight/sidelight/internal/rpc"
	"github.com/sidelight/sidelight/internal/testkit"
	"github.com/sidelight/sidelight/internal/testkit/testpki"
	"github.com/sidelight/sidelight/internal/tlsreload"
)

const (
	soon = 20 * time.Second
	poll = 5 * time.Millisecond
)

// links holds the certificates of the parts, and a cloudsync that keeps what it is told.
type links struct {
	tls       map[string]*tlsreload.Source
	cloudsync *cloudsync
	address   string
}

// cloudsync is a small real one: it upserts by version.
type cloudsync struct {
	cloudsyncv1.UnimplementedInventoryServiceServer
	cloudsyncv1.UnimplementedStatusServiceServer

	mu        sync.Mutex
	endpoints map[string]*inventoryv1.EndpointDelta
	reports   int
	refuse    int
}

func (c *cloudsync) PushDeltas(_ context.Context, r *cloudsyncv1.PushDeltasRequest) (*cloudsyncv1.PushDeltasResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.refuse > 0 {
		c.refuse--
		return nil, fmt.Errorf("not now")
	}
	for _, d := range r.GetDeltas() {
		if have := c.endpoints[d.GetEndpoint().GetId()]; have.GetEndpoint().GetVersion() < d.GetEndpoint().GetVersion() {
			c.endpoints[d.GetEndpoint().GetId()] = d
		}
	}
	return &cloudsyncv1.PushDeltasResponse{}, nil
}

func (c *cloudsync) Report(context.Context, *cloudsyncv1.ReportRequest) (*cloudsyncv1.ReportResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reports++
	return &cloudsyncv1.ReportResponse{}, nil
}

func (c *cloudsync) requests() (endpoints int, requests uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, d := range c.endpoints {
		if !d.GetArchived() {
			endpoints++
			requests += d.GetEndpoint().GetRequestCount()
		}
	}
	return endpoints, requests
}

func newLinks(t *testing.T) *links {
	l := &links{tls: testpki.TLS(t, rpc.Parts()...), cloudsync: &cloudsync{endpoints: map[string]*inventoryv1.EndpointDelta{}}}
	server := rpc.NewServer(rpc.ServerConfig{Listen: "127.0.0.1:0"}, rpc.ServerDeps{
		Log: testkit.Quiet(), TLS: l.tls["cloudsync"],
		Rules: []rpc.Rule{{Method: "/sidelight.cloudsync.v1.InventoryService/", Allow: []string{"apidiscovery"}}, {Method: "/sidelight.cloudsync.v1.StatusService/", Allow: []string{"apidiscovery"}}},
		Register: func(g *grpc.Server) {
			cloudsyncv1.RegisterInventoryServiceServer(g, l.cloudsync)
			cloudsyncv1.RegisterStatusServiceServer(g, l.cloudsync)
		},
	})
	run(t, server.Run)
	require.Eventually(t, func() bool { return server.Addr() != "" }, soon, poll)
	l.address = server.Addr()
	return l
}

// run runs a part for the time of the test, or until stop.
func run(t *testing.T, part func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- part(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-ended:
			require.NoError(t, err)
		case <-time.After(soon):
			t.Error("the part does not stop")
		}
	})
	t.Cleanup(stop)
	return stop
}

func (l *links) config(dsn string) apidiscovery.Config {
	cfg := apidiscovery.DefaultConfig()
	cfg.RPC.Listen = "127.0.0.1:0"
	cfg.Instance, cfg.Cluster = "test", "c1"
	cfg.Database.DSN = config.Secret(dsn)
	cfg.CloudSync.Address = l.address
	cfg.FlushEvery, cfg.PushCountersEvery = config.Duration(20*time.Millisecond), config.Duration(50*time.Millisecond)
	return cfg
}

// start runs a service; it may not be ready yet.
func (l *links) start(t *testing.T, cfg apidiscovery.Config) (s *apidiscovery.Service, stop func()) {
	s, err := apidiscovery.New(cfg, apidiscovery.Deps{Log: testkit.Quiet(), TLS: l.tls["apidiscovery"]})
	require.NoError(t, err)
	stop = run(t, s.Run)
	require.Eventually(t, func() bool { return s.Addr() != "" }, soon, poll)
	return s, stop
}

func (l *links) ready(t *testing.T, s *apidiscovery.Service) {
	require.Eventually(t, func() bool { return s.Ready() == nil }, soon, poll)
}

func (l *links) dial(t *testing.T, s *apidiscovery.Service, part string) *grpc.ClientConn {
	conn, err := rpc.Dial(rpc.ClientConfig{Address: s.Addr()}, rpc.ClientDeps{TLS: l.tls[part], Server: "apidiscovery"})
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// processor sends observations as the real one does: a batch, then its acknowledgement.
type processor struct {
	stream   grpc.BidiStreamingClient[apidiscoveryv1.ObserveRequest, apidiscoveryv1.ObserveResponse]
	sequence uint64
	learned  []*inventoryv1.Learned
}

func (l *links) processor(t *testing.T, s *apidiscovery.Service) *processor {
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	stream, err := apidiscoveryv1.NewObservationServiceClient(l.dial(t, s, "processor")).Observe(ctx)
	require.NoError(t, err)
	return &processor{stream: stream}
}

func (p *processor) observe(t *testing.T, batch []*inventoryv1.Observation) {
	p.sequence++
	require.NoError(t, p.stream.Send(&apidiscoveryv1.ObserveRequest{Sequence: p.sequence, Observations: batch}))
	for {
		m, err := p.stream.Recv()
		require.NoError(t, err)
		if learned := m.GetLearned(); learned != nil {
			p.learned = append(p.learned, learned)
			continue
		}
		require.Equal(t, p.sequence, m.GetAcknowledged())
		return
	}
}

// canary is in every value that may not be stored.
const canary = "Qx7Canary9"

var shopRoutes = []string{
	"DELETE /cart/items/{itemId}", "GET /docs/api", "GET /docs/terms", "GET /health", "GET /orders/{orderId}", "GET /products",
	"GET /products/{productId}", "GET /products/{productId}/reviews", "GET /search", "POST /avatars", "POST /cart/items", "POST /login",
	"POST /orders", "POST /products/{productId}/reviews", "PUT /users/{userId}",
}

// traffic draws requests of the demo shop, shuffled, with attacks and wrong paths between them.
func traffic(random *rand.Rand, each int) []*inventoryv1.Observation {
	var list []*inventoryv1.Observation
	for range each {
		id := 1 + random.IntN(90000)
		for _, line := range []string{
			"GET /health", "GET /products", "GET /products/%d", "GET /products/%d/reviews", "POST /products/%d/reviews", "GET /search", "POST /cart/items",
			"DELETE /cart/items/3f2504e0-4f89-41d3-9a0c-%012x", "POST /orders", "GET /orders/ord_" + canary + "%d", "PUT /users/%d", "POST /login",
			"POST /avatars", "GET /docs/api", "GET /docs/terms",
		} {
			if strings.Contains(line, "%") {
				line = fmt.Sprintf(line, id)
			}
			list = append(list, observation(random, line, 200))
		}
		list = append(list, observation(random, fmt.Sprintf("GET /wp-%d", id), 404), observation(random, "GET /.git/config", 404))
		attack := observation(random, "GET /products/1' or 1=1--", 200)
		attack.Attack = true
		list = append(list, attack)
	}
	random.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	return list
}

func observation(random *rand.Rand, line string, status uint32) *inventoryv1.Observation {
	method, path, _ := strings.Cut(line, " ")
	id := make([]byte, 16)
	for i := range id {
		id[i] = byte(random.IntN(256))
	}
	o := &inventoryv1.Observation{
		ExchangeId: id, Revision: 1, Cluster: "c1", Service: "shop", Host: "shop.example", Method: method, Status: status,
		Protocol: inventoryv1.Protocol_PROTOCOL_REST, Auth: inventoryv1.AuthScheme_AUTH_SCHEME_NONE, ObservedAt: timestamppb.Now(),
		ResponseContentType: "application/json",
	}
	for segment := range strings.SplitSeq(path[1:], "/") {
		o.Segments = append(o.Segments, &inventoryv1.PathSegment{Text: segment})
	}
	for _, p := range bodies[method+" "+path] {
		o.Parameters = append(o.Parameters, &inventoryv1.Parameter{Location: p.location, Name: p.name, Type: p.kind, Count: 1})
	}
	return o
}

type carried struct {
	location inventoryv1.Location
	name     string
	kind     inventoryv1.ValueType
}

var bodies = map[string][]carried{
	"GET /search": {
		{inventoryv1.Location_LOCATION_QUERY, "q", inventoryv1.ValueType_VALUE_TYPE_STRING},
		{inventoryv1.Location_LOCATION_QUERY, "page", inventoryv1.ValueType_VALUE_TYPE_INT32},
	},
	"POST /orders": {{inventoryv1.Location_LOCATION_JSON, "items[].product_id", inventoryv1.ValueType_VALUE_TYPE_INT32}},
	"POST /login":  {{inventoryv1.Location_LOCATION_FORM, "user", inventoryv1.ValueType_VALUE_TYPE_STRING}},
}
