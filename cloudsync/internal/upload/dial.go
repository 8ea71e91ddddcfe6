package upload

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
)

// maxAnswer is well over the largest policy bundle.
const maxAnswer = 16 << 20

// Target is where the console is, and how it proves itself. This side proves itself by tokens, not by a certificate: so
// a proxy that ends TLS may stand between.
type Target struct{ Address, CA, ServerName string }

// Dial makes a connection that connects when it is first used.
func Dial(t Target) (*grpc.ClientConn, error) {
	name := t.ServerName
	if name == "" {
		host, _, err := net.SplitHostPort(t.Address)
		if err != nil {
			return nil, fmt.Errorf("console.address %q: want host:port", t.Address)
		}
		name = host
	}
	cfg := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: name, NextProtos: []string{"h2"}}
	if t.CA != "" {
		// The file is read at each handshake, so that a CA may change under a running part: the check is VerifyConnection's.
		cfg.InsecureSkipVerify = true
		cfg.VerifyConnection = func(state tls.ConnectionState) error { return verify(state, t.CA, name) }
	}
	conn, err := grpc.NewClient(t.Address,
		grpc.WithTransportCredentials(credentials.NewTLS(cfg)),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxAnswer)),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: time.Minute, Timeout: 20 * time.Second}))
	if err != nil {
		return nil, fmt.Errorf("connecting to the console at %s: %w", t.Address, err)
	}
	return conn, nil
}

func verify(state tls.ConnectionState, file, name string) error {
	pem, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("console.ca: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return fmt.Errorf("console.ca: %s holds no certificate", file)
	}
	if len(state.PeerCertificates) == 0 {
		return errors.New("the console showed no certificate")
	}
	intermediates := x509.NewCertPool()
	for _, c := range state.PeerCertificates[1:] {
		intermediates.AddCert(c)
	}
	if _, err := state.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: intermediates, DNSName: name}); err != nil {
		return fmt.Errorf("the console's certificate (console.ca, console.server_name): %w", err)
	}
	return nil
}
