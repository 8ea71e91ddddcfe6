// Package testpki gives tests real certificates, as cert-manager would write them.
package testpki

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sidelight/sidelight/internal/pki"
	"github.com/sidelight/sidelight/internal/testkit"
	"github.com/sidelight/sidelight/internal/tlsreload"
)

// CA is an authority and the directory that it writes to.
type CA struct {
	*pki.CA
	dir string
}

// New makes an authority of its own for one test.
func New(t testing.TB) *CA {
	t.Helper()
	ca, err := pki.NewCA("test.local", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return &CA{ca, t.TempDir()}
}

// Files writes a leaf for the part and names its files; more names may be in it.
func (c *CA) Files(t testing.TB, part string, names ...string) tlsreload.Config {
	t.Helper()
	dir := filepath.Join(c.dir, part)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	request := pki.LeafRequest{
		Identity: "ns/test/sa/" + part, DNSNames: append([]string{part, "localhost"}, names...), Validity: time.Hour,
	}
	if err := c.WriteLeaf(dir, request, os.Getuid(), os.Getgid()); err != nil {
		t.Fatal(err)
	}
	return tlsreload.Config{Cert: filepath.Join(dir, "tls.crt"), Key: filepath.Join(dir, "tls.key"), CA: filepath.Join(dir, "ca.crt")}
}

// Source gives a ready source of the part.
func (c *CA) Source(t testing.TB, part string, names ...string) *tlsreload.Source {
	t.Helper()
	source := tlsreload.New(c.Files(t, part, names...), tlsreload.Deps{Log: testkit.Quiet()})
	if err := source.Ready(); err != nil {
		t.Fatal(err)
	}
	return source
}

// TLS gives one ready source per part, all of one authority.
func TLS(t testing.TB, identities ...string) map[string]*tlsreload.Source {
	t.Helper()
	ca := New(t)
	sources := map[string]*tlsreload.Source{}
	for _, part := range identities {
		sources[part] = ca.Source(t, part)
	}
	return sources
}
