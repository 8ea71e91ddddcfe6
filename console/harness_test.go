package console

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/cookiejar"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/sidelight/sidelight/console/genconnect/sidelight/console/v1/consolev1connect"
	"github.com/sidelight/sidelight/console/migrations"
	"github.com/sidelight/sidelight/internal/config"
	"github.com/sidelight/sidelight/internal/pg/pgtest"
	consolev1 "github.com/sidelight/sidelight/proto/gen/sidelight/console/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	bootstrap = "bootstrap-token-for-the-tests"
	password  = "a password of the tests"
)

// harness is a console with a real database behind real TLS.
type harness struct {
	t       testing.TB
	pool    *pgxpool.Pool
	cfg     Config
	service *Service
	logs    *logbook
	// secret is the one-time secret, "" if none was shown.
	secret string
	// ahead moves the console's clock.
	ahead *atomic.Int64
	// frozen is where it stands, 0 while it goes.
	frozen atomic.Int64
	roots  *x509.CertPool
	stop   func()

	signerDir  string
	stopSigner func()
}

// logbook is a log that tests read while it is written.
type logbook struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logbook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logbook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// start gives a running console on an empty database.
func start(t testing.TB) *harness {
	t.Helper()
	schema := migrations.Schema()
	pool := pgtest.Pool(t, schema.Migrations, schema.Dir, schema.Name)
	h := newHarness(t, pool.Config().ConnString())
	h.pool = pool
	h.run()
	h.waitOpen()
	return h
}

func newHarness(t testing.TB, dsn string) *harness {
	t.Helper()
	h := &harness{t: t, logs: &logbook{}, ahead: &atomic.Int64{}, roots: x509.NewCertPool()}
	cert, key := selfSigned(t)
	raw, err := os.ReadFile(cert)
	require.NoError(t, err)
	require.True(t, h.roots.AppendCertsFromPEM(raw))
	h.cfg = DefaultConfig()
	h.cfg.UI.Cert, h.cfg.UI.Key, h.cfg.Uplink.Cert, h.cfg.Uplink.Key = cert, key, cert, key
	h.cfg.UI.Listen, h.cfg.Uplink.Listen = "127.0.0.1:0", "127.0.0.1:0"
	h.cfg.Database.DSN = config.Secret(dsn)
	h.cfg.BootstrapToken = bootstrap
	// A path of a test's own directory can be too long for a socket.
	dir, err := os.MkdirTemp("", "signer") //nolint:usetesting // its path would be too long for a socket
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	h.signerDir = dir
	h.cfg.Signer.Socket = filepath.Join(dir, "sock")
	h.startSigner()
	return h
}

// startSigner runs the signer; stopSigner ends it before the test does.
func (h *harness) startSigner() {
	h.t.Helper()
	cfg := DefaultSignerConfig()
	cfg.Socket, cfg.DataDir, cfg.AllowUID = h.cfg.Signer.Socket, h.signerDir, os.Getuid()
	s, err := NewSigner(cfg, SignerDeps{Log: slog.New(slog.NewTextHandler(h.logs, nil))})
	require.NoError(h.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	h.stopSigner = sync.OnceFunc(func() {
		cancel()
		require.NoError(h.t, <-ended)
	})
	h.t.Cleanup(h.stopSigner)
	require.Eventually(h.t, func() bool { return s.Ready() == nil }, 10*time.Second, time.Millisecond)
}

// run starts a console with the harness' configuration; a second call is a restart.
func (h *harness) run() {
	h.t.Helper()
	if h.stop != nil {
		h.stop()
	}
	h.secret = ""
	l, err := (&net.ListenConfig{}).Listen(h.t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(h.t, err)
	u, err := (&net.ListenConfig{}).Listen(h.t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(h.t, err)
	s, err := New(h.cfg, Deps{
		Log:        slog.New(slog.NewTextHandler(h.logs, &slog.HandlerOptions{Level: slog.LevelDebug})),
		UIListener: l, UplinkListener: u,
		AdminSecret: func(secret string) { h.secret = secret },
		now:         h.now,
	})
	require.NoError(h.t, err)
	h.service = s
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	h.stop = sync.OnceFunc(func() {
		cancel()
		require.NoError(h.t, <-ended)
	})
	h.t.Cleanup(func() { h.stop() })
}

// freeze stops the console's clock, for what counts within a time and shall not depend on how busy this machine is.
func (h *harness) freeze() { h.frozen.Store(time.Now().UnixNano()) }

func (h *harness) now() time.Time {
	base := time.Now()
	if at := h.frozen.Load(); at != 0 {
		base = time.Unix(0, at)
	}
	return base.Add(time.Duration(h.ahead.Load()))
}

// waitOpen waits until the console is ready. It also makes h.secret visible to the test.
func (h *harness) waitOpen() {
	h.t.Helper()
	require.Eventually(h.t, func() bool { return h.service.Ready() == nil }, 20*time.Second, 10*time.Millisecond,
		"not ready; its log:\n%s", h.logs)
}

func (h *harness) url() string { return "https://" + h.service.UIAddr() }

// transport makes a fresh connection pool that is closed with the test.
func (h *harness) transport() *http.Transport {
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: h.roots}, ForceAttemptHTTP2: true}
	h.t.Cleanup(tr.CloseIdleConnections)
	return tr
}

// browser is one person's cookie jar with the clients of the API.
type browser struct {
	http          *http.Client
	sessions      consolev1connect.SessionServiceClient
	attacks       consolev1connect.AttackServiceClient
	endpoints     consolev1connect.EndpointServiceClient
	installations consolev1connect.InstallationServiceClient
	coverage      consolev1connect.CoverageServiceClient
	policy        consolev1connect.PolicyServiceClient
}

func (h *harness) browser() *browser {
	h.t.Helper()
	jar, err := cookiejar.New(nil)
	require.NoError(h.t, err)
	c := &http.Client{Transport: h.transport(), Jar: jar}
	base := h.url() + "/api"
	return &browser{
		http:          c,
		sessions:      consolev1connect.NewSessionServiceClient(c, base, connect.WithProtoJSON()),
		attacks:       consolev1connect.NewAttackServiceClient(c, base),
		endpoints:     consolev1connect.NewEndpointServiceClient(c, base),
		installations: consolev1connect.NewInstallationServiceClient(c, base),
		coverage:      consolev1connect.NewCoverageServiceClient(c, base),
		policy:        consolev1connect.NewPolicyServiceClient(c, base),
	}
}

func (b *browser) login(ctx context.Context, user, secret string) (*consolev1.LoginResponse, error) {
	res, err := b.sessions.Login(ctx, connect.NewRequest(&consolev1.LoginRequest{User: user, Password: secret}))
	if err != nil {
		return nil, err
	}
	return res.Msg, nil
}

// change replaces a one-time secret.
func (b *browser) change(ctx context.Context, password string) error {
	return b.changeFrom(ctx, "", password)
}

func (b *browser) changeFrom(ctx context.Context, current, password string) error {
	_, err := b.sessions.ChangePassword(ctx, connect.NewRequest(&consolev1.ChangePasswordRequest{
		NewPassword: password, CurrentPassword: current,
	}))
	return err
}

func (b *browser) whoAmI(ctx context.Context) (*consolev1.WhoAmIResponse, error) {
	res, err := b.sessions.WhoAmI(ctx, connect.NewRequest(&consolev1.WhoAmIRequest{}))
	if err != nil {
		return nil, err
	}
	return res.Msg, nil
}

// signedIn gives a browser of the administrator, who has chosen a password.
func (h *harness) signedIn() *browser {
	h.t.Helper()
	b := h.browser()
	_, err := b.login(h.t.Context(), "admin", h.secret)
	require.NoError(h.t, err)
	require.NoError(h.t, b.change(h.t.Context(), password))
	return b
}

// cluster is an installation with its key.
type cluster struct {
	client consolev1connect.UplinkServiceClient
	name   string
	id     string
	key    ed25519.PrivateKey
	access string
	// policyKey was pinned at registration.
	policyKey ed25519.PublicKey
}

func (h *harness) uplink() consolev1connect.UplinkServiceClient {
	return consolev1connect.NewUplinkServiceClient(&http.Client{Transport: h.transport()},
		"https://"+h.service.UplinkAddr(), connect.WithGRPC())
}

// register makes an installation with the token of the configuration.
func (h *harness) register(name string) *cluster { return h.registerWith(bootstrap, name) }

func (h *harness) registerWith(token, name string) *cluster {
	h.t.Helper()
	c := h.stranger(name)
	require.NoError(h.t, c.register(h.t.Context(), token))
	return c
}

// stranger has a key and is not registered.
func (h *harness) stranger(name string) *cluster {
	h.t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(h.t, err)
	return &cluster{client: h.uplink(), name: name, key: private}
}

// register uses the cluster's key, again or for the first time.
func (c *cluster) register(ctx context.Context, token string) error {
	public, _ := c.key.Public().(ed25519.PublicKey)
	res, err := c.client.Register(ctx, connect.NewRequest(&consolev1.RegisterRequest{
		Token: token, Cluster: c.name, Version: "test", PublicKey: public,
	}))
	if err == nil {
		c.id, c.access, c.policyKey = res.Msg.GetInstallation(), res.Msg.GetAccessToken(), res.Msg.GetPolicyKey()
	}
	return err
}

func (c *cluster) upload(ctx context.Context, m *consolev1.UploadRequest) error {
	req := connect.NewRequest(m)
	req.Header().Set("Authorization", "Bearer "+c.access)
	_, err := c.client.Upload(ctx, req)
	return err
}

func (c *cluster) refresh(ctx context.Context, at time.Time) error {
	text := "sidelight-refresh\n" + c.id + "\n" + at.UTC().Format(time.RFC3339)
	res, err := c.client.RefreshToken(ctx, connect.NewRequest(&consolev1.RefreshTokenRequest{
		Installation: c.id, At: timestamppb.New(at.UTC()), Signature: ed25519.Sign(c.key, []byte(text)),
	}))
	if err == nil {
		c.access = res.Msg.GetAccessToken()
	}
	return err
}

func requireCode(t *testing.T, want connect.Code, err error) {
	t.Helper()
	require.Error(t, err)
	require.Equal(t, want, connect.CodeOf(err), err.Error())
}

func selfSigned(t testing.TB) (cert, key string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, k.Public(), k)
	require.NoError(t, err)
	raw, err := x509.MarshalPKCS8PrivateKey(k)
	require.NoError(t, err)
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	require.NoError(t, os.WriteFile(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	require.NoError(t, os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw}), 0o600))
	return cert, key
}
