package console

import (
	"context"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"

	consolev1 "github.com/sidelight/sidelight/proto/gen/sidelight/console/v1"
	detectionv1 "github.com/sidelight/sidelight/proto/gen/sidelight/detection/v1"
	inventoryv1 "github.com/sidelight/sidelight/proto/gen/sidelight/inventory/v1"
)

type change struct {
	attacks, endpoints bool
	at                 time.Time
}

// watch gives the messages of one open page, and how the stream ended.
func watch(t *testing.T, b *browser) (<-chan change, <-chan error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	stream, err := b.attacks.WatchChanges(ctx, connect.NewRequest(&consolev1.WatchChangesRequest{}))
	require.NoError(t, err)
	changes, ended, gone := make(chan change, 100), make(chan error, 1), make(chan struct{})
	go func() {
		defer close(gone)
		for stream.Receive() {
			changes <- change{stream.Msg().GetAttacks(), stream.Msg().GetEndpoints(), time.Now()}
		}
		ended <- stream.Err()
		_ = stream.Close()
	}()
	t.Cleanup(func() {
		cancel()
		<-gone
	})
	return changes, ended
}

func next(t *testing.T, c <-chan change) change {
	t.Helper()
	select {
	case got := <-c:
		return got
	case <-time.After(10 * time.Second):
		require.FailNow(t, "no change was announced")
		return change{}
	}
}

func TestWatchChanges(t *testing.T) {
	t.Parallel()
	h := start(t)
	ctx, b, c := t.Context(), h.signedIn(), h.register("east")
	changes, _ := watch(t, b)

	sent := time.Now()
	require.NoError(t, c.upload(ctx, &consolev1.UploadRequest{Attacks: []*detectionv1.Attack{attack("a", 1, noon)}}))
	first := next(t, changes)
	require.True(t, first.attacks)
	require.False(t, first.endpoints)
	require.Less(t, first.at.Sub(sent), 900*time.Millisecond, "the first is announced at once")
	t.Logf("upload to message: %s", first.at.Sub(sent))

	// Many at once become one message, a second later.
	for v := range uint64(5) {
		require.NoError(t, c.upload(ctx, &consolev1.UploadRequest{
			Attacks:   []*detectionv1.Attack{attack("a", v+2, noon)},
			Endpoints: []*inventoryv1.EndpointDelta{endpoint("e", "/", v+1)},
		}))
	}
	second := next(t, changes)
	require.True(t, second.attacks)
	require.True(t, second.endpoints)
	require.GreaterOrEqual(t, second.at.Sub(first.at), 950*time.Millisecond)

	// What changes nothing says nothing.
	require.NoError(t, c.upload(ctx, &consolev1.UploadRequest{Attacks: []*detectionv1.Attack{attack("a", 1, noon)}}))
	require.NoError(t, c.upload(ctx, &consolev1.UploadRequest{Endpoints: []*inventoryv1.EndpointDelta{endpoint("e2", "/2", 1)}}))
	third := next(t, changes)
	require.False(t, third.attacks)
	require.True(t, third.endpoints)
}

func TestWatchEndsWithItsSession(t *testing.T) {
	t.Parallel()
	h := start(t)
	b := h.signedIn()
	_, ended := watch(t, b)
	_, err := b.sessions.Logout(t.Context(), connect.NewRequest(&consolev1.LogoutRequest{}))
	require.NoError(t, err)
	select {
	case err := <-ended:
		requireCode(t, connect.CodeUnauthenticated, err)
	case <-time.After(30 * time.Second):
		require.FailNow(t, "the stream outlived its session")
	}
}

func TestStopEndsOpenPages(t *testing.T) {
	t.Parallel()
	h := start(t)
	_, ended := watch(t, h.signedIn())
	before := time.Now()
	h.stop()
	require.Less(t, time.Since(before), 4*time.Second)
	requireCode(t, connect.CodeUnavailable, <-ended)
}
