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
	t       *testing.T
	pool    *pgxpool.Pool
	cfg     Config
	service *Service
	logs    *logbook
	// secret is the one-time secret, "" if none was shown.
	secret string
	// ahead moves the console's clock.
	ahead *atomic.Int64
	roots *x509.CertPool
	stop  func()
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
func start(t *testing.T) *harness {
	t.Helper()
	schema := migrations.Schema()
	pool := pgtest.Pool(t, schema.Migrations, schema.Dir, schema.Name)
	h := newHarness(t, pool.Config().ConnString())
	h.pool = pool
	h.run()
	h.waitOpen()
	return h
}

func newHarness(t *testing.T, dsn string) *harness {
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
	return h
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
		now:         func() time.Time { return time.Now().Add(time.Duration(h.ahead.Load())) },
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
	}
}

func (b *browser) login(ctx context.Context, user, secret string) (*consolev1.LoginResponse, error) {
	res, err := b.sessions.Login(ctx, connect.NewRequest(&consolev1.LoginRequest{User: user, Password: secret}))
	if err != nil {
		return nil, err
	}
	return res.Msg, nil
}

func (b *browser) change(ctx context.Context, password string) error {
	_, err := b.sessions.ChangePassword(ctx, connect.NewRequest(&consolev1.ChangePasswordRequest{NewPassword: password}))
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
}

func (h *harness) uplink() consolev1connect.UplinkServiceClient {
	return consolev1connect.NewUplinkServiceClient(&http.Client{Transport: h.transport()},
		"https://"+h.service.UplinkAddr(), connect.WithGRPC())
}

// register makes an installation with the token of the configuration.
func (h *harness) register(name string) *cluster {
	h.t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(h.t, err)
	c := &cluster{client: h.uplink(), name: name, key: private}
	res, err := c.client.Register(h.t.Context(), connect.NewRequest(&consolev1.RegisterRequest{
		Token: bootstrap, Cluster: name, Version: "test", PublicKey: public,
	}))
	require.NoError(h.t, err)
	c.id, c.access = res.Msg.GetInstallation(), res.Msg.GetAccessToken()
	return c
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

func selfSigned(t *testing.T) (cert, key string) {
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
