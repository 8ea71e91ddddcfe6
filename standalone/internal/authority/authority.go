// Package authority is the standalone installation's certificate authority: its key lives in this process's memory
// only, leaves are renewed on disk, operators get theirs over a local socket.
package authority

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/sidelight/sidelight/internal/logkey"
	"github.com/sidelight/sidelight/internal/pki"

	"github.com/sidelight/sidelight/standalone/internal/layout"
)

const (
	trustDomain  = "sidelight.local"
	namespace    = "sidelight"
	caValidity   = 10 * 365 * 24 * time.Hour
	leafValidity = 24 * time.Hour
	renewEvery   = 8 * time.Hour
)

// Authority issues the certificates of one launcher's life.
type Authority struct {
	ca     *pki.CA
	layout layout.Layout
	parts  []Part
	log    *slog.Logger
}

// Part is a certificate holder: its name is its identity.
type Part struct {
	Name string
	// Names that browsers or the uplink use beside the identity.
	DNSNames []string
	IPs      []net.IP
}

// New makes the authority's key. Nothing is written until Issue.
func New(l layout.Layout, parts []Part, log *slog.Logger) (*Authority, error) {
	ca, err := pki.NewCA(trustDomain, caValidity)
	if err != nil {
		return nil, fmt.Errorf("making the certificate authority: %w", err)
	}
	return &Authority{ca: ca, layout: l, parts: parts, log: log}, nil
}

// Issue writes a leaf for every part.
func (a *Authority) Issue() error {
	for _, part := range a.parts {
		request := pki.LeafRequest{
			Identity: identity(part.Name), DNSNames: part.DNSNames, IPs: part.IPs, Validity: leafValidity,
		}
		if err := a.ca.WriteLeaf(a.layout.TLS(part.Name), request, a.layout.Owner.UID, a.layout.Owner.GID); err != nil {
			return fmt.Errorf("writing the certificate of %s: %w", part.Name, err)
		}
	}
	return nil
}

// Run renews the leaves long before they end.
func (a *Authority) Run(ctx context.Context) error {
	ticker := time.NewTicker(renewEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			if err := a.Issue(); err != nil {
				// The leaves of the last round still hold for most of a day.
				a.log.Error("renewing certificates", logkey.Error, err)
			}
		}
	}
}

// Operator issues a read-only certificate for a person's tool.
func (a *Authority) Operator() (Credentials, error) {
	certificate, key, err := a.ca.Issue(pki.LeafRequest{Identity: identity("operator"), Validity: leafValidity})
	if err != nil {
		return Credentials{}, fmt.Errorf("issuing an operator certificate: %w", err)
	}
	return Credentials{Certificate: certificate, Key: key, CA: a.ca.BundlePEM()}, nil
}

// CA is the bundle that verifies every certificate of this installation.
func (a *Authority) CA() []byte { return a.ca.BundlePEM() }

func identity(part string) string { return "ns/" + namespace + "/sa/" + part }
