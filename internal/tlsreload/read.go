package tlsreload

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"time"
)

// read gives the old snapshot when nothing changed, and a new one otherwise.
func read(cfg Config, old *snapshot, now time.Time) (*snapshot, error) {
	var content [3][]byte
	for i, path := range []string{cfg.Cert, cfg.Key, cfg.CA} {
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("reading TLS files: %w", err)
		}
		content[i] = data
	}
	if old != nil && unchanged(old, content) && !anyExpired(old.cas, now) {
		return old, nil
	}
	pair, err := tls.X509KeyPair(content[0], content[1])
	if err != nil {
		return nil, fmt.Errorf("%s and %s are no pair: %w", cfg.Cert, cfg.Key, err)
	}
	cas, err := parseBundle(content[2])
	if err != nil {
		return nil, fmt.Errorf("%s: %w", cfg.CA, err)
	}
	if old != nil {
		cas = union(cas, old.cas)
	}
	fresh := &snapshot{pair: &pair, leaf: pair.Leaf, pool: x509.NewCertPool(), bytes: content}
	for _, ca := range cas {
		// A CA leaves the union when it ends: until then peers may still hold leaves of it.
		if now.Before(ca.NotAfter) {
			fresh.cas = append(fresh.cas, ca)
			fresh.pool.AddCert(ca)
		}
	}
	return fresh, nil
}

func unchanged(old *snapshot, content [3][]byte) bool {
	for i := range content {
		if !bytes.Equal(old.bytes[i], content[i]) {
			return false
		}
	}
	return true
}

func anyExpired(cas []*x509.Certificate, now time.Time) bool {
	for _, ca := range cas {
		if !now.Before(ca.NotAfter) {
			return true
		}
	}
	return false
}

func parseBundle(data []byte) ([]*x509.Certificate, error) {
	var list []*x509.Certificate
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("a certificate of the bundle cannot be read: %w", err)
		}
		list = append(list, certificate)
	}
	if len(list) == 0 {
		return nil, errors.New("the bundle holds no certificate")
	}
	return list, nil
}

func union(a, b []*x509.Certificate) []*x509.Certificate {
	for _, candidate := range b {
		known := false
		for _, have := range a {
			known = known || have.Equal(candidate)
		}
		if !known {
			a = append(a, candidate)
		}
	}
	return a
}
