package parts

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sidelight/sidelight/internal/pki"
)

// authority writes certificates as cert-manager does: tls.crt, tls.key and ca.crt in a directory of the part's own.
type authority struct {
	t  testing.TB
	ca *pki.CA
	// bundle is what parts are told to trust; it holds the old CA too while one follows another.
	bundle []byte
	// ends is when the CA does.
	ends time.Time
}

func newAuthority(t testing.TB, validity time.Duration) *authority {
	t.Helper()
	a := &authority{t: t}
	a.renew(validity)
	a.bundle = a.ca.BundlePEM()
	return a
}

// renew makes a new CA; what is issued from now on is of it.
func (a *authority) renew(validity time.Duration) {
	a.t.Helper()
	ca, err := pki.NewCA("test.local", validity)
	require.NoError(a.t, err)
	a.ca, a.ends = ca, time.Now().Add(validity)
}

// leaf is what a certificate says.
type leaf struct {
	service  string
	names    []string
	ip       string
	validity time.Duration
}

func (l leaf) request() pki.LeafRequest {
	r := pki.LeafRequest{
		Identity: "ns/sidelight/sa/" + l.service, DNSNames: append([]string{l.service, "localhost"}, l.names...), Validity: l.validity,
	}
	if r.Validity == 0 {
		r.Validity = 12 * time.Hour
	}
	if l.ip != "" {
		r.IPs = []net.IP{net.ParseIP(l.ip)}
	}
	return r
}

// write issues a leaf into a directory.
func (a *authority) write(dir string, l leaf, uid int) {
	a.t.Helper()
	require.NoError(a.t, a.ca.WriteLeaf(dir, l.request(), uid, uid))
	a.writeBundle(dir, uid)
}

func (a *authority) writeBundle(dir string, uid int) {
	a.t.Helper()
	path := filepath.Join(dir, "ca.crt")
	require.NoError(a.t, os.WriteFile(path+".new", a.bundle, 0o644))
	require.NoError(a.t, os.Chown(path+".new", uid, uid))
	require.NoError(a.t, os.Rename(path+".new", path))
}

// client is a TLS configuration with a certificate of this authority.
func (a *authority) client(l leaf, server string) *tls.Config {
	a.t.Helper()
	certificate, key, err := a.ca.Issue(l.request())
	require.NoError(a.t, err)
	pair, err := tls.X509KeyPair(certificate, key)
	require.NoError(a.t, err)
	cfg := a.trusting(server)
	cfg.Certificates = []tls.Certificate{pair}
	return cfg
}

// trusting verifies servers, and shows no certificate.
func (a *authority) trusting(server string) *tls.Config {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(a.bundle)
	return &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12, ServerName: server, NextProtos: []string{"h2"}}
}
