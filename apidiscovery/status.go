package apidiscovery

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"google.golang.org/protobuf/types/known/timestamppb"

	statusv1 "github.com/sidelight/sidelight/proto/gen/sidelight/status/v1"

	"github.com/sidelight/sidelight/internal/telemetry"
)

// counters gives what the service did in this life, by name.
func (s *Service) counters() []*statusv1.Counter {
	c := s.inventory.Counts()
	list := []*statusv1.Counter{
		{Name: "observations", Value: int64(c.Observations)}, {Name: "duplicates", Value: int64(c.Duplicates)},
		{Name: "requests", Value: int64(c.Requests)}, {Name: "late_statuses", Value: int64(c.Late)},
	}
	unconfirmed := int64(0)
	for _, n := range c.Unconfirmed {
		unconfirmed += int64(n)
	}
	list = append(list, &statusv1.Counter{Name: "unconfirmed", Value: unconfirmed})
	if o := s.opened.Load(); o != nil {
		list = append(list, &statusv1.Counter{Name: "flushes", Value: o.flusher.Flushes.Load()},
			&statusv1.Counter{Name: "flush_failures", Value: o.flusher.Failures.Load()})
		if o.pusher != nil {
			list = append(list, &statusv1.Counter{Name: "deltas_pushed", Value: o.pusher.Deltas.Load()},
				&statusv1.Counter{Name: "push_failures", Value: o.pusher.Failures.Load()})
		}
	}
	return list
}

// status is the part's own report.
func (s *Service) status() *statusv1.PartStatus {
	p := &statusv1.PartStatus{
		Part: "apidiscovery", Instance: s.instance, Version: telemetry.Version(), Cluster: s.cfg.Cluster, StartedAt: timestamppb.New(s.started),
		ReportedAt: timestamppb.Now(), Ready: true, Counters: s.counters(),
	}
	if err := s.Ready(); err != nil {
		p.Ready, p.NotReadyBecause = false, err.Error()
	}
	for _, l := range s.losses.Snapshot() {
		p.Losses = append(p.Losses, &statusv1.Loss{Place: l.Place, Reason: l.Reason, Count: l.Count})
	}
	return p
}

// measure exports the counters. The only error of an instrument is a malformed name, and these are well formed.
func (s *Service) measure(m metric.Meter) {
	for _, name := range []string{
		"observations", "duplicates", "requests", "late_statuses", "unconfirmed", "flushes", "flush_failures", "deltas_pushed", "push_failures",
	} {
		_, _ = m.Int64ObservableCounter("sidelight_apidiscovery_"+name+"_total", metric.WithInt64Callback(func(_ context.Context, o metric.Int64Observer) error {
			for _, c := range s.counters() {
				if c.GetName() == name {
					o.Observe(c.GetValue())
				}
			}
			return nil
		}))
	}
	_, _ = m.Int64ObservableCounter("sidelight_apidiscovery_unconfirmed_by_reason_total",
		metric.WithDescription("Requests that belong to no endpoint, by the reason why they made none."),
		metric.WithInt64Callback(func(_ context.Context, o metric.Int64Observer) error {
			for reason, n := range s.inventory.Counts().Unconfirmed {
				o.Observe(int64(n), metric.WithAttributes(attribute.String("reason", reason)))
			}
			return nil
		}))
	_, _ = m.Int64ObservableGauge("sidelight_apidiscovery_endpoints", metric.WithDescription("Endpoints in memory, by whether they are shown."),
		metric.WithInt64Callback(func(_ context.Context, o metric.Int64Observer) error {
			c := s.inventory.Counts()
			o.Observe(int64(c.Published), metric.WithAttributes(attribute.Bool("shown", true)))
			o.Observe(int64(c.Endpoints-c.Published), metric.WithAttributes(attribute.Bool("shown", false)))
			return nil
		}))
}
