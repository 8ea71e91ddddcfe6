// Package coverage knows what is watched, and what was not: the blind intervals of all installations, and what agents say
// of each workload.
package coverage

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/sidelight/sidelight/console/internal/store"
	"github.com/sidelight/sidelight/console/internal/store/dbsqlc"
	statusv1 "github.com/sidelight/sidelight/proto/gen/sidelight/status/v1"
)

// keep is how long an interval is known after its end.
const keep = 30 * 24 * time.Hour

// ErrBad says that an uploaded interval can never be stored.
var ErrBad = errors.New("blind interval without a usable id or beginning, or with an end that is no time")

// Owner is whose intervals they are.
type Owner struct {
	Org          int64
	Installation string
	Cluster      string
}

// Put stores what is told of intervals, each by its id. It owns what it is given.
func Put(ctx context.Context, q *dbsqlc.Queries, owner Owner, list []*statusv1.BlindInterval, now time.Time) error {
	list, err := prepare(list, owner.Cluster)
	if err != nil || len(list) == 0 {
		return err
	}
	p := dbsqlc.PutBlindIntervalsParams{OrgID: owner.Org, InstallationID: owner.Installation, Cluster: owner.Cluster, ReceivedAt: now}
	for _, b := range list {
		body, err := proto.Marshal(b)
		if err != nil {
			return fmt.Errorf("encoding a blind interval: %w", err)
		}
		p.Ids, p.Bodies = append(p.Ids, b.GetId()), append(p.Bodies, body)
		p.Froms = append(p.Froms, b.GetFrom().AsTime())
		p.Ended, p.Tos = append(p.Ended, b.GetTo() != nil), append(p.Tos, b.GetTo().AsTime())
	}
	if _, err := q.PutBlindIntervals(ctx, p); err != nil {
		return fmt.Errorf("storing blind intervals: %w", err)
	}
	return nil
}

// prepare checks and claims the intervals, keeps one of equal ids, and orders them so that uploads at the same time cannot
// lock each other out.
func prepare(list []*statusv1.BlindInterval, cluster string) ([]*statusv1.BlindInterval, error) {
	for _, b := range list {
		if b.GetId() == "" || b.GetId() != store.Text(b.GetId(), store.IDWidth) || !b.GetFrom().IsValid() || b.GetTo() != nil && !b.GetTo().IsValid() {
			return nil, ErrBad
		}
		if b.GetTo() != nil && b.GetTo().AsTime().Before(b.GetFrom().AsTime()) {
			// The two ends may come from two clocks.
			b.To = b.GetFrom()
		}
		if b.GetWorkload() != nil {
			b.Workload.Cluster = cluster
		}
	}
	// The last of equal ids that has an end, or the last.
	list = slices.Clone(list)
	slices.Reverse(list)
	slices.SortStableFunc(list, func(a, b *statusv1.BlindInterval) int {
		return cmp.Or(cmp.Compare(a.GetId(), b.GetId()), ended(b)-ended(a))
	})
	return slices.CompactFunc(list, func(a, b *statusv1.BlindInterval) bool { return a.GetId() == b.GetId() }), nil
}

func ended(b *statusv1.BlindInterval) int {
	if b.GetTo() == nil {
		return 0
	}
	return 1
}
