package installations

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/sidelight/sidelight/console/genconnect/sidelight/console/v1/consolev1connect"
	"github.com/sidelight/sidelight/console/internal/caller"
	"github.com/sidelight/sidelight/console/internal/edge"
	"github.com/sidelight/sidelight/console/internal/store"
	"github.com/sidelight/sidelight/console/internal/store/dbsqlc"
	consolev1 "github.com/sidelight/sidelight/proto/gen/sidelight/console/v1"
	statusv1 "github.com/sidelight/sidelight/proto/gen/sidelight/status/v1"
)

const (
	// blindShown and maxBlind bound what a list shows of each installation.
	blindShown = 24 * time.Hour
	maxBlind   = 100
)

// Service answers InstallationService.
type Service struct {
	registry *Registry
	log      *slog.Logger
}

var _ consolev1connect.InstallationServiceHandler = (*Service)(nil)

// NewService makes the service.
func NewService(r *Registry, log *slog.Logger) *Service { return &Service{registry: r, log: log} }

// ListInstallations gives the newest installation of each cluster, with the last report of its parts.
func (s *Service) ListInstallations(ctx context.Context, _ *connect.Request[consolev1.ListInstallationsRequest]) (*connect.Response[consolev1.ListInstallationsResponse], error) {
	p, ok := caller.PersonOf(ctx)
	if !ok {
		return nil, edge.Nobody()
	}
	rows, err := s.registry.store.Q().ListInstallations(ctx, p.Org)
	if err != nil {
		return nil, edge.Failure(ctx, s.log, "reading installations", err)
	}
	parts, err := s.parts(ctx, p.Org)
	if err != nil {
		return nil, edge.Failure(ctx, s.log, "reading statuses", err)
	}
	blind, err := s.blind(ctx, p.Org)
	if err != nil {
		return nil, edge.Failure(ctx, s.log, "reading blind intervals", err)
	}
	out := &consolev1.ListInstallationsResponse{}
	for _, row := range rows {
		out.Installations = append(out.Installations, &consolev1.Installation{
			Id: row.InstallationID, Cluster: row.Cluster, Parts: parts[row.Cluster], BlindIntervals: blind[row.InstallationID],
			RegisteredAt: timestamppb.New(row.RegisteredAt), LastSeen: timestamppb.New(row.LastSeen),
			TokenId: row.TokenID, Revoked: row.Revoked,
		})
	}
	return connect.NewResponse(out), nil
}

// parts gives the reports by cluster.
func (s *Service) parts(ctx context.Context, org int64) (map[string][]*statusv1.PartStatus, error) {
	statuses, err := s.registry.store.Q().ListStatuses(ctx, dbsqlc.ListStatusesParams{OrgID: org})
	if err != nil {
		return nil, err
	}
	parts := map[string][]*statusv1.PartStatus{}
	for _, row := range statuses {
		status := &statusv1.PartStatus{}
		if err := proto.Unmarshal(row.Body, status); err != nil {
			return nil, fmt.Errorf("decoding a status: %w", err)
		}
		parts[row.Cluster] = append(parts[row.Cluster], status)
	}
	return parts, nil
}

// blind gives the intervals of the last day by installation.
func (s *Service) blind(ctx context.Context, org int64) (map[string][]*statusv1.BlindInterval, error) {
	rows, err := s.registry.store.Q().RecentBlindIntervals(ctx, dbsqlc.RecentBlindIntervalsParams{
		OrgID: org, Since: s.registry.now().Add(-blindShown), Most: maxBlind,
	})
	if err != nil {
		return nil, err
	}
	list := map[string][]*statusv1.BlindInterval{}
	for _, row := range rows {
		b := &statusv1.BlindInterval{}
		if err := proto.Unmarshal(row.Body, b); err != nil {
			return nil, fmt.Errorf("decoding a blind interval: %w", err)
		}
		list[row.InstallationID] = append(list[row.InstallationID], b)
	}
	return list, nil
}

// RevokeInstallation cuts one off.
func (s *Service) RevokeInstallation(ctx context.Context, req *connect.Request[consolev1.RevokeInstallationRequest]) (*connect.Response[consolev1.RevokeInstallationResponse], error) {
	p, ok := caller.PersonOf(ctx)
	if !ok {
		return nil, edge.Nobody()
	}
	id := store.Text(req.Msg.GetId(), store.IDWidth)
	if err := s.registry.RevokeInstallation(ctx, p.Org, id); err != nil {
		return nil, s.failure(ctx, "revoking an installation", err)
	}
	s.log.WarnContext(ctx, "installation revoked", "installation", id, "by", p.User)
	return connect.NewResponse(&consolev1.RevokeInstallationResponse{}), nil
}

// failure adds to the common mapping what only this service says.
func (s *Service) failure(ctx context.Context, doing string, err error) error {
	if errors.Is(err, ErrUnknown) {
		return connect.NewError(connect.CodeNotFound, ErrUnknown)
	}
	return edge.Failure(ctx, s.log, doing, err)
}
