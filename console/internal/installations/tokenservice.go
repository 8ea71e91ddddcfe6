package installations

import (
	"context"
	"errors"
	"strings"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/sidelight/sidelight/console/internal/caller"
	"github.com/sidelight/sidelight/console/internal/edge"
	"github.com/sidelight/sidelight/console/internal/store"
	consolev1 "github.com/sidelight/sidelight/proto/gen/sidelight/console/v1"
)

// ListTokens gives all tokens, newest first.
func (s *Service) ListTokens(ctx context.Context, _ *connect.Request[consolev1.ListTokensRequest]) (*connect.Response[consolev1.ListTokensResponse], error) {
	p, ok := caller.PersonOf(ctx)
	if !ok {
		return nil, edge.Nobody()
	}
	rows, err := s.registry.store.Q().ListTokens(ctx, p.Org)
	if err != nil {
		return nil, edge.Failure(ctx, s.log, "reading tokens", err)
	}
	out := &consolev1.ListTokensResponse{}
	for _, row := range rows {
		out.Tokens = append(out.Tokens, &consolev1.Token{
			Id: row.TokenID, Name: row.Name, CreatedAt: timestamppb.New(row.CreatedAt), Revoked: row.Revoked,
			Installations: uint32(row.Installations),
		})
	}
	return connect.NewResponse(out), nil
}

// CreateToken makes a token and shows it this once.
func (s *Service) CreateToken(ctx context.Context, req *connect.Request[consolev1.CreateTokenRequest]) (*connect.Response[consolev1.CreateTokenResponse], error) {
	p, ok := caller.PersonOf(ctx)
	if !ok {
		return nil, edge.Nobody()
	}
	name := strings.TrimSpace(req.Msg.GetName())
	if name == "" || name != store.Text(name, store.NameWidth) {
		return nil, edge.Invalid(errors.New("a token needs a name of 1 to 256 bytes, so that it can be found again"))
	}
	id, token, err := s.registry.CreateToken(ctx, p.Org, name)
	if err != nil {
		return nil, edge.Failure(ctx, s.log, "creating a token", err)
	}
	s.log.InfoContext(ctx, "token created", "name", name, "token", id, "by", p.User)
	return connect.NewResponse(&consolev1.CreateTokenResponse{Token: token, TokenId: id}), nil
}

// RegenerateToken shows the new secret this once.
func (s *Service) RegenerateToken(ctx context.Context, req *connect.Request[consolev1.RegenerateTokenRequest]) (*connect.Response[consolev1.RegenerateTokenResponse], error) {
	p, ok := caller.PersonOf(ctx)
	if !ok {
		return nil, edge.Nobody()
	}
	id := store.Text(req.Msg.GetTokenId(), store.IDWidth)
	token, err := s.registry.RegenerateToken(ctx, p.Org, id)
	if err != nil {
		return nil, s.failure(ctx, "regenerating a token", err)
	}
	s.log.WarnContext(ctx, "token regenerated", "token", id, "by", p.User)
	return connect.NewResponse(&consolev1.RegenerateTokenResponse{Token: token}), nil
}

// RevokeToken ends a token, and cuts off who registered with it.
func (s *Service) RevokeToken(ctx context.Context, req *connect.Request[consolev1.RevokeTokenRequest]) (*connect.Response[consolev1.RevokeTokenResponse], error) {
	p, ok := caller.PersonOf(ctx)
	if !ok {
		return nil, edge.Nobody()
	}
	id := store.Text(req.Msg.GetTokenId(), store.IDWidth)
	if err := s.registry.RevokeToken(ctx, p.Org, id); err != nil {
		return nil, s.failure(ctx, "revoking a token", err)
	}
	s.log.WarnContext(ctx, "token revoked", "token", id, "by", p.User)
	return connect.NewResponse(&consolev1.RevokeTokenResponse{}), nil
}
