package tlsreload

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

type counters struct{ reloads metric.Int64Counter }

// newCounters registers the instruments; without a meter they count nothing.
func newCounters(meter metric.Meter, s *Source) *counters {
	if meter == nil {
		return &counters{}
	}
	// The only errors are malformed names, and these are well formed.
	reloads, _ := meter.Int64Counter("sidelight_tls_reload_total", metric.WithDescription("Certificate files read anew, by result."))
	_, _ = meter.Float64ObservableGauge("sidelight_tls_not_after_seconds",
		metric.WithDescription("End of the certificate in use, in seconds since 1970."),
		metric.WithFloat64Callback(func(_ context.Context, o metric.Float64Observer) error {
			if now := s.current.Load(); now != nil {
				o.Observe(float64(now.leaf.NotAfter.Unix()))
			}
			return nil
		}))
	_, _ = meter.Int64ObservableGauge("sidelight_tls_certificate_info",
		metric.WithDescription("The certificate in use, by serial number."),
		metric.WithInt64Callback(func(_ context.Context, o metric.Int64Observer) error {
			if now := s.current.Load(); now != nil {
				o.Observe(1, metric.WithAttributes(attribute.String("serial", now.leaf.SerialNumber.Text(16))))
			}
			return nil
		}))
	return &counters{reloads}
}

func (c *counters) add(result string) {
	if c.reloads != nil {
		c.reloads.Add(context.Background(), 1, metric.WithAttributes(attribute.String("result", result)))
	}
}
