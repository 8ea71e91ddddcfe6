// Package pki is a small certificate authority whose key lives in memory: for one host, and for tests.
package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"time"
)

// backdate lets peers whose clocks are a little behind accept a fresh certificate.
const backdate = time.Minute

// CA issues leaves of one trust domain.
type CA struct {
	trustDomain string
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	bundle      []byte
}

// LeafRequest says what a leaf stands for. It serves and calls alike.
type LeafRequest struct {
	// Identity is the SPIFFE path, "ns/<namespace>/sa/<service account>".
	Identity string
	DNSNames []string
	IPs      []net.IP
	Validity time.Duration
	// Key is optional: a fresh one is made.
	Key crypto.Signer
}

// NewCA makes a self-signed authority.
func NewCA(trustDomain string, validity time.Duration) (*CA, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making a CA key: %w", err)
	}
	template, err := skeleton("Sidelight CA "+trustDomain, validity)
	if err != nil {
		return nil, err
	}
	template.IsCA, template.BasicConstraintsValid, template.MaxPathLenZero = true, true, true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("making a CA certificate: %w", err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("reading the CA certificate back: %w", err)
	}
	return &CA{trustDomain, certificate, key, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}, nil
}

// BundlePEM is the certificate that verifies all leaves.
func (c *CA) BundlePEM() []byte { return c.bundle }

// Issue makes a leaf: certificate and PKCS #8 key as PEM.
func (c *CA) Issue(req LeafRequest) (certPEM, keyPEM []byte, err error) {
	key := req.Key
	if key == nil {
		if key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
			return nil, nil, fmt.Errorf("making a key: %w", err)
		}
	}
	template, err := skeleton(req.Identity, req.Validity)
	if err != nil {
		return nil, nil, err
	}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	template.DNSNames, template.IPAddresses = req.DNSNames, req.IPs
	if req.Identity != "" {
		template.URIs = []*url.URL{{Scheme: "spiffe", Host: c.trustDomain, Path: "/" + req.Identity}}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, c.certificate, key.Public(), c.key)
	if err != nil {
		return nil, nil, fmt.Errorf("signing a certificate for %s: %w", req.Identity, err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, fmt.Errorf("encoding a key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), nil
}

// WriteLeaf issues a leaf into a directory as tls.crt, tls.key and ca.crt, the names that cert-manager uses, owned by
// uid and gid. Each file is replaced at once; a reader that meets a new certificate with an old key keeps its pair.
func (c *CA) WriteLeaf(dir string, req LeafRequest, uid, gid int) error {
	certificate, key, err := c.Issue(req)
	if err != nil {
		return err
	}
	return errors.Join(
		replace(filepath.Join(dir, "ca.crt"), c.bundle, 0o644, uid, gid),
		replace(filepath.Join(dir, "tls.key"), key, 0o600, uid, gid),
		replace(filepath.Join(dir, "tls.crt"), certificate, 0o644, uid, gid),
	)
}

func replace(path string, content []byte, mode os.FileMode, uid, gid int) error {
	temporary := path + ".new"
	if err := os.WriteFile(temporary, content, mode); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	if os.Getuid() == 0 || uid != os.Getuid() {
		if err := os.Chown(temporary, uid, gid); err != nil {
			return fmt.Errorf("giving %s to user %d: %w", path, uid, err)
		}
	}
	if err := os.Rename(temporary, path); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return nil
}

func skeleton(name string, validity time.Duration) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("drawing a serial number: %w", err)
	}
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name},
		NotBefore: now.Add(-backdate), NotAfter: now.Add(validity),
	}, nil
}
