package installations

import (
	"context"
	"errors"
	"log/slog"
	"strings"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/sidelight/sidelight/console/genconnect/sidelight/console/v1/consolev1connect"
	"github.com/sidelight/sidelight/console/internal/caller"
	"github.com/sidelight/sidelight/console/internal/edge"
	"github.com/sidelight/sidelight/console/internal/store"
	consolev1 "github.com/sidelight/sidelight/proto/gen/sidelight/console/v1"
	statusv1 "github.com/sidelight/sidelight/proto/gen/sidelight/status/v1"
)

// Service answers InstallationService.
type Service struct {
	consolev1connect.UnimplementedInstallationServiceHandler
	registry *Registry
	log      *slog.Logger
}

var _ consolev1connect.InstallationServiceHandler = (*Service)(nil)

// NewService makes the service.
func NewService(r *Registry, log *slog.Logger) *Service { return &Service{registry: r, log: log} }

// ListInstallations gives all installations that are not revoked, with the last report of their parts.
func (s *Service) ListInstallations(ctx context.Context, _ *connect.Request[consolev1.ListInstallationsRequest]) (*connect.Response[consolev1.ListInstallationsResponse], error) {
	p, ok := caller.PersonOf(ctx)
	if !ok {
		return nil, edge.Nobody()
	}
	q := s.registry.store.Q()
	rows, err := q.ListInstallations(ctx, p.Org)
	if err != nil {
		return nil, edge.Failure(ctx, s.log, "reading installations", err)
	}
	statuses, err := q.ListStatuses(ctx, p.Org)
	if err != nil {
		return nil, edge.Failure(ctx, s.log, "reading statuses", err)
	}
	parts := map[string][]*statusv1.PartStatus{}
	for _, row := range statuses {
		status := &statusv1.PartStatus{}
		if err := proto.Unmarshal(row.Body, status); err != nil {
			return nil, edge.Failure(ctx, s.log, "decoding a status", err)
		}
		parts[row.Cluster] = append(parts[row.Cluster], status)
	}
	out := &consolev1.ListInstallationsResponse{}
	for _, row := range rows {
		out.Installations = append(out.Installations, &consolev1.Installation{
			Id: row.InstallationID, Cluster: row.Cluster, Parts: parts[row.Cluster],
			RegisteredAt: timestamppb.New(row.RegisteredAt), LastSeen: timestamppb.New(row.LastSeen),
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
	token, err := s.registry.CreateToken(ctx, p.Org, name)
	if err != nil {
		return nil, edge.Failure(ctx, s.log, "creating a token", err)
	}
	s.log.InfoContext(ctx, "token created", "name", name, "by", p.User)
	return connect.NewResponse(&consolev1.CreateTokenResponse{Token: token}), nil
}
