package aggregator

import (
	"context"

	"go.opentelemetry.io/otel/metric"

	statusv1 "github.com/sidelight/sidelight/proto/gen/sidelight/status/v1"
)

// counter is one number that the part says of itself; a gauge is of this moment.
type counter struct {
	name, help string
	gauge      bool
	value      func() int64
}

func (s *Service) counters() []counter {
	return []counter{
		{"streams", "Streams of agents that are open.", true, s.ingest.Streams.Load},
		{"pending_bytes", "Exchanges that were read and are not judged yet.", true, s.ingest.PendingBytes.Load},
		{"tail_readers", "Readers of the live tail.", true, func() int64 { return int64(s.hub.Readers()) }},
		{"batches", "Batches read.", false, s.ingest.Batches.Load},
		{"exchanges", "Exchanges read.", false, s.ingest.Exchanges.Load},
		{"exchanges_judged", "Exchanges that the processor judged.", false, s.router.Judged.Load},
		{"exchanges_refused", "Exchanges that were refused and acknowledged so.", false, s.ingest.Refused.Load},
		{"acks", "Batches acknowledged.", false, s.ingest.Acks.Load},
		{"backpressure", "Batches that waited because the bound on pending bytes was reached.", false, s.ingest.Waits.Load},
		{"inspect_calls", "Calls to the processor.", false, s.router.Calls.Load},
		{"inspect_failures", "Calls to the processor that failed and were made again.", false, s.router.Failures.Load},
		{"exchanges_not_kept", "Exchanges whose hits could not be kept yet; each time it is tried.", false, s.router.NotKept.Load},
		{"tail_dropped", "Summaries that readers of the tail were too slow for.", false, s.hub.Dropped.Load},
	}
}

// export shows them as sidelight_aggregator_<name>; the only errors are malformed names, and these are well formed.
func export(m metric.Meter, list []counter) {
	for _, c := range list {
		observe := func(_ context.Context, o metric.Int64Observer) error { o.Observe(c.value()); return nil }
		name := "sidelight_aggregator_" + c.name
		if c.gauge {
			_, _ = m.Int64ObservableGauge(name, metric.WithDescription(c.help), metric.WithInt64Callback(observe))
		} else {
			_, _ = m.Int64ObservableCounter(name+"_total", metric.WithDescription(c.help), metric.WithInt64Callback(observe))
		}
	}
}

func snapshot(list []counter) []*statusv1.Counter {
	out := make([]*statusv1.Counter, 0, len(list))
	for _, c := range list {
		out = append(out, &statusv1.Counter{Name: c.name, Value: c.value()})
	}
	return out
}
