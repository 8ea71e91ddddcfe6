package apidiscovery_test

import (
	"encoding/json"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	apidiscoveryv1 "github.com/sidelight/sidelight/proto/gen/sidelight/apidiscovery/v1"
	inventoryv1 "github.com/sidelight/sidelight/proto/gen/sidelight/inventory/v1"

	"github.com/sidelight/sidelight/apidiscovery"
	"github.com/sidelight/sidelight/internal/config"
	"github.com/sidelight/sidelight/internal/pg"
	"github.com/sidelight/sidelight/internal/pg/pgtest"
	"github.com/sidelight/sidelight/internal/testkit"

	"github.com/sidelight/sidelight/apidiscovery/migrations"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// list gives the routes of the inventory, and all requests that it counts.
func list(t *testing.T, client apidiscoveryv1.InventoryServiceClient) (routes []string, requests uint64) {
	token := ""
	for {
		page, err := client.ListEndpoints(t.Context(), &apidiscoveryv1.ListEndpointsRequest{Cluster: "c1", PageSize: 4, PageToken: token})
		require.NoError(t, err)
		for _, e := range page.GetEndpoints() {
			routes = append(routes, e.GetMethod()+" "+e.GetPathTemplate())
			requests += e.GetRequestCount()
		}
		if token = page.GetNextPageToken(); token == "" {
			slices.Sort(routes)
			return routes, requests
		}
	}
}

func documentRoutes(t *testing.T, client apidiscoveryv1.InventoryServiceClient) []string {
	export, err := client.ExportOpenAPI(t.Context(), &apidiscoveryv1.ExportOpenAPIRequest{Cluster: "c1", Service: "shop"})
	require.NoError(t, err)
	var document struct{ Paths map[string]map[string]any }
	require.NoError(t, json.Unmarshal(export.GetDocument(), &document))
	var routes []string
	for path, item := range document.Paths {
		for method := range item {
			routes = append(routes, strings.ToUpper(method)+" "+path)
		}
	}
	slices.Sort(routes)
	return routes
}

func TestTheShopIsFound(t *testing.T) {
	t.Parallel()
	l := newLinks(t)
	l.cloudsync.refuse = 2
	dsn := pgtest.DSN(t)
	s, stop := l.start(t, l.config(dsn))
	l.ready(t, s)
	p := l.processor(t, s)
	all := traffic(rand.New(rand.NewPCG(1, 2)), 60)
	for batch := range slices.Chunk(all, 100) {
		p.observe(t, batch)
		p.observe(t, batch[:10])
	}
	client := apidiscoveryv1.NewInventoryServiceClient(l.dial(t, s, "operator"))
	const ordinary = 60 * 15
	require.Eventually(t, func() bool {
		_, requests := list(t, client)
		return requests == ordinary
	}, soon, poll, "a resend must not count, and nothing be lost")
	routes, _ := list(t, client)
	require.Equal(t, shopRoutes, routes)
	require.Equal(t, shopRoutes, documentRoutes(t, client))
	require.Eventually(t, func() bool {
		endpoints, requests := l.cloudsync.requests()
		return endpoints == len(shopRoutes) && requests == ordinary
	}, soon, poll, "cloudsync has it all, although it refused at first")
	require.Eventually(t, func() bool {
		p.observe(t, nil)
		return len(p.learned) > 0 && len(p.learned[len(p.learned)-1].GetEndpoints()) == len(shopRoutes)
	}, soon, poll)

	search := find(t, client, "GET", "/search")
	require.Len(t, search.GetParameters(), 2)
	require.True(t, search.GetParameters()[0].GetRequired())
	order := find(t, client, "GET", "/orders/{orderId}")
	require.Equal(t, []inventoryv1.ValueType{inventoryv1.ValueType_VALUE_TYPE_PREFIXED_ID}, order.GetParameters()[0].GetTypes())

	// A restart goes on: the same endpoints, and counts that add up.
	stop()
	s, _ = l.start(t, l.config(dsn))
	l.ready(t, s)
	l.processor(t, s).observe(t, traffic(rand.New(rand.NewPCG(3, 4)), 1))
	client = apidiscoveryv1.NewInventoryServiceClient(l.dial(t, s, "operator"))
	require.Eventually(t, func() bool {
		_, requests := list(t, client)
		return requests == ordinary+15
	}, soon, poll)
	require.Equal(t, order.GetId(), find(t, client, "GET", "/orders/{orderId}").GetId())
	requireNoCanary(t, dsn)
	requireEmptyOutbox(t, dsn)
}

func find(t *testing.T, client apidiscoveryv1.InventoryServiceClient, method, path string) *inventoryv1.Endpoint {
	page, err := client.ListEndpoints(t.Context(), &apidiscoveryv1.ListEndpointsRequest{PageSize: 1000})
	require.NoError(t, err)
	for _, e := range page.GetEndpoints() {
		if e.GetMethod() == method && e.GetPathTemplate() == path {
			one, err := client.GetEndpoint(t.Context(), &apidiscoveryv1.GetEndpointRequest{Cluster: e.GetCluster(), Id: e.GetId()})
			require.NoError(t, err)
			return one.GetEndpoint()
		}
	}
	t.Fatalf("%s %s is not in the inventory", method, path)
	return nil
}

// requireNoCanary greps every table: values are never stored.
func requireNoCanary(t *testing.T, dsn string) {
	pool, err := pg.Open(t.Context(), pg.Config{DSN: config.Secret(dsn)}, "inventory")
	require.NoError(t, err)
	defer pool.Close()
	for _, table := range []string{"endpoint", "parameter", "life"} {
		var all int
		var found int
		require.NoError(t, pool.QueryRow(t.Context(), "select count(*), count(*) filter (where row::text like '%"+canary+"%') from "+table+" as row").Scan(&all, &found))
		require.Positive(t, all, table)
		require.Zero(t, found, "%s holds a value", table)
	}
}

func requireEmptyOutbox(t *testing.T, dsn string) {
	pool, err := pg.Open(t.Context(), pg.Config{DSN: config.Secret(dsn)}, "inventory")
	require.NoError(t, err)
	defer pool.Close()
	require.Eventually(t, func() bool {
		waiting := -1
		err := pool.QueryRow(t.Context(), "select count(*) from endpoint where version > pushed_version").Scan(&waiting)
		return err == nil && waiting == 0
	}, soon, poll, "what was taken is noted")
}

func TestWhoMayCall(t *testing.T) {
	t.Parallel()
	l := newLinks(t)
	s, _ := l.start(t, l.config(pgtest.DSN(t)))
	l.ready(t, s)
	for part, want := range map[string][2]codes.Code{
		"processor": {codes.OK, codes.PermissionDenied}, "operator": {codes.PermissionDenied, codes.OK}, "console": {codes.PermissionDenied, codes.PermissionDenied},
		"agent": {codes.PermissionDenied, codes.PermissionDenied}, "cloudsync": {codes.PermissionDenied, codes.PermissionDenied},
	} {
		conn := l.dial(t, s, part)
		_, err := apidiscoveryv1.NewInventoryServiceClient(conn).ListEndpoints(t.Context(), &apidiscoveryv1.ListEndpointsRequest{})
		require.Equal(t, want[1], status.Code(err), "%s reads", part)
		stream, err := apidiscoveryv1.NewObservationServiceClient(conn).Observe(t.Context())
		require.NoError(t, err)
		// A stream that was refused may be closed before anything is sent on it.
		_ = stream.Send(&apidiscoveryv1.ObserveRequest{Sequence: 1})
		_, err = stream.Recv()
		require.Equal(t, want[0], status.Code(err), "%s observes", part)
		health, err := healthv1.NewHealthClient(conn).Check(t.Context(), &healthv1.HealthCheckRequest{})
		require.NoError(t, err)
		require.NotNil(t, health)
	}
}

func TestBadRequestsAreRefused(t *testing.T) {
	t.Parallel()
	l := newLinks(t)
	s, _ := l.start(t, l.config(pgtest.DSN(t)))
	l.ready(t, s)
	client := apidiscoveryv1.NewInventoryServiceClient(l.dial(t, s, "operator"))
	for _, token := range []string{"x", "!!", "bnVsbA==", "W10"} {
		_, err := client.ListEndpoints(t.Context(), &apidiscoveryv1.ListEndpointsRequest{PageToken: token})
		require.Equal(t, codes.InvalidArgument, status.Code(err), token)
	}
	_, err := client.ListEndpoints(t.Context(), &apidiscoveryv1.ListEndpointsRequest{Host: "a\x00"})
	require.Equal(t, codes.InvalidArgument, status.Code(err))
	_, err = client.GetEndpoint(t.Context(), &apidiscoveryv1.GetEndpointRequest{Cluster: "c1", Id: "nothing"})
	require.Equal(t, codes.NotFound, status.Code(err))
	p := l.processor(t, s)
	p.observe(t, []*inventoryv1.Observation{nil, {}, {ExchangeId: []byte{1}, Status: 999999, Auth: 77, Protocol: -3, Method: "GET", Parameters: []*inventoryv1.Parameter{nil, {Location: 99, Type: 4096}}}})
	p.observe(t, traffic(rand.New(rand.NewPCG(5, 6)), 3))
	require.Eventually(t, func() bool {
		routes, _ := list(t, client)
		return len(routes) == len(shopRoutes)
	}, soon, poll, "odd observations do not stop the others")
}

// server is a private Postgres that a test starts and stops.
func server(t *testing.T, dir string) *pg.Server {
	s := pg.NewServer(pg.ServerConfig{Dir: dir}, testkit.Quiet())
	err := s.Start(t.Context())
	if errors.Is(err, pg.ErrNotInstalled) {
		testkit.Skip(t, err.Error())
	}
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Stop()) })
	return s
}

func serverDir(t *testing.T) string {
	base, err := os.MkdirTemp("", "sidelight-apidiscovery-") //nolint:usetesting // a test's own directory is closed to the user that Postgres runs as
	require.NoError(t, err)
	require.NoError(t, os.Chmod(base, 0o755))
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(base)) })
	return filepath.Join(base, "pg")
}

func TestPostgresAway(t *testing.T) {
	t.Parallel()
	l := newLinks(t)
	dir := serverDir(t)
	first := server(t, dir)
	dsn := first.DSN(pg.Database)
	require.NoError(t, first.Stop())

	// Away at the start: not ready, and it says why.
	s, stop := l.start(t, l.config(dsn))
	require.Eventually(t, func() bool { return s.Ready() != nil && strings.Contains(s.Ready().Error(), "waiting for Postgres") }, soon, poll)
	stream, err := apidiscoveryv1.NewObservationServiceClient(l.dial(t, s, "processor")).Observe(t.Context())
	require.NoError(t, err)
	_, err = stream.Recv()
	require.Equal(t, codes.Unavailable, status.Code(err))
	second := server(t, dir)
	l.ready(t, s)

	// Away later: it counts in memory, and writes when Postgres is back.
	p := l.processor(t, s)
	p.observe(t, traffic(rand.New(rand.NewPCG(7, 8)), 10))
	require.NoError(t, second.Stop())
	p.observe(t, traffic(rand.New(rand.NewPCG(9, 10)), 10))
	require.NoError(t, s.Ready(), "it can take observations")
	p.observe(t, traffic(rand.New(rand.NewPCG(11, 12)), 10))
	server(t, dir)
	client := apidiscoveryv1.NewInventoryServiceClient(l.dial(t, s, "operator"))
	require.Eventually(t, func() bool {
		page, err := client.ListEndpoints(t.Context(), &apidiscoveryv1.ListEndpointsRequest{})
		requests := uint64(0)
		for _, e := range page.GetEndpoints() {
			requests += e.GetRequestCount()
		}
		return err == nil && requests == 30*15
	}, soon, poll, "each request counts once")
	stop()
}

func TestConfig(t *testing.T) {
	t.Parallel()
	good := apidiscovery.DefaultConfig()
	good.Database.DSN = "postgres://h/d"
	require.NoError(t, good.Validate())
	bad := apidiscovery.DefaultConfig()
	bad.Admission.Requests, bad.FlushEvery, bad.PushCountersEvery, bad.Limits.Hosts, bad.Log.Level = 0, 0, 0, -1, "loud"
	err := bad.Validate()
	for _, key := range []string{"database.dsn", "admission.requests", "flush_every", "push_counters_every", "limits.hosts", "log.level"} {
		require.ErrorContains(t, err, key)
	}
	_, err = apidiscovery.New(bad, apidiscovery.Deps{Log: testkit.Quiet()})
	require.Error(t, err)
	_, err = apidiscovery.New(good, apidiscovery.Deps{Log: testkit.Quiet()})
	require.ErrorContains(t, err, "tls.cert", "links are mutual TLS")
	require.Equal(t, "inventory", migrations.Schema().Name)
}
