// Package attacks keeps the attacks of all clusters and answers the console's questions about them.
package attacks

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
	detectionv1 "github.com/sidelight/sidelight/proto/gen/sidelight/detection/v1"
)

// ErrBad says that an uploaded attack can never be stored.
var ErrBad = errors.New("attack without a usable id, type or last_seen")

// Put stores those attacks that are newer than what is there and says how many were. It owns what it is given.
func Put(ctx context.Context, q *dbsqlc.Queries, org int64, cluster string, list []*detectionv1.Attack, now time.Time) (int64, error) {
	list, err := prepare(list, org, cluster)
	if err != nil || len(list) == 0 {
		return 0, err
	}
	p := dbsqlc.PutAttacksParams{OrgID: org, Cluster: cluster, UpdatedAt: now}
	for _, a := range list {
		samples, err := proto.Marshal(&detectionv1.Attack{Samples: a.GetSamples()})
		if err != nil {
			return 0, fmt.Errorf("encoding the samples of an attack: %w", err)
		}
		a.Samples = nil
		body, err := proto.Marshal(a)
		if err != nil {
			return 0, fmt.Errorf("encoding an attack: %w", err)
		}
		p.Ids = append(p.Ids, a.GetId())
		p.Versions = append(p.Versions, int64(min(a.GetVersion(), math.MaxInt64)))
		p.Types = append(p.Types, store.Text(a.GetType(), store.WordWidth))
		p.LastSeen = append(p.LastSeen, a.GetLastSeen().AsTime())
		p.MergedInto = append(p.MergedInto, store.Text(a.GetMergedInto(), store.IDWidth))
		p.Bodies = append(p.Bodies, body)
		p.Samples = append(p.Samples, samples)
	}
	changed, err := q.PutAttacks(ctx, p)
	if err != nil {
		return 0, fmt.Errorf("storing attacks: %w", err)
	}
	return changed, nil
}

// prepare checks and claims the attacks, keeps the newest of equal ids, and orders them so that uploads at the same
// time cannot lock each other out.
func prepare(list []*detectionv1.Attack, org int64, cluster string) ([]*detectionv1.Attack, error) {
	organisation := strconv.FormatInt(org, 10)
	for _, a := range list {
		if a.GetId() == "" || a.GetType() == "" || a.GetId() != store.Text(a.GetId(), store.IDWidth) || !a.GetLastSeen().IsValid() {
			return nil, ErrBad
		}
		a.Cluster, a.Organisation = cluster, organisation
		for _, s := range a.GetSamples() {
			s.Cluster, s.Organisation = cluster, organisation
		}
	}
	list = slices.SortedStableFunc(slices.Values(list), func(a, b *detectionv1.Attack) int {
		return cmp.Or(cmp.Compare(a.GetId(), b.GetId()), cmp.Compare(b.GetVersion(), a.GetVersion()))
	})
	return slices.CompactFunc(list, func(a, b *detectionv1.Attack) bool { return a.GetId() == b.GetId() }), nil
}
