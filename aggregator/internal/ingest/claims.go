package ingest

import (
	"context"
	"slices"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sidelight/sidelight/internal/logkey"
	"github.com/sidelight/sidelight/internal/rpc"
	"github.com/sidelight/sidelight/internal/tlsreload"
)

// nodeSuffix marks the names of a certificate that bind an agent to nodes.
const nodeSuffix = ".agent"

// mayName tells whether the caller's certificate lets it speak for a node. One that is bound to no node may name any.
func (s *Service) mayName(ctx context.Context, node string) error {
	certificate := rpc.PeerCertificate(ctx)
	if certificate == nil {
		return nil
	}
	var bound []string
	for _, name := range certificate.DNSNames {
		if of, ok := strings.CutSuffix(name, nodeSuffix); ok {
			bound = append(bound, of)
		}
	}
	if len(bound) == 0 || slices.Contains(bound, node) {
		return nil
	}
	s.deps.Losses.Add("ingest", "foreign_node_claim", 1)
	s.deps.Log.Warn("an agent claimed a node that its certificate is not for: its stream was ended",
		logkey.Identity, tlsreload.PeerIdentities(certificate), "node", node)
	return status.Errorf(codes.PermissionDenied, "the certificate is for %q and not for node %q: set the agent's node, or issue a certificate with the DNS name %s",
		bound, node, node+nodeSuffix)
}

func identities(ctx context.Context) []string {
	if certificate := rpc.PeerCertificate(ctx); certificate != nil {
		return tlsreload.PeerIdentities(certificate)
	}
	return nil
}
