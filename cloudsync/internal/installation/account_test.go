package installation

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	consolev1 "github.com/sidelight/sidelight/proto/gen/sidelight/console/v1"

	"github.com/sidelight/sidelight/internal/config"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// office is a console's registration.
type office struct {
	mu sync.Mutex
	// wants is the token that registers; refuses is what a refresh is answered.
	wants                 string
	refuses               error
	policyKey             []byte
	registered, refreshed int
	good                  map[string]bool
}

func (o *office) grant() (string, *timestamppb.Timestamp) {
	token := fmt.Sprintf("access-%d-%d", o.registered, o.refreshed)
	if o.good == nil {
		o.good = map[string]bool{}
	}
	o.good[token] = true
	return token, timestamppb.New(time.Now().Add(10 * time.Minute))
}

func (o *office) Register(_ context.Context, in *consolev1.RegisterRequest, _ ...grpc.CallOption) (*consolev1.RegisterResponse, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.registered++
	if in.GetToken() != o.wants {
		return nil, status.Error(codes.Unauthenticated, "unknown token")
	}
	token, end := o.grant()
	return &consolev1.RegisterResponse{Installation: fmt.Sprint("i", o.registered), Organisation: "1", PolicyKey: o.policyKey, AccessToken: token, ExpiresAt: end}, nil
}

func (o *office) RefreshToken(context.Context, *consolev1.RefreshTokenRequest, ...grpc.CallOption) (*consolev1.RefreshTokenResponse, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.refreshed++
	if o.refuses != nil {
		return nil, o.refuses
	}
	token, end := o.grant()
	return &consolev1.RefreshTokenResponse{AccessToken: token, ExpiresAt: end}, nil
}

// call is one that needs a good token.
func (o *office) call(ctx context.Context) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	out, _ := metadata.FromOutgoingContext(ctx)
	if bearer := out.Get("authorization"); len(bearer) != 1 || !o.good[bearer[0][len("Bearer "):]] {
		return status.Error(codes.Unauthenticated, "token is over")
	}
	return nil
}

func (o *office) account(t *testing.T, dir, token string, registered func(Pin)) *Account {
	t.Helper()
	a, err := Load(Config{Dir: dir, Token: config.Secret(token), Cluster: "east"}, Deps{Console: o, Registered: registered})
	require.NoError(t, err)
	return a
}

func TestATokenThatEndedIsReplacedOnce(t *testing.T) {
	t.Parallel()
	o := &office{wants: "t", policyKey: make([]byte, ed25519.PublicKeySize)}
	var pins []Pin
	a := o.account(t, t.TempDir(), "t", func(p Pin) { pins = append(pins, p) })
	require.NoError(t, a.Call(t.Context(), o.call))
	require.Len(t, pins, 1)
	require.Equal(t, 1, o.registered)
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() { require.NoError(t, a.Call(t.Context(), o.call)) })
	}
	wg.Wait()
	require.Zero(t, o.refreshed)
	o.good = nil
	for range 20 {
		wg.Go(func() { require.NoError(t, a.Call(t.Context(), o.call)) })
	}
	wg.Wait()
	require.Equal(t, 1, o.refreshed, "all lanes share the new one")
	// A late refusal of an old token ends no new one.
	first := true
	require.NoError(t, a.Call(t.Context(), func(ctx context.Context) error {
		if first {
			first, o.good = false, nil
			require.NoError(t, a.Call(t.Context(), o.call))
		}
		return o.call(ctx)
	}))
	require.Equal(t, 2, o.refreshed)
	broken := errors.New("cut")
	tries := 0
	require.ErrorIs(t, a.Call(t.Context(), func(context.Context) error { tries++; return broken }), broken)
	require.Equal(t, 1, tries)
}

func TestCutOff(t *testing.T) {
	t.Parallel()
	for name, code := range map[string]codes.Code{"revoked": codes.PermissionDenied, "regenerated": codes.Unauthenticated} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				dir := t.TempDir()
				o := &office{wants: "t", policyKey: make([]byte, ed25519.PublicKeySize)}
				a := o.account(t, dir, "t", nil)
				require.NoError(t, a.Call(t.Context(), o.call))
				was, err := a.Destination(t.Context())
				require.NoError(t, err)
				o.good, o.wants, o.refuses = nil, "t2", status.Error(code, "no more")
				for range 5 {
					err := a.Call(t.Context(), o.call)
					require.True(t, Refused(err), err)
					require.NotContains(t, err.Error(), `"t"`)
				}
				require.Equal(t, 1, o.refreshed, "a refusal is remembered for a while")
				<-time.After(refusedFor)
				require.True(t, Refused(a.Call(t.Context(), o.call)))
				require.Equal(t, 2, o.refreshed)

				// A new token registers again, and goes where the old one went.
				a = o.account(t, dir, "t2", nil)
				require.NoError(t, a.Call(t.Context(), o.call))
				now, err := a.Destination(t.Context())
				require.NoError(t, err)
				require.Equal(t, was, now)
				pin, err := Pinned(dir)
				require.NoError(t, err)
				require.True(t, pin.Equal(Pin{"1", make([]byte, ed25519.PublicKeySize)}))
			})
		})
	}
}

func TestAnotherConsoleIsAnotherDestination(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	o := &office{wants: "t", policyKey: make([]byte, ed25519.PublicKeySize)}
	was, err := o.account(t, dir, "t", nil).Destination(t.Context())
	require.NoError(t, err)
	o = &office{wants: "u", policyKey: append(make([]byte, ed25519.PublicKeySize-1), 1)}
	now, err := o.account(t, dir, "u", nil).Destination(t.Context())
	require.NoError(t, err)
	require.NotEqual(t, was, now)
}

func TestANewTokenThatIsNoGoodDoesNotEndTheOldRegistration(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	o := &office{wants: "t", policyKey: make([]byte, ed25519.PublicKeySize)}
	require.NoError(t, o.account(t, dir, "t", nil).Call(t.Context(), o.call))
	require.NoError(t, o.account(t, dir, "wrong", nil).Call(t.Context(), o.call))
	_, err := (&office{}).account(t, t.TempDir(), "", nil).Destination(t.Context())
	require.ErrorContains(t, err, "set console.token")
}

func TestDamagedFiles(t *testing.T) {
	t.Parallel()
	for _, name := range []string{keyFile, knownFile} {
		dir := t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o600))
		_, err := Load(Config{Dir: dir}, Deps{})
		require.ErrorContains(t, err, "damaged: remove it")
	}
	pin, err := Pinned(t.TempDir())
	require.NoError(t, err)
	require.True(t, pin.Equal(Pin{}))
}
