package rpc

import (
	"context"
	"crypto/x509"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/sidelight/sidelight/internal/logkey"
	"github.com/sidelight/sidelight/internal/tlsreload"
)

// Rule allows identities to call a method, "/package.Service/Method", or all methods of a service, "/package.Service/".
type Rule struct {
	Method string
	Allow  []Identity
}

// Parts are all identities that Sidelight knows.
func Parts() []Identity {
	return []Identity{"agent", "aggregator", "processor", "apidiscovery", "cloudsync", "console", "operator"}
}

// policy is the allow-list of one server.
type policy struct {
	exact, prefix map[string][]Identity
	log           *slog.Logger
	refused       atomic.Int64
}

func newPolicy(rules []Rule, log *slog.Logger) *policy {
	p := &policy{exact: map[string][]Identity{}, prefix: map[string][]Identity{
		"/grpc.health.v1.Health/":                    Parts(),
		"/grpc.reflection.v1.ServerReflection/":      Parts(),
		"/grpc.reflection.v1alpha.ServerReflection/": Parts(),
	}, log: log}
	for _, rule := range rules {
		if strings.HasSuffix(rule.Method, "/") {
			p.prefix[rule.Method] = append(p.prefix[rule.Method], rule.Allow...)
		} else {
			p.exact[rule.Method] = append(p.exact[rule.Method], rule.Allow...)
		}
	}
	return p
}

// allowed gives the identities that may call the method: the exact rule, where there is one, decides alone.
func (p *policy) allowed(method string) []Identity {
	if list, ok := p.exact[method]; ok {
		return list
	}
	return p.prefix[method[:strings.LastIndexByte(method, '/')+1]]
}

func (p *policy) check(ctx context.Context, method string) error {
	identities := peerIdentities(ctx)
	allowed := p.allowed(method)
	if slices.ContainsFunc(allowed, func(part Identity) bool { return tlsreload.Is(identities, part) }) {
		return nil
	}
	p.refused.Add(1)
	p.log.Warn("call refused", logkey.Method, method, logkey.Identity, identities)
	return status.Errorf(codes.PermissionDenied, "%q may not call %s", identities, method)
}

func (p *policy) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	if err := p.check(ctx, info.FullMethod); err != nil {
		return nil, err
	}
	return next(ctx, req)
}

func (p *policy) stream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	if err := p.check(stream.Context(), info.FullMethod); err != nil {
		return err
	}
	return next(srv, stream)
}

// Refused counts calls that the allow-list turned away.
func (s *Server) Refused() int64 { return s.policy.refused.Load() }

func peerIdentities(ctx context.Context) []string {
	certificate := PeerCertificate(ctx)
	if certificate == nil {
		return nil
	}
	return tlsreload.PeerIdentities(certificate)
}

// PeerCertificate is the verified certificate of the caller, nil without one.
func PeerCertificate(ctx context.Context) *x509.Certificate {
	caller, ok := peer.FromContext(ctx)
	if !ok {
		return nil
	}
	info, ok := caller.AuthInfo.(credentials.TLSInfo)
	if !ok || len(info.State.VerifiedChains) == 0 {
		return nil
	}
	return info.State.VerifiedChains[0][0]
}
