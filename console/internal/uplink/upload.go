package uplink

import (
	"context"
	"errors"
	"fmt"

	"connectrpc.com/connect"

	"github.com/sidelight/sidelight/console/internal/attacks"
	"github.com/sidelight/sidelight/console/internal/caller"
	"github.com/sidelight/sidelight/console/internal/changes"
	"github.com/sidelight/sidelight/console/internal/coverage"
	"github.com/sidelight/sidelight/console/internal/installations"
	"github.com/sidelight/sidelight/console/internal/inventory"
	"github.com/sidelight/sidelight/console/internal/store/dbsqlc"
	consolev1 "github.com/sidelight/sidelight/proto/gen/sidelight/console/v1"
)

// MaxMessage bounds an upload, unpacked.
const MaxMessage = 16 << 20

// maxItems bounds the rows of one transaction.
const maxItems = 20_000

// Upload stores what is newer than what is there, all or nothing.
func (s *Service) Upload(ctx context.Context, req *connect.Request[consolev1.UploadRequest]) (*connect.Response[consolev1.UploadResponse], error) {
	i, ok := caller.InstallationOf(ctx)
	if !ok {
		return nil, s.failure(ctx, "uploading", installations.ErrAccess)
	}
	if err := own(i.Cluster, req.Msg); err != nil {
		s.counted.Upload(ctx, "refused")
		return nil, err
	}
	if err := s.write(ctx, i, req.Msg); err != nil {
		s.counted.Upload(ctx, "failed")
		return nil, s.failure(ctx, "storing an upload", err)
	}
	s.counted.Upload(ctx, "stored")
	return connect.NewResponse(&consolev1.UploadResponse{}), nil
}

func (s *Service) write(ctx context.Context, i caller.Installation, m *consolev1.UploadRequest) error {
	now := s.now()
	var newAttacks, newEndpoints int64
	err := s.store.Tx(ctx, func(q *dbsqlc.Queries) (err error) {
		if newAttacks, err = attacks.Put(ctx, q, i.Org, i.Cluster, m.GetAttacks(), now); err != nil {
			return err
		}
		if newEndpoints, err = inventory.Put(ctx, q, i.Org, i.Cluster, m.GetEndpoints(), now); err != nil {
			return err
		}
		if err = installations.PutStatuses(ctx, q, i.Org, i.Cluster, m.GetStatuses(), now); err != nil {
			return err
		}
		owner := coverage.Owner{Org: i.Org, Installation: i.ID, Cluster: i.Cluster}
		if err = coverage.Put(ctx, q, owner, m.GetBlindIntervals(), now); err != nil {
			return err
		}
		err = q.SeeInstallation(ctx, dbsqlc.SeeInstallationParams{LastSeen: now, OrgID: i.Org, InstallationID: i.ID})
		if err != nil {
			return fmt.Errorf("noting that an installation was seen: %w", err)
		}
		var kinds changes.Kind
		if newAttacks > 0 {
			kinds |= changes.Attacks
		}
		if newEndpoints > 0 {
			kinds |= changes.Endpoints
		}
		return changes.Announce(ctx, q, i.Org, kinds)
	})
	if err != nil {
		return err
	}
	s.counted.Written(ctx, newAttacks, newEndpoints)
	return nil
}

// own refuses what an installation says about a cluster that is not its own. No cluster means its own.
func own(cluster string, m *consolev1.UploadRequest) error {
	if len(m.GetAttacks())+len(m.GetEndpoints())+len(m.GetStatuses())+len(m.GetBlindIntervals()) > maxItems {
		return connect.NewError(connect.CodeInvalidArgument, fmt.Errorf("too much in one upload: at most %d items", maxItems))
	}
	foreign := func(said string) bool { return said != "" && said != cluster }
	for _, a := range m.GetAttacks() {
		if foreign(a.GetCluster()) {
			return errForeign()
		}
		for _, h := range a.GetSamples() {
			if foreign(h.GetCluster()) {
				return errForeign()
			}
		}
	}
	for _, d := range m.GetEndpoints() {
		if foreign(d.GetEndpoint().GetCluster()) {
			return errForeign()
		}
	}
	for _, p := range m.GetStatuses() {
		if foreign(p.GetCluster()) {
			return errForeign()
		}
	}
	return nil
}

func errForeign() error {
	return connect.NewError(connect.CodePermissionDenied,
		errors.New("an installation may write its own cluster only: use the cluster name that it was registered with"))
}
