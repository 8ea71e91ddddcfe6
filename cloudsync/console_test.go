package cloudsync

import (
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	consolev1 "github.com/sidelight/sidelight/proto/gen/sidelight/console/v1"
	detectionv1 "github.com/sidelight/sidelight/proto/gen/sidelight/detection/v1"
	inventoryv1 "github.com/sidelight/sidelight/proto/gen/sidelight/inventory/v1"
	policyv1 "github.com/sidelight/sidelight/proto/gen/sidelight/policy/v1"
	statusv1 "github.com/sidelight/sidelight/proto/gen/sidelight/status/v1"

	"github.com/sidelight/sidelight/internal/policy"
	"github.com/sidelight/sidelight/internal/testkit/testpki"
)

const goodToken = "sl_token"

// console is a small UplinkService over TLS, without client certificates, that does what the contract says.
type console struct {
	consolev1.UnimplementedUplinkServiceServer
	address string

	mu sync.Mutex
	// away and revoked are what the test makes of it; life is how long access tokens hold.
	away, revoked bool
	// registers is what a token must begin with.
	registers string
	signer    ed25519.PrivateKey
	policy    *policyv1.Bundle
	changed   chan struct{}
	intervals map[string]*statusv1.BlindInterval
	// versions counts how often each version of an attack came.
	versions   map[string]int
	refuse     func(*consolev1.UploadRequest) bool
	life       time.Duration
	key        ed25519.PublicKey
	cluster    string
	tokens     map[string]time.Time
	registered int
	refreshed  int
	uploads    int
	attacks    map[string]*detectionv1.Attack
	endpoints  map[string]*inventoryv1.Endpoint
	parts      map[string]*statusv1.PartStatus
}

// newConsole serves until the test ends, or until stop; a console may come back at the same address.
func newConsole(t testing.TB, ca *testpki.CA) *console {
	t.Helper()
	files := ca.Files(t, "console")
	pair, err := tls.LoadX509KeyPair(files.Cert, files.Key)
	require.NoError(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	c := &console{
		address: l.Addr().String(), life: time.Hour, tokens: map[string]time.Time{}, attacks: map[string]*detectionv1.Attack{},
		endpoints: map[string]*inventoryv1.Endpoint{}, parts: map[string]*statusv1.PartStatus{}, registers: goodToken,
		changed: make(chan struct{}), intervals: map[string]*statusv1.BlindInterval{}, versions: map[string]int{},
	}
	_, c.signer, err = ed25519.GenerateKey(nil)
	require.NoError(t, err)
	server := grpc.NewServer(grpc.Creds(credentials.NewTLS(&tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12})))
	consolev1.RegisterUplinkServiceServer(server, c)
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	t.Cleanup(func() { server.Stop(); require.NoError(t, <-done) })
	return c
}

func (c *console) set(change func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change()
}

func (c *console) gate() error {
	switch {
	case c.away:
		return status.Error(codes.Unavailable, "the console is away")
	case c.revoked:
		return status.Error(codes.PermissionDenied, "revoked")
	}
	return nil
}

func (c *console) grant() (string, *timestamppb.Timestamp) {
	token := fmt.Sprintf("access-%d-%d", c.registered, c.refreshed)
	c.tokens[token] = time.Now().Add(c.life)
	return token, timestamppb.New(c.tokens[token])
}

func (c *console) Register(_ context.Context, req *consolev1.RegisterRequest) (*consolev1.RegisterResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.away {
		return nil, c.gate()
	}
	if !strings.HasPrefix(req.GetToken(), c.registers) || len(req.GetPublicKey()) != ed25519.PublicKeySize {
		return nil, status.Error(codes.Unauthenticated, "unknown token")
	}
	c.registered++
	c.key, c.cluster = req.GetPublicKey(), req.GetCluster()
	token, expires := c.grant()
	return &consolev1.RegisterResponse{Installation: "i-1", Organisation: "1", PolicyKey: c.policyKey(), AccessToken: token, ExpiresAt: expires}, nil
}

func (c *console) RefreshToken(_ context.Context, req *consolev1.RefreshTokenRequest) (*consolev1.RefreshTokenResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.gate(); err != nil {
		return nil, err
	}
	message := "sidelight-refresh\n" + req.GetInstallation() + "\n" + req.GetAt().AsTime().UTC().Format(time.RFC3339)
	if c.key == nil || req.GetAt().GetNanos() != 0 || !ed25519.Verify(c.key, []byte(message), req.GetSignature()) {
		return nil, status.Error(codes.Unauthenticated, "bad proof")
	}
	c.refreshed++
	token, expires := c.grant()
	return &consolev1.RefreshTokenResponse{AccessToken: token, ExpiresAt: expires}, nil
}

func (c *console) policyKey() ed25519.PublicKey {
	key, _ := c.signer.Public().(ed25519.PublicKey)
	return key
}

// publish signs a policy and hands it out.
func (c *console) publish(t *testing.T, sequence uint64, signer ed25519.PrivateKey) {
	t.Helper()
	manifest, blobs, err := policy.Seal(&policyv1.Manifest{Sequence: sequence, Organisation: "1"}, policy.Policy{Masks: &policyv1.Masks{Points: []string{"query.pin"}}})
	require.NoError(t, err)
	c.set(func() {
		c.policy = &policyv1.Bundle{Manifest: manifest, Blobs: blobs, Signature: ed25519.Sign(signer, policy.Signed(manifest))}
		close(c.changed)
		c.changed = make(chan struct{})
	})
}

func (c *console) authorize(ctx context.Context) error {
	if err := c.gate(); err != nil {
		return err
	}
	md, _ := metadata.FromIncomingContext(ctx)
	token := strings.TrimPrefix(strings.Join(md.Get("authorization"), ""), "Bearer ")
	if end, ok := c.tokens[token]; !ok || time.Now().After(end) {
		return status.Error(codes.Unauthenticated, "token is over")
	}
	return nil
}

func (c *console) WatchPolicy(_ *consolev1.WatchPolicyRequest, out grpc.ServerStreamingServer[consolev1.WatchPolicyResponse]) error {
	for {
		c.mu.Lock()
		err, bundle, changed := c.authorize(out.Context()), c.policy, c.changed
		c.mu.Unlock()
		if err != nil {
			return err
		}
		if bundle != nil {
			if err := out.Send(&consolev1.WatchPolicyResponse{Bundle: bundle}); err != nil {
				return err
			}
		}
		select {
		case <-changed:
		case <-out.Context().Done():
			return out.Context().Err()
		}
	}
}

func (c *console) Upload(ctx context.Context, req *consolev1.UploadRequest) (*consolev1.UploadResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.authorize(ctx); err != nil {
		return nil, err
	}
	if c.refuse != nil && c.refuse(req) {
		return nil, status.Error(codes.InvalidArgument, "a record cannot be stored")
	}
	c.uploads++
	for _, a := range req.GetAttacks() {
		c.versions[fmt.Sprint(a.GetId(), "/", a.GetVersion())]++
		if old := c.attacks[a.GetId()]; old.GetVersion() < a.GetVersion() {
			c.attacks[a.GetId()] = a
		}
	}
	for _, d := range req.GetEndpoints() {
		c.endpoints[d.GetEndpoint().GetId()] = d.GetEndpoint()
	}
	for _, p := range req.GetStatuses() {
		c.parts[p.GetPart()+"/"+p.GetInstance()] = p
	}
	for _, b := range req.GetBlindIntervals() {
		c.intervals[b.GetId()] = b
	}
	return &consolev1.UploadResponse{}, nil
}

// eventually waits for something about the console.
func (c *console) eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	require.Eventually(t, func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return is()
	}, time.Minute, 2*time.Millisecond, what)
}
