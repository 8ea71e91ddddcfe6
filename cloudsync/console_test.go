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
	statusv1 "github.com/sidelight/sidelight/proto/gen/sidelight/status/v1"

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
	refuse        func(*consolev1.UploadRequest) bool
	life          time.Duration
	key           ed25519.PublicKey
	cluster       string
	tokens        map[string]time.Time
	registered    int
	refreshed     int
	uploads       int
	attacks       map[string]*detectionv1.Attack
	endpoints     map[string]*inventoryv1.Endpoint
	parts         map[string]*statusv1.PartStatus
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
		endpoints: map[string]*inventoryv1.Endpoint{}, parts: map[string]*statusv1.PartStatus{},
	}
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
	if !strings.HasPrefix(req.GetToken(), goodToken) || len(req.GetPublicKey()) != ed25519.PublicKeySize {
		return nil, status.Error(codes.Unauthenticated, "unknown token")
	}
	c.registered++
	c.key, c.cluster = req.GetPublicKey(), req.GetCluster()
	token, expires := c.grant()
	return &consolev1.RegisterResponse{Installation: "i-1", Organisation: "1", PolicyKey: make([]byte, 32), AccessToken: token, ExpiresAt: expires}, nil
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

func (c *console) Upload(ctx context.Context, req *consolev1.UploadRequest) (*consolev1.UploadResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.gate(); err != nil {
		return nil, err
	}
	md, _ := metadata.FromIncomingContext(ctx)
	token := strings.TrimPrefix(strings.Join(md.Get("authorization"), ""), "Bearer ")
	if end, ok := c.tokens[token]; !ok || time.Now().After(end) {
		return nil, status.Error(codes.Unauthenticated, "token is over")
	}
	if c.refuse != nil && c.refuse(req) {
		return nil, status.Error(codes.InvalidArgument, "a record cannot be stored")
	}
	c.uploads++
	for _, a := range req.GetAttacks() {
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
	return &consolev1.UploadResponse{}, nil
}

// eventually waits for something about the console.
func (c *console) eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	require.Eventually(t, func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return is()
	}, 20*time.Second, 2*time.Millisecond, what)
}
