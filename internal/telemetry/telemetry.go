// Package telemetry gives a part its meter and the page that Prometheus reads.
package telemetry

import (
	"context"
	"fmt"
	"net/http"
	"runtime/debug"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	otelprometheus "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/metric"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	semconv "go.opentelemetry.io/otel/semconv/v1.37.0"
)

// Provider is one part's metrics. Names are sidelight_<part>_<thing>_<unit>; labels are never paths, addresses or other
// text of strangers.
type Provider struct {
	part     string
	provider *sdkmetric.MeterProvider
	registry *prometheus.Registry
}

// New makes a provider with a registry of its own, so that several parts live in one process.
func New(part, version string) (*Provider, error) {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	exporter, err := otelprometheus.New(otelprometheus.WithRegisterer(registry), otelprometheus.WithoutScopeInfo())
	if err != nil {
		return nil, fmt.Errorf("setting up metrics: %w", err)
	}
	provider := sdkmetric.NewMeterProvider(
		sdkmetric.WithReader(exporter),
		sdkmetric.WithResource(resource.NewSchemaless(semconv.ServiceName("sidelight-"+part), semconv.ServiceVersion(version))),
	)
	return &Provider{part: part, provider: provider, registry: registry}, nil
}

// Meter makes the part's instruments.
func (p *Provider) Meter() metric.Meter { return p.provider.Meter("sidelight/" + p.part) }

// Handler serves the metrics.
func (p *Provider) Handler() http.Handler {
	return promhttp.HandlerFor(p.registry, promhttp.HandlerOpts{})
}

// Shutdown stops the provider.
func (p *Provider) Shutdown(ctx context.Context) error {
	if err := p.provider.Shutdown(ctx); err != nil {
		return fmt.Errorf("stopping metrics: %w", err)
	}
	return nil
}

// Version is the release that this binary was built from, or "devel" with the commit.
func Version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "devel"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	for _, setting := range info.Settings {
		if setting.Key == "vcs.revision" && len(setting.Value) >= 12 {
			return "devel-" + setting.Value[:12]
		}
	}
	return "devel"
}
