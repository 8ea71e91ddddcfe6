// Package report hands on what the processor found: hits to cloudsync before a call is answered, observations to apidiscovery
// behind it, and the part's own state to the status lane.
package report

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	statusv1 "github.com/sidelight/sidelight/proto/gen/sidelight/status/v1"
)

// Counters are what the part says of its work. They only grow within one life.
type Counters struct {
	Exchanges, Duplicates, Incomplete, Outcomes, Observations, CommitFailures atomic.Int64
	// InspectMicros is the time that inspections took, added up.
	InspectMicros atomic.Int64

	mu   sync.Mutex
	hits map[string]int64
}

// NewCounters exports them as sidelight_processor_<name>_total; without a meter they only count.
func NewCounters(m metric.Meter) *Counters {
	c := &Counters{hits: map[string]int64{}}
	if m == nil {
		return c
	}
	for _, n := range c.named() {
		// The only error is a malformed name, and these are well formed.
		_, _ = m.Int64ObservableCounter("sidelight_processor_"+n.name+"_total", metric.WithDescription(n.help),
			metric.WithInt64Callback(func(_ context.Context, o metric.Int64Observer) error {
				o.Observe(n.value.Load())
				return nil
			}))
	}
	_, _ = m.Int64ObservableCounter("sidelight_processor_hits_total", metric.WithDescription("Hits by attack type."),
		metric.WithInt64Callback(func(_ context.Context, o metric.Int64Observer) error {
			c.mu.Lock()
			defer c.mu.Unlock()
			for t, n := range c.hits {
				o.Observe(n, metric.WithAttributes(attribute.String("type", t)))
			}
			return nil
		}))
	return c
}

type named struct {
	name, help string
	value      *atomic.Int64
}

func (c *Counters) named() []named {
	return []named{
		{"exchanges", "Exchanges judged.", &c.Exchanges},
		{"duplicates", "Revisions that had been seen already.", &c.Duplicates},
		{"incomplete", "Exchanges that were not inspected whole.", &c.Incomplete},
		{"outcomes", "Outcomes filled in after the request was judged.", &c.Outcomes},
		{"observations", "Observations acknowledged by apidiscovery.", &c.Observations},
		{"commit_failures", "Calls that were refused because hits could not be kept.", &c.CommitFailures},
		{"inspect_microseconds", "Time spent on inspecting.", &c.InspectMicros},
	}
}

// Hit counts a hit of one type.
func (c *Counters) Hit(kind string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hits[kind]++
}

// Inspected counts one inspection that began at start.
func (c *Counters) Inspected(start time.Time) {
	c.Exchanges.Add(1)
	c.InspectMicros.Add(time.Since(start).Microseconds())
}

// Snapshot gives all counters for the status lane.
func (c *Counters) Snapshot() []*statusv1.Counter {
	var out []*statusv1.Counter
	for _, n := range c.named() {
		out = append(out, &statusv1.Counter{Name: n.name, Value: n.value.Load()})
	}
	total := int64(0)
	c.mu.Lock()
	for _, n := range c.hits {
		total += n
	}
	c.mu.Unlock()
	return append(out, &statusv1.Counter{Name: "hits", Value: total})
}
