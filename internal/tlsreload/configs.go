package tlsreload

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Server demands a client certificate of a live CA. Who may do what is decided later, by identity.
func (s *Source) Server() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		NextProtos: []string{"h2"},
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			now, err := s.live()
			if err != nil {
				return nil, err
			}
			return &tls.Config{
				MinVersion: tls.VersionTLS13, NextProtos: []string{"h2"},
				Certificates: []tls.Certificate{*now.pair},
				ClientAuth:   tls.RequireAndVerifyClientCert, ClientCAs: now.pool,
				// A resumed session would skip the check against the CAs of today.
				SessionTicketsDisabled: true,
			}, nil
		},
	}
}

// Client presents the certificate and accepts a server of a live CA that has one of the allowed identities.
func (s *Source) Client(allowed ...string) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		NextProtos: []string{"h2"},
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			now, err := s.live()
			if err != nil {
				return nil, err
			}
			return now.pair, nil
		},
		// RootCAs would be fixed at dial, and a name says less than an identity: the check is VerifyConnection's.
		InsecureSkipVerify: true,
		VerifyConnection: func(state tls.ConnectionState) error {
			now, err := s.live()
			if err != nil {
				return err
			}
			return verifyServer(state, now.pool, allowed)
		},
	}
}

func verifyServer(state tls.ConnectionState, pool *x509.CertPool, allowed []string) error {
	if len(state.PeerCertificates) == 0 {
		return errors.New("the server showed no certificate")
	}
	intermediates := x509.NewCertPool()
	for _, certificate := range state.PeerCertificates[1:] {
		intermediates.AddCert(certificate)
	}
	leaf := state.PeerCertificates[0]
	if _, err := leaf.Verify(x509.VerifyOptions{
		Roots: pool, Intermediates: intermediates, CurrentTime: time.Now(),
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}); err != nil {
		return fmt.Errorf("the server's certificate: %w", err)
	}
	identities := PeerIdentities(leaf)
	for _, want := range allowed {
		if Is(identities, want) {
			return nil
		}
	}
	return fmt.Errorf("the server is %q, want %q", identities, allowed)
}

// PeerIdentities gives the SPIFFE ids and DNS names of a verified certificate.
func PeerIdentities(cert *x509.Certificate) []string {
	var list []string
	for _, uri := range cert.URIs {
		if uri.Scheme == "spiffe" {
			list = append(list, uri.String())
		}
	}
	return append(list, cert.DNSNames...)
}

// Is tells whether one of the identities is the part named so: spiffe://<trust domain>/ns/<namespace>/sa/<part>, where
// the account may also be "sidelight-<part>", or the DNS name <part>. A SPIFFE id, where there is one, decides alone.
func Is(identities []string, part string) bool {
	spiffe := false
	for _, identity := range identities {
		rest, found := strings.CutPrefix(identity, "spiffe://")
		if !found {
			continue
		}
		spiffe = true
		// <trust domain>/ns/<namespace>/sa/<account>
		parts := strings.Split(rest, "/")
		if len(parts) == 5 && parts[1] == "ns" && parts[3] == "sa" && (parts[4] == part || parts[4] == "sidelight-"+part) {
			return true
		}
	}
	if spiffe {
		return false
	}
	return slices.Contains(identities, part)
}
