package tlsreload_test

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sidelight/sidelight/internal/config"
	"github.com/sidelight/sidelight/internal/pki"
	"github.com/sidelight/sidelight/internal/testkit"
	"github.com/sidelight/sidelight/internal/testkit/testpki"
	"github.com/sidelight/sidelight/internal/tlsreload"
)

// echo serves one side of each handshake until the test ends.
func echo(t *testing.T, cfg *tls.Config) string {
	t.Helper()
	listener, err := tls.Listen("tcp", "127.0.0.1:0", cfg)
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(conn, conn); _ = conn.Close() }()
		}
	}()
	return listener.Addr().String()
}

// call makes a handshake and one round trip, so that a refusal by the server shows too.
func call(address string, cfg *tls.Config) error {
	conn, err := tls.Dial("tcp", address, cfg)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return err
	}
	if _, err := conn.Write([]byte("x")); err != nil {
		return err
	}
	_, err = io.ReadFull(conn, make([]byte, 1))
	return err
}

func TestHandshakes(t *testing.T) {
	t.Parallel()
	pki := testpki.TLS(t, "server", "client")
	stranger := testpki.TLS(t, "client", "server")
	address := echo(t, pki["server"].Server())
	require.NoError(t, call(address, pki["client"].Client("server")))
	require.Error(t, call(address, pki["client"].Client("other")), "another server than wanted")
	require.Error(t, call(address, stranger["client"].Client("server")), "another CA")
	careless := stranger["client"].Client("server")
	careless.VerifyConnection = nil
	require.Error(t, call(address, careless), "the server does not know the client's CA")
	require.Error(t, call(address, &tls.Config{InsecureSkipVerify: true}), "no client certificate")
	old := pki["client"].Client("server")
	old.MinVersion, old.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
	require.Error(t, call(address, old), "TLS 1.2")
}

func TestRotation(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(ca *pki.CA, part string, bundle []byte) {
		path := filepath.Join(dir, part)
		require.NoError(t, os.MkdirAll(path, 0o700))
		require.NoError(t, ca.WriteLeaf(path, pki.LeafRequest{Identity: "ns/x/sa/" + part, Validity: time.Hour}, os.Getuid(), os.Getgid()))
		if bundle != nil {
			require.NoError(t, os.WriteFile(filepath.Join(path, "ca.crt"), bundle, 0o600))
		}
	}
	first, err := pki.NewCA("x", time.Hour)
	require.NoError(t, err)
	second, err := pki.NewCA("x", time.Hour)
	require.NoError(t, err)
	source := func(part string) *tlsreload.Source {
		path := filepath.Join(dir, part)
		s := tlsreload.New(tlsreload.Config{Cert: path + "/tls.crt", Key: path + "/tls.key", CA: path + "/ca.crt", Poll: config.Duration(5 * time.Millisecond)},
			tlsreload.Deps{Log: testkit.Quiet()})
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan struct{})
		go func() { defer close(ended); _ = s.Run(ctx) }()
		t.Cleanup(func() { cancel(); <-ended })
		return s
	}
	server, client := source("server"), source("client")
	require.ErrorContains(t, server.Ready(), "no such file", "lazy until the files are there")
	write(first, "server", nil)
	write(first, "client", nil)
	address := echo(t, server.Server())
	good := func() bool { return call(address, client.Client("server")) == nil }
	require.Eventually(t, good, 5*time.Second, 5*time.Millisecond)

	// Leaf by leaf to a new CA; each side still knows the old one, as its union keeps it.
	both := append(first.BundlePEM(), second.BundlePEM()...)
	write(first, "client", both)
	write(first, "server", both)
	require.Eventually(t, good, 5*time.Second, 5*time.Millisecond)
	write(second, "server", nil)
	require.Eventually(t, func() bool { return serial(t, address) == serialOf(t, filepath.Join(dir, "server/tls.crt")) && good() }, 5*time.Second, 5*time.Millisecond)
	write(second, "client", nil)
	require.Eventually(t, good, 5*time.Second, 5*time.Millisecond)

	// A broken file keeps the old pair.
	require.NoError(t, os.WriteFile(filepath.Join(dir, "server/tls.crt"), []byte("broken"), 0o600))
	require.Never(t, func() bool { return !good() }, 100*time.Millisecond, 10*time.Millisecond)
	require.NoError(t, server.Ready())
}

func serial(t *testing.T, address string) string {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	require.NoError(t, err)
	defer conn.Close()
	var got string
	c := tls.Client(conn, &tls.Config{InsecureSkipVerify: true, VerifyConnection: func(s tls.ConnectionState) error {
		got = s.PeerCertificates[0].SerialNumber.String()
		return nil
	}})
	_ = c.Handshake()
	return got
}

func serialOf(t *testing.T, path string) string {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(path, filepath.Join(filepath.Dir(path), "tls.key"))
	require.NoError(t, err)
	return pair.Leaf.SerialNumber.String()
}

func TestIs(t *testing.T) {
	t.Parallel()
	tests := []struct {
		identities []string
		part       string
		want       bool
	}{
		{[]string{"spiffe://x/ns/a/sa/agent"}, "agent", true},
		{[]string{"spiffe://x/ns/a/sa/sidelight-agent"}, "agent", true},
		{[]string{"spiffe://x/ns/a/sa/agent2"}, "agent", false},
		{[]string{"spiffe://x/sa/agent"}, "agent", false},
		{[]string{"spiffe://x/ns/a/sa/agent/more"}, "agent", false},
		{[]string{"agent"}, "agent", true},
		{[]string{"spiffe://x/ns/a/sa/processor", "agent"}, "agent", false},
		{nil, "agent", false},
	}
	for _, test := range tests {
		require.Equal(t, test.want, tlsreload.Is(test.identities, test.part), "%v %s", test.identities, test.part)
	}
}
