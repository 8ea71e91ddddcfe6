// Package status holds the newest report of every part of the cluster.
package status

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	statusv1 "github.com/sidelight/sidelight/proto/gen/sidelight/status/v1"
)

const (
	// every is the rhythm of the status lane.
	every = 10 * time.Second
	// maxParts bounds the board: more than any cluster has.
	maxParts = 10000
	// forget drops a part that has not reported for so long.
	forget = 24 * time.Hour
)

// Board is the reports, by part and instance.
type Board struct {
	mu       sync.Mutex
	parts    map[string]*statusv1.PartStatus
	reported chan struct{}
}

// NewBoard makes an empty board.
func NewBoard() *Board {
	return &Board{parts: map[string]*statusv1.PartStatus{}, reported: make(chan struct{}, 1)}
}

// Put takes reports; a part's newest replaces the one before.
func (b *Board) Put(reports []*statusv1.PartStatus) {
	b.mu.Lock()
	for _, r := range reports {
		key := r.GetPart() + "\x00" + r.GetInstance()
		if _, known := b.parts[key]; known || len(b.parts) < maxParts {
			b.parts[key] = r
		}
	}
	for key, r := range b.parts {
		if time.Since(r.GetReportedAt().AsTime()) > forget {
			delete(b.parts, key)
		}
	}
	b.mu.Unlock()
	select {
	case b.reported <- struct{}{}:
	default:
	}
}

// Reported has a token when something was put.
func (b *Board) Reported() <-chan struct{} { return b.reported }

// All gives every report, in order of part and instance.
func (b *Board) All() []*statusv1.PartStatus {
	b.mu.Lock()
	defer b.mu.Unlock()
	list := make([]*statusv1.PartStatus, 0, len(b.parts))
	for _, r := range b.parts {
		list = append(list, r)
	}
	slices.SortFunc(list, func(x, y *statusv1.PartStatus) int {
		return strings.Compare(x.GetPart()+"\x00"+x.GetInstance(), y.GetPart()+"\x00"+y.GetInstance())
	})
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
