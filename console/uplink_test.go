package console

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"log/slog"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/sidelight/sidelight/console/internal/installations"
	"github.com/sidelight/sidelight/console/internal/store"
	consolev1 "github.com/sidelight/sidelight/proto/gen/sidelight/console/v1"
	detectionv1 "github.com/sidelight/sidelight/proto/gen/sidelight/detection/v1"
	inventoryv1 "github.com/sidelight/sidelight/proto/gen/sidelight/inventory/v1"
	statusv1 "github.com/sidelight/sidelight/proto/gen/sidelight/status/v1"
)

var noon = time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)

func attack(id string, version uint64, seen time.Time, samples ...string) *detectionv1.Attack {
	a := &detectionv1.Attack{
		Id: id, Type: "sqli", Point: "query.q", Version: version, HitCount: version, LastSeen: timestamppb.New(seen),
		Target: &detectionv1.Target{Service: "shop", Host: "shop.example"},
	}
	for _, s := range samples {
		a.Samples = append(a.Samples, &detectionv1.Hit{ExchangeId: []byte(s), Type: a.Type, Point: a.Point})
	}
	return a
}

func endpoint(id, path string, version uint64) *inventoryv1.EndpointDelta {
	return &inventoryv1.EndpointDelta{Endpoint: &inventoryv1.Endpoint{
		Id: id, Service: "shop", Host: "shop.example", Method: "GET", PathTemplate: path, Version: version,
	}}
}

func getAttack(t *testing.T, b *browser, cluster, id string) *detectionv1.Attack {
	t.Helper()
	res, err := b.attacks.GetAttack(t.Context(), connect.NewRequest(&consolev1.GetAttackRequest{Cluster: cluster, Id: id}))
	require.NoError(t, err)
	return res.Msg.GetAttack()
}

func TestUploadIsIdempotentByVersion(t *testing.T) {
	t.Parallel()
	h := start(t)
	ctx, b, c := t.Context(), h.signedIn(), h.register("east")

	require.NoError(t, c.upload(ctx, &consolev1.UploadRequest{
		Attacks:   []*detectionv1.Attack{attack("a", 2, noon, "x", "y")},
		Endpoints: []*inventoryv1.EndpointDelta{endpoint("e", "/orders/{orderId}", 2)},
	}))
	got := getAttack(t, b, "east", "a")
	require.EqualValues(t, 2, got.GetVersion())
	require.Len(t, got.GetSamples(), 2)
	require.Equal(t, "east", got.GetCluster())
	require.Equal(t, "1", got.GetOrganisation())
	require.Equal(t, "east", got.GetSamples()[0].GetCluster())

	// Resent, older, and twice in one upload in the wrong order.
	for _, m := range []*consolev1.UploadRequest{
		{Attacks: []*detectionv1.Attack{attack("a", 2, noon.Add(time.Hour))}},
		{Attacks: []*detectionv1.Attack{attack("a", 1, noon.Add(time.Hour))}},
	} {
		require.NoError(t, c.upload(ctx, m))
		require.Equal(t, noon, getAttack(t, b, "east", "a").GetLastSeen().AsTime())
	}
	require.NoError(t, c.upload(ctx, &consolev1.UploadRequest{
		Attacks:   []*detectionv1.Attack{attack("a", 4, noon.Add(2*time.Hour)), attack("a", 3, noon)},
		Endpoints: []*inventoryv1.EndpointDelta{endpoint("e", "/orders/{id}", 3), endpoint("e", "/old", 1)},
	}))
	got = getAttack(t, b, "east", "a")
	require.EqualValues(t, 4, got.GetVersion())
	require.Len(t, got.GetSamples(), 2, "an upload without samples keeps them")
	e, err := b.endpoints.GetEndpoint(ctx, connect.NewRequest(&consolev1.GetEndpointRequest{Cluster: "east", Id: "e"}))
	require.NoError(t, err)
	require.Equal(t, "/orders/{id}", e.Msg.GetEndpoint().GetPathTemplate())

	_, err = b.attacks.GetAttack(ctx, connect.NewRequest(&consolev1.GetAttackRequest{Cluster: "west", Id: "a"}))
	requireCode(t, connect.CodeNotFound, err)
}

func TestUploadOfHostileNames(t *testing.T) {
	t.Parallel()
	h := start(t)
	b, c := h.signedIn(), h.register("east")
	long := make([]byte, 60_000)
	for i := range long {
		long[i] = "0123456789abcdefghijklmnopqrstuvwxyz"[(i*i*7+i)%36]
	}
	d := endpoint("e", "/"+string(long), 1)
	d.Endpoint.Host, d.Endpoint.Service, d.Endpoint.Method = "a\x00b"+string(long), string(long), string(long)
	require.NoError(t, c.upload(t.Context(), &consolev1.UploadRequest{Endpoints: []*inventoryv1.EndpointDelta{d}}))
	res, err := b.endpoints.ListEndpoints(t.Context(), connect.NewRequest(&consolev1.ListEndpointsRequest{Host: d.GetEndpoint().GetHost()}))
	require.NoError(t, err)
	require.Len(t, res.Msg.GetEndpoints(), 1)
	require.Equal(t, d.GetEndpoint().GetHost(), res.Msg.GetEndpoints()[0].GetHost())
}

func TestUploadIsBoundToItsCluster(t *testing.T) {
	t.Parallel()
	h := start(t)
	ctx, c := t.Context(), h.register("east")
	foreign := attack("a", 1, noon)
	foreign.Cluster = "west"
	inside := attack("a", 1, noon, "x")
	inside.Samples[0].Cluster = "west"
	delta := endpoint("e", "/", 1)
	delta.Endpoint.Cluster = "west"
	for _, m := range []*consolev1.UploadRequest{
		{Attacks: []*detectionv1.Attack{attack("b", 1, noon), foreign}},
		{Attacks: []*detectionv1.Attack{inside}},
		{Endpoints: []*inventoryv1.EndpointDelta{delta}},
		{Statuses: []*statusv1.PartStatus{{Part: "agent", Cluster: "west"}}},
	} {
		requireCode(t, connect.CodePermissionDenied, c.upload(ctx, m))
	}
	for _, m := range []*consolev1.UploadRequest{
		{Attacks: []*detectionv1.Attack{attack("", 1, noon)}},
		{Attacks: []*detectionv1.Attack{attack("a\x00", 1, noon)}},
		{Endpoints: []*inventoryv1.EndpointDelta{{}}},
	} {
		requireCode(t, connect.CodeInvalidArgument, c.upload(ctx, m))
	}
	var rows int
	require.NoError(t, h.pool.QueryRow(ctx, "select (select count(*) from console.attacks) + (select count(*) from console.endpoints)").Scan(&rows))
	require.Zero(t, rows, "all or nothing")
}

func TestRegister(t *testing.T) {
	t.Parallel()
	h := start(t)
	ctx := t.Context()
	client := h.uplink()
	public, _, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	register := func(token, name string, key []byte) (*consolev1.RegisterResponse, error) {
		res, err := client.Register(ctx, connect.NewRequest(&consolev1.RegisterRequest{Token: token, Cluster: name, PublicKey: key}))
		if err != nil {
			return nil, err
		}
		return res.Msg, nil
	}
	_, err = register("wrong", "east", public)
	requireCode(t, connect.CodeUnauthenticated, err)
	_, err = register("", "east", public)
	requireCode(t, connect.CodeUnauthenticated, err)
	for name, key := range map[string][]byte{"": public, "a\nb": public, "east": public[1:]} {
		_, err = register(bootstrap, name, key)
		requireCode(t, connect.CodeInvalidArgument, err)
	}
	first, err := register(bootstrap, "east", public)
	require.NoError(t, err)
	require.Len(t, first.GetPolicyKey(), ed25519.PublicKeySize)
	require.Equal(t, "1", first.GetOrganisation())
	again, err := register(bootstrap, "east", public)
	require.NoError(t, err)
	require.Equal(t, first.GetInstallation(), again.GetInstallation(), "a lost answer costs nothing")

	// A token that a person made cannot take the cluster over, but can make another.
	b := h.signedIn()
	made, err := b.installations.CreateToken(ctx, connect.NewRequest(&consolev1.CreateTokenRequest{Name: "west"}))
	require.NoError(t, err)
	_, err = register(made.Msg.GetToken(), "east", public)
	requireCode(t, connect.CodeAlreadyExists, err)
	_, err = register(made.Msg.GetToken(), "west", public)
	require.NoError(t, err)

	// The key is lost: the same token makes a new installation and ends the old one.
	old := &cluster{client: client, access: first.GetAccessToken()}
	require.NoError(t, old.upload(ctx, &consolev1.UploadRequest{}))
	h.register("east")
	requireCode(t, connect.CodePermissionDenied, old.upload(ctx, &consolev1.UploadRequest{}))
	list, err := b.installations.ListInstallations(ctx, connect.NewRequest(&consolev1.ListInstallationsRequest{}))
	require.NoError(t, err)
	require.Len(t, list.Msg.GetInstallations(), 2)
	require.NotEqual(t, first.GetInstallation(), list.Msg.GetInstallations()[0].GetId())
}

func TestBootstrapTokenMayChange(t *testing.T) {
	t.Parallel()
	h := start(t)
	c := h.register("east")
	h.cfg.BootstrapToken = bootstrap + " new"
	h.run()
	h.waitOpen()
	c.client = h.uplink()
	require.NoError(t, c.upload(t.Context(), &consolev1.UploadRequest{}), "installations and their access tokens go on")
	_, err := c.client.Register(t.Context(), connect.NewRequest(&consolev1.RegisterRequest{
		Token: bootstrap, Cluster: "east", PublicKey: c.key.Public().(ed25519.PublicKey),
	}))
	requireCode(t, connect.CodeUnauthenticated, err)
}

func TestAccessTokens(t *testing.T) {
	t.Parallel()
	h := start(t)
	ctx, c := t.Context(), h.register("east")
	empty := &consolev1.UploadRequest{}
	require.NoError(t, c.upload(ctx, empty))
	h.ahead.Add(int64(10 * time.Minute))
	requireCode(t, connect.CodeUnauthenticated, c.upload(ctx, empty))
	now := time.Now().Add(10 * time.Minute)
	require.NoError(t, c.refresh(ctx, now.Add(4*time.Minute)))
	require.NoError(t, c.upload(ctx, empty))
	requireCode(t, connect.CodeUnauthenticated, c.refresh(ctx, now.Add(6*time.Minute)))
	requireCode(t, connect.CodeUnauthenticated, c.refresh(ctx, now.Add(-6*time.Minute)))

	other := *c
	_, other.key, _ = ed25519.GenerateKey(rand.Reader)
	requireCode(t, connect.CodeUnauthenticated, other.refresh(ctx, now))
	other = *c
	other.id = "unknown"
	requireCode(t, connect.CodeUnauthenticated, other.refresh(ctx, now))
	for _, token := range []string{"", "x", c.access + "x", c.access[:len(c.access)-1]} {
		other.access = token
		requireCode(t, connect.CodeUnauthenticated, other.upload(ctx, empty))
	}
}

func TestGuessingTokensIsLimited(t *testing.T) {
	t.Parallel()
	h := start(t)
	h.freeze()
	client := h.uplink()
	try := func(token string) error {
		_, err := client.Register(t.Context(), connect.NewRequest(&consolev1.RegisterRequest{
			Token: token, Cluster: "east", PublicKey: make([]byte, ed25519.PublicKeySize),
		}))
		return err
	}
	for range 30 {
		requireCode(t, connect.CodeUnauthenticated, try("wrong"))
	}
	requireCode(t, connect.CodeResourceExhausted, try(bootstrap))
	h.ahead.Add(int64(time.Minute))
	require.NoError(t, try(bootstrap))
}

// Somebody who sees a proof on its way, where a proxy ends TLS, cannot use it again.
func TestProofsAreGoodOnce(t *testing.T) {
	t.Parallel()
	h := start(t)
	ctx, c := t.Context(), h.register("east")
	now := time.Now().Truncate(time.Second)
	require.NoError(t, c.refresh(ctx, now))
	requireCode(t, connect.CodeAborted, c.refresh(ctx, now))
	requireCode(t, connect.CodeAborted, c.refresh(ctx, now.Add(time.Millisecond)))
	require.NoError(t, c.refresh(ctx, now.Add(-time.Second)), "a clock may be set back")
	require.NoError(t, h.register("west").refresh(ctx, now), "each has its own")
	results := make(chan error, 5)
	for range 5 {
		one := *c
		go func() { results <- one.refresh(ctx, now.Add(2*time.Second)) }()
	}
	good := 0
	for range 5 {
		if err := <-results; err == nil {
			good++
		} else {
			requireCode(t, connect.CodeAborted, err)
		}
	}
	require.Equal(t, 1, good)

	later := func() time.Time { return now.Add(time.Hour) }
	require.NoError(t, installations.New(store.New(h.pool), nil, slog.New(slog.DiscardHandler), later).Sweep(ctx))
	var left int
	require.NoError(t, h.pool.QueryRow(ctx, "select count(*) from console.used_proofs").Scan(&left))
	require.Zero(t, left)
}

func TestStatusesShowWithTheirInstallation(t *testing.T) {
	t.Parallel()
	h := start(t)
	ctx, b, c := t.Context(), h.signedIn(), h.register("east")
	for _, ready := range []bool{true, false} {
		require.NoError(t, c.upload(ctx, &consolev1.UploadRequest{Statuses: []*statusv1.PartStatus{
			{Part: "agent", Instance: "n1", Ready: ready}, {Part: "processor", Instance: "p1", Ready: true},
		}}))
	}
	res, err := b.installations.ListInstallations(ctx, connect.NewRequest(&consolev1.ListInstallationsRequest{}))
	require.NoError(t, err)
	require.Len(t, res.Msg.GetInstallations(), 1)
	i := res.Msg.GetInstallations()[0]
	require.Equal(t, c.id, i.GetId())
	require.Len(t, i.GetParts(), 2)
	require.Equal(t, "agent", i.GetParts()[0].GetPart())
	require.False(t, i.GetParts()[0].GetReady(), "the last one counts")
	require.False(t, i.GetLastSeen().AsTime().Before(i.GetRegisteredAt().AsTime()))
}

// cloudsync speaks gRPC of grpc-go, not of Connect.
func TestUplinkSpeaksToGRPC(t *testing.T) {
	t.Parallel()
	h := start(t)
	conn, err := grpc.NewClient(h.service.UplinkAddr(), grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{RootCAs: h.roots})))
	require.NoError(t, err)
	defer func() { _ = conn.Close() }()
	client := consolev1.NewUplinkServiceClient(conn)
	public, _, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	reg, err := client.Register(t.Context(), &consolev1.RegisterRequest{Token: bootstrap, Cluster: "east", PublicKey: public})
	require.NoError(t, err)

	_, err = client.Upload(t.Context(), &consolev1.UploadRequest{})
	require.Equal(t, codes.Unauthenticated, status.Code(err))
	ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+reg.GetAccessToken())
	_, err = client.Upload(ctx, &consolev1.UploadRequest{Attacks: []*detectionv1.Attack{attack("a", 1, noon)}})
	require.NoError(t, err)

	ctx, cancel := context.WithCancel(ctx)
	stream, err := client.WatchPolicy(ctx, &consolev1.WatchPolicyRequest{})
	require.NoError(t, err)
	_, err = stream.Header()
	require.NoError(t, err, "the stream is open though nothing was sent")
	cancel()
	_, err = stream.Recv()
	require.Equal(t, codes.Canceled, status.Code(err))
}
