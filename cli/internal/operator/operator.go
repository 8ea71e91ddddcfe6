// Package operator connects to Sidelight's parts with an operator's read-only certificate.
package operator

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/sidelight/sidelight/standalone"
)

// Dial connects to a part by its name.
func Dial(c standalone.Credentials, part string) (*grpc.ClientConn, error) {
	address, ok := c.Addresses[part]
	if !ok {
		return nil, fmt.Errorf("no address of %s is known: is Sidelight up?", part)
	}
	return DialAt(c, part, address)
}

// DialAt connects to a part at an address of the caller's.
func DialAt(c standalone.Credentials, part, address string) (*grpc.ClientConn, error) {
	cfg, err := Trusting(c)
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(c.Certificate, c.Key)
	if err != nil {
		return nil, fmt.Errorf("operator certificate: %w", err)
	}
	cfg.Certificates = []tls.Certificate{pair}
	// Every part's certificate carries its name.
	cfg.ServerName = part
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(credentials.NewTLS(cfg)))
	if err != nil {
		return nil, fmt.Errorf("connecting to %s: %w", part, err)
	}
	return conn, nil
}

// Trusting accepts the installation's certificates.
func Trusting(c standalone.Credentials) (*tls.Config, error) {
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(c.CA) {
		return nil, errors.New("the CA bundle holds no certificate: fetch the credentials again")
	}
	return &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS13}, nil
}
