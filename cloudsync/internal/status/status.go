// Package status holds the newest report of every part of the cluster, until it is uploaded and after.
package status

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	statusv1 "github.com/sidelight/sidelight/proto/gen/sidelight/status/v1"

	"github.com/sidelight/sidelight/internal/losses"
)

const (
	// every is the rhythm of the status lane.
	every = 10 * time.Second
	// maxParts bounds the board: more than any cluster has.
	maxParts = 10000
	// forget drops a part that has not reported for so long.
	forget = 24 * time.Hour
	// maxIntervals bounds the blind intervals of one report that waits.
	maxIntervals = 1000
)

// Board is the reports, by part and instance.
type Board struct {
	cluster  string
	losses   *losses.Losses
	reported chan struct{}

	mu    sync.Mutex
	parts map[string]*entry
}

type entry struct {
	report *statusv1.PartStatus
	at     time.Time
	// waits: it was not uploaded yet.
	waits bool
}

// NewBoard makes an empty board.
func NewBoard(cluster string, l *losses.Losses) *Board {
	return &Board{cluster: cluster, losses: l, parts: map[string]*entry{}, reported: make(chan struct{}, 1)}
}

func keyOf(r *statusv1.PartStatus) string { return r.GetPart() + "\x00" + r.GetInstance() }

// Put takes reports; a part's newest replaces the one before. It owns what it is given.
func (b *Board) Put(reports []*statusv1.PartStatus) {
	b.mu.Lock()
	now := time.Now()
	for _, r := range reports {
		r.Cluster = b.cluster
		b.put(r, now)
	}
	for key, e := range b.parts {
		if now.Sub(e.at) > forget {
			delete(b.parts, key)
		}
	}
	b.mu.Unlock()
	select {
	case b.reported <- struct{}{}:
	default:
	}
}

// put keeps the blind intervals of a report that was not uploaded: they are told once.
func (b *Board) put(r *statusv1.PartStatus, now time.Time) {
	key := keyOf(r)
	old, known := b.parts[key]
	if !known && len(b.parts) >= maxParts {
		b.losses.Add("status", "too_many_parts", 1)
		return
	}
	// Reports that are held are read by others, and so replaced, not changed.
	switch {
	case known && stale(r, old.report):
		// An aggregator that the agent has left repeats its last word: only intervals in it may be news.
		more := news(old.report, r)
		if len(more) == 0 {
			return
		}
		r = withIntervals(old.report, slices.Concat(old.report.GetBlindIntervals(), more))
	case known && old.waits && len(old.report.GetBlindIntervals()) > 0:
		r = withIntervals(r, slices.Concat(old.report.GetBlindIntervals(), r.GetBlindIntervals()))
	}
	if over := len(r.GetBlindIntervals()) - maxIntervals; over > 0 {
		b.losses.Add("status", "blind_intervals", int64(over))
		r = withIntervals(r, r.GetBlindIntervals()[over:])
	}
	b.parts[key] = &entry{r, now, true}
}

// stale tells of two reports of one life whether the first is older than the second.
func stale(r, than *statusv1.PartStatus) bool {
	return r.GetStartedAt().AsTime().Equal(than.GetStartedAt().AsTime()) && r.GetReportedAt().AsTime().Before(than.GetReportedAt().AsTime())
}

// news gives the intervals of a report that another does not have.
func news(has, r *statusv1.PartStatus) (list []*statusv1.BlindInterval) {
	for _, b := range r.GetBlindIntervals() {
		if !slices.ContainsFunc(has.GetBlindIntervals(), func(known *statusv1.BlindInterval) bool { return proto.Equal(known, b) }) {
			list = append(list, b)
		}
	}
	return list
}

func withIntervals(r *statusv1.PartStatus, list []*statusv1.BlindInterval) *statusv1.PartStatus {
	r = proto.CloneOf(r)
	r.BlindIntervals = list
	return r
}

// Reported has a token when something was put.
func (b *Board) Reported() <-chan struct{} { return b.reported }

// Take gives at most limit reports that wait to be uploaded.
func (b *Board) Take(limit int) []*statusv1.PartStatus {
	b.mu.Lock()
	defer b.mu.Unlock()
	var list []*statusv1.PartStatus
	for _, e := range b.parts {
		if e.waits && len(list) < limit {
			e.waits = false
			list = append(list, e.report)
		}
	}
	return list
}

// PutBack lets reports that could not be uploaded wait again, each as part of a newer one if there is one.
func (b *Board) PutBack(list []*statusv1.PartStatus) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range list {
		e, known := b.parts[keyOf(r)]
		switch {
		case !known:
		case e.report == r:
			e.waits = true
		default:
			newer := e.report
			e.report, e.waits = r, true
			b.put(newer, e.at)
		}
	}
}

// All gives every report, in order of part and instance.
func (b *Board) All() []*statusv1.PartStatus {
	b.mu.Lock()
	defer b.mu.Unlock()
	list := make([]*statusv1.PartStatus, 0, len(b.parts))
	for _, e := range b.parts {
		list = append(list, e.report)
	}
	slices.SortFunc(list, func(x, y *statusv1.PartStatus) int { return strings.Compare(keyOf(x), keyOf(y)) })
	return list
}

// ReportSelf puts this part's own report, again and again.
func (b *Board) ReportSelf(ctx context.Context, self func() *statusv1.PartStatus) error {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		b.Put([]*statusv1.PartStatus{self()})
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}
