package serve

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// writePair writes a self-signed pair with a serial number and gives the paths.
func writePair(t *testing.T, dir string, serial int64) (cert, key string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(serial), DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, k.Public(), k)
	require.NoError(t, err)
	raw, err := x509.MarshalPKCS8PrivateKey(k)
	require.NoError(t, err)
	cert, key = filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	require.NoError(t, os.WriteFile(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	require.NoError(t, os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw}), 0o600))
	return cert, key
}

func serial(t *testing.T, c *tls.Certificate) int64 {
	t.Helper()
	leaf, err := x509.ParseCertificate(c.Certificate[0])
	require.NoError(t, err)
	return leaf.SerialNumber.Int64()
}

func TestPairFollowsItsFiles(t *testing.T) {
	t.Parallel()
	dir, now := t.TempDir(), time.Unix(1000, 0)
	cert, key := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	p := &pair{certFile: cert, keyFile: key, log: slog.New(slog.DiscardHandler), now: func() time.Time { return now }}
	_, err := p.get()
	require.ErrorContains(t, err, "reading the certificate")

	writePair(t, dir, 1)
	c, err := p.get()
	require.NoError(t, err, "files that come late are found at once")
	require.EqualValues(t, 1, serial(t, c))

	writePair(t, dir, 2)
	c, err = p.get()
	require.NoError(t, err)
	require.EqualValues(t, 1, serial(t, c), "not read at every handshake")
	now = now.Add(poll)
	c, err = p.get()
	require.NoError(t, err)
	require.EqualValues(t, 2, serial(t, c))

	require.NoError(t, os.WriteFile(cert, []byte("half"), 0o600))
	now = now.Add(poll)
	c, err = p.get()
	require.NoError(t, err)
	require.EqualValues(t, 2, serial(t, c), "a bad read keeps what was there")
}

func TestServer(t *testing.T) {
	t.Parallel()
	cert, key := writePair(t, t.TempDir(), 1)
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := New(Config{Cert: cert, Key: key}, Deps{Log: slog.New(slog.DiscardHandler), Listener: l,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Proto) })})
	require.Error(t, s.Ready())
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()

	pem, err := os.ReadFile(cert)
	require.NoError(t, err)
	roots := x509.NewCertPool()
	require.True(t, roots.AppendCertsFromPEM(pem))
	for http2, want := range map[bool]string{true: "HTTP/2.0", false: "HTTP/1.1"} {
		tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: http2}
		if !http2 {
			tr.Protocols = &http.Protocols{}
			tr.Protocols.SetHTTP1(true)
		}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+l.Addr().String(), nil)
		require.NoError(t, err)
		res, err := tr.RoundTrip(req)
		require.NoError(t, err)
		body, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.Equal(t, want, string(body))
		tr.CloseIdleConnections()
	}
	require.Equal(t, l.Addr().String(), s.Addr())
	require.NoError(t, s.Ready())
	cancel()
	require.NoError(t, <-ended)
}
