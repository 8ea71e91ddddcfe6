// Package losses counts what a part gave up, by place and reason: for its metrics and for the status lane.
package losses

import (
	"context"
	"slices"
	"strings"
	"sync"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// Loss is one counter.
type Loss struct {
	Place, Reason string
	Count         int64
}

type key struct{ place, reason string }

// Losses is all counters of a part. Places and reasons are words of the code, never of the traffic.
type Losses struct {
	mu     sync.Mutex
	counts map[key]int64
}

// NewLosses exports the counters as sidelight_<part>_lost_total{place,reason}; without a meter they only count.
func NewLosses(m metric.Meter, part string) *Losses {
	l := &Losses{counts: map[key]int64{}}
	if m == nil {
		return l
	}
	// The only error is a malformed name, and this one is well formed.
	_, _ = m.Int64ObservableCounter("sidelight_"+part+"_lost_total",
		metric.WithDescription("What was given up, by place and reason."),
		metric.WithInt64Callback(func(_ context.Context, observer metric.Int64Observer) error {
			for _, loss := range l.Snapshot() {
				observer.Observe(loss.Count, metric.WithAttributes(attribute.String("place", loss.Place), attribute.String("reason", loss.Reason)))
			}
			return nil
		}))
	return l
}

// Add counts n things lost.
func (l *Losses) Add(place, reason string, n int64) {
	if n == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counts[key{place, reason}] += n
}

// Snapshot gives all counters, sorted by place and reason.
func (l *Losses) Snapshot() []Loss {
	l.mu.Lock()
	list := make([]Loss, 0, len(l.counts))
	for k, n := range l.counts {
		list = append(list, Loss{k.place, k.reason, n})
	}
	l.mu.Unlock()
	slices.SortFunc(list, func(a, b Loss) int {
		if c := strings.Compare(a.Place, b.Place); c != 0 {
			return c
		}
		return strings.Compare(a.Reason, b.Reason)
	})
	return list
}
