// Package metrics declares what the console counts.
package metrics

import (
	"context"
	"fmt"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// Counters are the console's own.
type Counters struct {
	uploads, written, logins metric.Int64Counter
}

// New declares the counters on m.
func New(m metric.Meter) (*Counters, error) {
	c := &Counters{}
	for _, one := range []struct {
		into       *metric.Int64Counter
		name, text string
	}{
		{&c.uploads, "sidelight_console_uploads_total", "Uploads of installations by result: stored, failed (the database) or refused (credential or content)."},
		{&c.written, "sidelight_console_items_written_total", "Attacks and endpoints that were new or newer than what was there."},
		{&c.logins, "sidelight_console_logins_total", "Logins by result: accepted, refused or limited."},
	} {
		counter, err := m.Int64Counter(one.name, metric.WithDescription(one.text))
		if err != nil {
			return nil, fmt.Errorf("declaring %s: %w", one.name, err)
		}
		*one.into = counter
	}
	return c, nil
}

// Upload counts an upload.
func (c *Counters) Upload(ctx context.Context, result string) {
	c.uploads.Add(ctx, 1, metric.WithAttributes(attribute.String("result", result)))
}

// Written counts rows that changed.
func (c *Counters) Written(ctx context.Context, attacks, endpoints int64) {
	c.written.Add(ctx, attacks, metric.WithAttributes(attribute.String("kind", "attack")))
	c.written.Add(ctx, endpoints, metric.WithAttributes(attribute.String("kind", "endpoint")))
}

// Login counts a login.
func (c *Counters) Login(ctx context.Context, result string) {
	c.logins.Add(ctx, 1, metric.WithAttributes(attribute.String("result", result)))
}
