package console

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"

	consolev1 "github.com/sidelight/sidelight/proto/gen/sidelight/console/v1"
	policyv1 "github.com/sidelight/sidelight/proto/gen/sidelight/policy/v1"
)

// atOnce is well under what an open stream is looked at by itself, and far over what an announcement takes.
const atOnce = 2 * time.Second

// lane is an open WatchPolicy stream.
type lane struct {
	t       *testing.T
	bundles chan *policyv1.Bundle
	ended   chan error
}

func (c *cluster) watch(t *testing.T, have uint64) *lane {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	req := connect.NewRequest(&consolev1.WatchPolicyRequest{HaveSequence: have})
	req.Header().Set("Authorization", "Bearer "+c.access)
	stream, err := c.client.WatchPolicy(ctx, req)
	require.NoError(t, err)
	l := &lane{t: t, bundles: make(chan *policyv1.Bundle, 10), ended: make(chan error, 1)}
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		for stream.Receive() {
			l.bundles <- stream.Msg().GetBundle()
		}
		l.ended <- stream.Err()
		_ = stream.Close()
	}()
	t.Cleanup(func() {
		cancel()
		<-gone
	})
	return l
}

func (l *lane) next() *policyv1.Bundle {
	l.t.Helper()
	select {
	case b := <-l.bundles:
		return b
	case err := <-l.ended:
		require.FailNow(l.t, "the stream ended", "%v", err)
	case <-time.After(atOnce):
		require.FailNow(l.t, "no policy came at once")
	}
	return nil
}

func (l *lane) cut() {
	l.t.Helper()
	select {
	case err := <-l.ended:
		requireCode(l.t, connect.CodePermissionDenied, err)
	case <-time.After(atOnce):
		require.FailNow(l.t, "the stream was not cut off at once")
	}
}

func (l *lane) open() {
	l.t.Helper()
	select {
	case err := <-l.ended:
		require.FailNow(l.t, "the stream ended", "%v", err)
	default:
	}
}

func listTokens(t *testing.T, b *browser) map[string]*consolev1.Token {
	t.Helper()
	res, err := b.installations.ListTokens(t.Context(), connect.NewRequest(&consolev1.ListTokensRequest{}))
	require.NoError(t, err)
	tokens := map[string]*consolev1.Token{}
	for _, token := range res.Msg.GetTokens() {
		tokens[token.GetId()] = token
	}
	return tokens
}

func listInstallations(t *testing.T, b *browser) map[string]*consolev1.Installation {
	t.Helper()
	res, err := b.installations.ListInstallations(t.Context(), connect.NewRequest(&consolev1.ListInstallationsRequest{}))
	require.NoError(t, err)
	list := map[string]*consolev1.Installation{}
	for _, i := range res.Msg.GetInstallations() {
		require.NotContains(t, list, i.GetCluster())
		list[i.GetCluster()] = i
	}
	return list
}

func TestTokens(t *testing.T) {
	t.Parallel()
	h := start(t)
	ctx, b := t.Context(), h.signedIn()
	made, err := b.installations.CreateToken(ctx, connect.NewRequest(&consolev1.CreateTokenRequest{Name: " fleet "}))
	require.NoError(t, err)
	id := made.Msg.GetTokenId()
	east, west, other := h.registerWith(made.Msg.GetToken(), "east"), h.registerWith(made.Msg.GetToken(), "west"), h.register("other")
	tokens := listTokens(t, b)
	require.Len(t, tokens, 2)
	require.Equal(t, "fleet", tokens[id].GetName())
	require.EqualValues(t, 2, tokens[id].GetInstallations(), "one token registers many")
	require.EqualValues(t, 1, tokens["bootstrap"].GetInstallations())
	require.Equal(t, id, listInstallations(t, b)["east"].GetTokenId())

	eastLane, westLane, otherLane := east.watch(t, 0), west.watch(t, 0), other.watch(t, 0)
	empty := &consolev1.UploadRequest{}
	require.NoError(t, east.upload(ctx, empty))
	renewed, err := b.installations.RegenerateToken(ctx, connect.NewRequest(&consolev1.RegenerateTokenRequest{TokenId: id}))
	require.NoError(t, err)
	requireCode(t, connect.CodePermissionDenied, east.upload(ctx, empty))
	requireCode(t, connect.CodePermissionDenied, west.upload(ctx, empty))
	requireCode(t, connect.CodePermissionDenied, west.refresh(ctx, time.Now()))
	eastLane.cut()
	westLane.cut()
	otherLane.open()
	require.NoError(t, other.upload(ctx, empty))
	requireCode(t, connect.CodeUnauthenticated, east.register(ctx, made.Msg.GetToken()))
	require.True(t, listInstallations(t, b)["east"].GetRevoked())
	require.Zero(t, listTokens(t, b)[id].GetInstallations())

	// The same key comes back with the new secret.
	was := east.id
	require.NoError(t, east.register(ctx, renewed.Msg.GetToken()))
	require.NotEqual(t, was, east.id)
	require.NoError(t, east.upload(ctx, empty))
	require.False(t, listInstallations(t, b)["east"].GetRevoked())
	require.EqualValues(t, 1, listTokens(t, b)[id].GetInstallations())

	eastLane = east.watch(t, 0)
	for range 2 {
		_, err = b.installations.RevokeToken(ctx, connect.NewRequest(&consolev1.RevokeTokenRequest{TokenId: id}))
		require.NoError(t, err, "again is no error")
	}
	requireCode(t, connect.CodePermissionDenied, east.upload(ctx, empty))
	eastLane.cut()
	requireCode(t, connect.CodeUnauthenticated, east.register(ctx, renewed.Msg.GetToken()))
	require.True(t, listTokens(t, b)[id].GetRevoked())
	renewed, err = b.installations.RegenerateToken(ctx, connect.NewRequest(&consolev1.RegenerateTokenRequest{TokenId: id}))
	require.NoError(t, err)
	require.NoError(t, east.register(ctx, renewed.Msg.GetToken()), "a new secret makes it good again")

	for _, wrong := range []string{"", "unknown", "a\x00b"} {
		_, err = b.installations.RevokeToken(ctx, connect.NewRequest(&consolev1.RevokeTokenRequest{TokenId: wrong}))
		requireCode(t, connect.CodeNotFound, err)
		_, err = b.installations.RegenerateToken(ctx, connect.NewRequest(&consolev1.RegenerateTokenRequest{TokenId: wrong}))
		requireCode(t, connect.CodeNotFound, err)
		_, err = b.installations.RevokeInstallation(ctx, connect.NewRequest(&consolev1.RevokeInstallationRequest{Id: wrong}))
		requireCode(t, connect.CodeNotFound, err)
	}
}

func TestRevokeInstallation(t *testing.T) {
	t.Parallel()
	h := start(t)
	ctx, b, east, west := t.Context(), h.signedIn(), h.register("east"), h.register("west")
	eastLane, westLane := east.watch(t, 0), west.watch(t, 0)
	require.NoError(t, east.upload(ctx, &consolev1.UploadRequest{}))
	for range 2 {
		_, err := b.installations.RevokeInstallation(ctx, connect.NewRequest(&consolev1.RevokeInstallationRequest{Id: east.id}))
		require.NoError(t, err)
	}
	requireCode(t, connect.CodePermissionDenied, east.upload(ctx, &consolev1.UploadRequest{}))
	eastLane.cut()
	westLane.open()
	require.NoError(t, west.upload(ctx, &consolev1.UploadRequest{}))
	requireCode(t, connect.CodePermissionDenied, east.register(ctx, bootstrap))
	list := listInstallations(t, b)
	require.Len(t, list, 2)
	require.True(t, list["east"].GetRevoked(), "it is shown as cut off")
	require.False(t, list["west"].GetRevoked())
	require.EqualValues(t, 1, listTokens(t, b)["bootstrap"].GetInstallations())

	// Another key of the same cluster is another installation.
	_, key, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	east.key = key
	require.NoError(t, east.register(ctx, bootstrap))
	require.False(t, listInstallations(t, b)["east"].GetRevoked())
}

// Another process of the console hears of it too: what is cut off there ends here.
func TestCutOffReachesAllProcesses(t *testing.T) {
	t.Parallel()
	h := start(t)
	b, c := h.signedIn(), h.register("east")
	second := newHarness(t, h.pool.Config().ConnString())
	second.run()
	second.waitOpen()
	c.client = second.uplink()
	l := c.watch(t, 0)
	require.NoError(t, c.upload(t.Context(), &consolev1.UploadRequest{}))
	_, err := b.installations.RevokeToken(t.Context(), connect.NewRequest(&consolev1.RevokeTokenRequest{TokenId: "bootstrap"}))
	require.NoError(t, err)
	requireCode(t, connect.CodePermissionDenied, c.upload(t.Context(), &consolev1.UploadRequest{}))
	l.cut()
}

func TestPeopleRevokeForGood(t *testing.T) {
	t.Parallel()
	h := start(t)
	b := h.signedIn()
	_, err := b.installations.RevokeToken(t.Context(), connect.NewRequest(&consolev1.RevokeTokenRequest{TokenId: "bootstrap"}))
	require.NoError(t, err)
	h.cfg.BootstrapToken = bootstrap + " new"
	h.run()
	h.waitOpen()
	c := &cluster{client: h.uplink(), name: "east"}
	_, c.key, err = ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	requireCode(t, connect.CodeUnauthenticated, c.register(t.Context(), bootstrap+" new"))
}
