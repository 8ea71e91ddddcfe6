package installations

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/sidelight/sidelight/console/internal/store"
	"github.com/sidelight/sidelight/console/internal/store/dbsqlc"
	statusv1 "github.com/sidelight/sidelight/proto/gen/sidelight/status/v1"
)

// statusLife is how long the last report of a part that went silent is shown.
const statusLife = 24 * time.Hour

// PutStatuses keeps the last report of each part of a cluster. It owns what it is given.
func PutStatuses(ctx context.Context, q *dbsqlc.Queries, org int64, cluster string, list []*statusv1.PartStatus, now time.Time) error {
	type key struct{ part, instance string }
	last := map[key][]byte{}
	for _, s := range list {
		s.Cluster = cluster
		body, err := proto.Marshal(s)
		if err != nil {
			return fmt.Errorf("encoding a status: %w", err)
		}
		last[key{store.Text(s.GetPart(), store.WordWidth), store.Text(s.GetInstance(), store.NameWidth)}] = body
	}
	if len(last) == 0 {
		return nil
	}
	p := dbsqlc.PutStatusesParams{OrgID: org, Cluster: cluster, ReceivedAt: now}
	// Sorted, so that uploads at the same time cannot lock each other out.
	order := slices.SortedFunc(maps.Keys(last), func(a, b key) int {
		return cmp.Or(cmp.Compare(a.part, b.part), cmp.Compare(a.instance, b.instance))
	})
	for _, k := range order {
		p.Parts, p.Instances, p.Bodies = append(p.Parts, k.part), append(p.Instances, k.instance), append(p.Bodies, last[k])
	}
	if err := q.PutStatuses(ctx, p); err != nil {
		return fmt.Errorf("storing statuses: %w", err)
	}
	return nil
}

// Sweep forgets parts that have been silent for a day, and proofs that are too old to be used again.
func (r *Registry) Sweep(ctx context.Context) error {
	if _, err := r.store.Q().DeleteOldStatuses(ctx, r.now().Add(-statusLife)); err != nil {
		return fmt.Errorf("deleting old statuses: %w", err)
	}
	// Another process may have a clock of its own.
	if _, err := r.store.Q().DeleteOldProofs(ctx, r.now().Add(-2*maxSkew)); err != nil {
		return fmt.Errorf("deleting old proofs: %w", err)
	}
	return nil
}
