// Package uplink is what installations call: registration, access tokens, uploads and policy.
package uplink

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/sidelight/sidelight/console/genconnect/sidelight/console/v1/consolev1connect"
	"github.com/sidelight/sidelight/console/internal/caller"
	"github.com/sidelight/sidelight/console/internal/changes"
	"github.com/sidelight/sidelight/console/internal/installations"
	"github.com/sidelight/sidelight/console/internal/ratelimit"
	"github.com/sidelight/sidelight/console/internal/store"
	consolev1 "github.com/sidelight/sidelight/proto/gen/sidelight/console/v1"
	policyv1 "github.com/sidelight/sidelight/proto/gen/sidelight/policy/v1"
)

// Service answers UplinkService.
type Service struct {
	store    *store.Store
	registry registry
	counted  counted
	log      *slog.Logger
	now      func() time.Time
	// guesses bounds wrong tokens and signatures from one place.
	guesses *ratelimit.Limiter
	policy  policies
	hub     *changes.Hub
}

type registry interface {
	Register(ctx context.Context, token, cluster, version string, key []byte) (installations.Registration, error)
	Refresh(ctx context.Context, installation string, at time.Time, signature []byte) (installations.Access, error)
	Authenticate(ctx context.Context, token string) (caller.Installation, error)
}

type counted interface {
	Upload(ctx context.Context, result string)
	Written(ctx context.Context, attacks, endpoints int64)
}

type policies interface {
	Newest(ctx context.Context, org int64, have uint64) (*policyv1.Bundle, uint64, error)
}

var _ consolev1connect.UplinkServiceHandler = (*Service)(nil)

// Deps is what the service needs. Streams end with the hub.
type Deps struct {
	Store    *store.Store
	Registry *installations.Registry
	Policy   policies
	Hub      *changes.Hub
	Counted  counted
	Log      *slog.Logger
	Now      func() time.Time
}

// New makes the service.
func New(d Deps) *Service {
	return &Service{
		store: d.Store, registry: d.Registry, policy: d.Policy, hub: d.Hub, counted: d.Counted, log: d.Log, now: d.Now,
		guesses: ratelimit.New(30, 2*time.Second, d.Now),
	}
}

// Register makes an installation for a token.
func (s *Service) Register(ctx context.Context, req *connect.Request[consolev1.RegisterRequest]) (*connect.Response[consolev1.RegisterResponse], error) {
	m := req.Msg
	var reg installations.Registration
	err := s.guarded(req.Peer().Addr, func() (err error) {
		reg, err = s.registry.Register(ctx, m.GetToken(), m.GetCluster(), m.GetVersion(), m.GetPublicKey())
		return err
	})
	if err != nil {
		return nil, s.failure(ctx, "registering an installation", err)
	}
	s.log.InfoContext(ctx, "installation registered", "cluster", m.GetCluster(), "installation", reg.Installation)
	return connect.NewResponse(&consolev1.RegisterResponse{
		Installation: reg.Installation,
		Organisation: strconv.FormatInt(reg.Org, 10),
		PolicyKey:    reg.PolicyKey,
		AccessToken:  reg.Access.Token,
		ExpiresAt:    timestamppb.New(reg.Access.Expires),
	}), nil
}

// RefreshToken gives an access token for a proof of the key.
func (s *Service) RefreshToken(ctx context.Context, req *connect.Request[consolev1.RefreshTokenRequest]) (*connect.Response[consolev1.RefreshTokenResponse], error) {
	m := req.Msg
	var access installations.Access
	err := s.guarded(req.Peer().Addr, func() (err error) {
		if !m.GetAt().IsValid() {
			return installations.ErrProof
		}
		access, err = s.registry.Refresh(ctx, m.GetInstallation(), m.GetAt().AsTime(), m.GetSignature())
		return err
	})
	if err != nil {
		return nil, s.failure(ctx, "refreshing an access token", err)
	}
	return connect.NewResponse(&consolev1.RefreshTokenResponse{
		AccessToken: access.Token, ExpiresAt: timestamppb.New(access.Expires),
	}), nil
}

// guarded counts what looks like a guess against the address that it came from.
func (s *Service) guarded(peer string, try func() error) error {
	address := ratelimit.Address(peer)
	if !s.guesses.Allowed(address) {
		return connect.NewError(connect.CodeResourceExhausted, errors.New("too many wrong tokens or signatures: wait a minute"))
	}
	err := try()
	if errors.Is(err, installations.ErrToken) || errors.Is(err, installations.ErrProof) {
		s.guesses.Take(address)
	}
	return err
}
