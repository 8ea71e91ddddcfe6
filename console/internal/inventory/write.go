// Package inventory keeps the console's copy of the endpoints; apidiscovery owns the original.
package inventory

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/sidelight/sidelight/console/internal/store"
	"github.com/sidelight/sidelight/console/internal/store/dbsqlc"
	inventoryv1 "github.com/sidelight/sidelight/proto/gen/sidelight/inventory/v1"
)

// ErrBad says that an uploaded endpoint can never be stored.
var ErrBad = errors.New("endpoint without a usable id")

// Put stores those endpoints that are newer than what is there and says how many were. It owns what it is given.
func Put(ctx context.Context, q *dbsqlc.Queries, org int64, cluster string, deltas []*inventoryv1.EndpointDelta, now time.Time) (int64, error) {
	deltas, err := prepare(deltas, org, cluster)
	if err != nil || len(deltas) == 0 {
		return 0, err
	}
	p := dbsqlc.PutEndpointsParams{OrgID: org, Cluster: cluster, UpdatedAt: now}
	for _, d := range deltas {
		e := d.GetEndpoint()
		body, err := proto.Marshal(e)
		if err != nil {
			return 0, fmt.Errorf("encoding an endpoint: %w", err)
		}
		p.Ids = append(p.Ids, e.GetId())
		p.Versions = append(p.Versions, int64(min(e.GetVersion(), math.MaxInt64)))
		p.Services = append(p.Services, store.Text(e.GetService(), store.NameWidth))
		p.Hosts = append(p.Hosts, store.Text(e.GetHost(), store.NameWidth))
		p.Paths = append(p.Paths, store.Text(e.GetPathTemplate(), store.PathWidth))
		p.Methods = append(p.Methods, store.Text(e.GetMethod(), store.WordWidth))
		p.Archived = append(p.Archived, d.GetArchived() || e.GetAliasOf() != "")
		p.Bodies = append(p.Bodies, body)
	}
	changed, err := q.PutEndpoints(ctx, p)
	if err != nil {
		return 0, fmt.Errorf("storing endpoints: %w", err)
	}
	return changed, nil
}

// prepare checks and claims the endpoints, keeps the newest of equal ids, and orders them so that uploads at the
// same time cannot lock each other out.
func prepare(deltas []*inventoryv1.EndpointDelta, org int64, cluster string) ([]*inventoryv1.EndpointDelta, error) {
	organisation := strconv.FormatInt(org, 10)
	for _, d := range deltas {
		e := d.GetEndpoint()
		if e.GetId() == "" || e.GetId() != store.Text(e.GetId(), store.IDWidth) {
			return nil, ErrBad
		}
		e.Cluster, e.Organisation = cluster, organisation
	}
	deltas = slices.SortedStableFunc(slices.Values(deltas), func(a, b *inventoryv1.EndpointDelta) int {
		x, y := a.GetEndpoint(), b.GetEndpoint()
		return cmp.Or(cmp.Compare(x.GetId(), y.GetId()), cmp.Compare(y.GetVersion(), x.GetVersion()))
	})
	return slices.CompactFunc(deltas, func(a, b *inventoryv1.EndpointDelta) bool {
		return a.GetEndpoint().GetId() == b.GetEndpoint().GetId()
	}), nil
}
