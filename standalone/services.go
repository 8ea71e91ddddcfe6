package standalone

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/sidelight/sidelight/aggregator"
	"github.com/sidelight/sidelight/apidiscovery"
	"github.com/sidelight/sidelight/cloudsync"
	"github.com/sidelight/sidelight/console"
	"github.com/sidelight/sidelight/internal/app"
	"github.com/sidelight/sidelight/internal/config"
	"github.com/sidelight/sidelight/internal/logkey"
	"github.com/sidelight/sidelight/internal/pg"
	"github.com/sidelight/sidelight/internal/rpc"
	"github.com/sidelight/sidelight/internal/tlsreload"
	"github.com/sidelight/sidelight/processor"
	"github.com/sidelight/sidelight/standalone/internal/child"
)

// part is a service as the run group and the readiness check see it.
type part struct {
	name  string
	run   func(context.Context) error
	ready func() error
}

// services is what runs in the unprivileged child.
type services struct {
	env       childEnv
	listeners map[string]net.Listener
	secrets   secrets
	parts     []part
}

// secrets of this installation: the first is kept, the second is new with each start.
type secrets struct{ hashKey, uplinkToken config.Secret }

// runServices is the unprivileged child: its own Postgres, and every part but the agent.
func runServices(ctx context.Context, env childEnv) error {
	s := &services{env: env}
	if err := s.prepare(ctx); err != nil {
		return err
	}
	dsn := env.cfg.Database.DSN
	if dsn == "" {
		server := pg.NewServer(pg.ServerConfig{Dir: env.handover.Layout.Postgres(), Durable: true}, env.log.With(logkey.Part, "postgres"))
		if err := server.Start(ctx); err != nil {
			return err
		}
		// It outlives the services, which still write while they stop.
		defer func() { _ = server.Stop() }()
		dsn = config.Secret(server.DSN(pg.Database))
		s.parts = append(s.parts, part{"postgres", func(ctx context.Context) error { return untilPostgresEnds(ctx, server) }, func() error { return nil }})
	}
	if err := s.build(dsn); err != nil {
		return err
	}
	env.report.Report(child.Event{Name: "listening", Addresses: s.addresses()})
	tasks := make([]app.Task, 0, len(s.parts)+1)
	for _, p := range s.parts {
		tasks = append(tasks, app.Task{Name: p.name, Run: p.run})
	}
	tasks = append(tasks, app.Task{Name: "readiness", Run: func(ctx context.Context) error {
		return whenReady(ctx, s.ready, func() int { return 0 }, func(int) { env.report.Report(child.Event{Name: "ready"}) })
	}})
	return app.Run(ctx, tasks...)
}

func untilPostgresEnds(ctx context.Context, server *pg.Server) error {
	select {
	case <-ctx.Done():
		return nil
	case <-server.Done():
		return server.Err()
	}
}

// prepare opens the ports before anything starts, so that every part knows where the others are.
func (s *services) prepare(ctx context.Context) error {
	s.listeners = map[string]net.Listener{}
	for name, address := range map[string]string{
		"aggregator": loopback, "processor": loopback, "apidiscovery": loopback, "cloudsync": loopback, "uplink": loopback,
		"console": s.env.cfg.Console.Listen,
	} {
		listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
		if err != nil {
			return fmt.Errorf("opening the port of %s: %w (another address: console.listen)", name, err)
		}
		s.listeners[name] = listener
	}
	hashKey, err := keptSecret(s.env.handover.Layout.Secrets(), "hash-key")
	if err != nil {
		return err
	}
	token, err := newSecret()
	s.secrets = secrets{hashKey, token}
	return err
}

const loopback = "127.0.0.1:0"

func (s *services) addresses() map[string]string {
	all := map[string]string{}
	for name, listener := range s.listeners {
		all[name] = listener.Addr().String()
	}
	return all
}

func (s *services) client(name string) rpc.ClientConfig {
	return rpc.ClientConfig{Address: s.listeners[name].Addr().String()}
}

// source makes a part's own certificate source, and runs it beside the part.
func (s *services) source(name string) *tlsreload.Source {
	l := s.env.handover.Layout
	source := tlsreload.New(tlsreload.Config{Cert: l.Certificate(name), Key: l.Key(name), CA: l.CA(name)}, tlsreload.Deps{Log: s.env.log.With(logkey.Part, name)})
	s.parts = append(s.parts, part{name + " certificates", source.Run, source.Ready})
	return source
}

func (s *services) ready() error {
	for _, p := range s.parts {
		if err := p.ready(); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
	return nil
}

// build makes the parts, from the end of the line to its beginning.
func (s *services) build(dsn config.Secret) error {
	return errors.Join(s.console(dsn), s.cloudsync(), s.apidiscovery(dsn), s.processor(), s.aggregator())
}

func (s *services) console(dsn config.Secret) error {
	l := s.env.handover.Layout
	cfg := console.DefaultConfig()
	cfg.UI.Cert, cfg.UI.Key = l.Certificate("console"), l.Key("console")
	cfg.Uplink.Cert, cfg.Uplink.Key = cfg.UI.Cert, cfg.UI.Key
	cfg.UI.AllowedHosts = append(cfg.UI.AllowedHosts, s.env.cfg.Console.AllowedHosts...)
	if host, _, err := net.SplitHostPort(s.env.cfg.Console.Listen); err == nil && net.ParseIP(host) != nil && !net.ParseIP(host).IsUnspecified() {
		cfg.UI.AllowedHosts = append(cfg.UI.AllowedHosts, host)
	}
	cfg.Database = pg.DefaultConfig()
	cfg.Database.DSN = dsn
	cfg.BootstrapToken = s.secrets.uplinkToken
	cfg.Signer.Socket = l.SignerSocket()
	service, err := console.New(cfg, console.Deps{
		Log: s.env.log.With(logkey.Part, "console"), UIListener: s.listeners["console"], UplinkListener: s.listeners["uplink"],
		AdminSecret: func(secret string) { s.env.report.Report(child.Event{Name: "admin", Secret: secret}) },
	})
	if err != nil {
		return fmt.Errorf("console: %w", err)
	}
	s.parts = append(s.parts, part{"console", service.Run, service.Ready})
	return nil
}

func (s *services) cloudsync() error {
	cfg := cloudsync.DefaultConfig()
	cfg.Cluster = s.env.cfg.Cluster
	cfg.DataDir = s.env.handover.Layout.Journal()
	cfg.Console.Address = s.listeners["uplink"].Addr().String()
	cfg.Console.CA = s.env.handover.Layout.CA("console")
	cfg.Console.ServerName = "localhost"
	cfg.Console.Token = s.secrets.uplinkToken
	service, err := cloudsync.New(cfg, cloudsync.Deps{
		Log: s.env.log.With(logkey.Part, "cloudsync"), TLS: s.source("cloudsync"), Listener: s.listeners["cloudsync"],
	})
	if err != nil {
		return fmt.Errorf("cloudsync: %w", err)
	}
	s.parts = append(s.parts, part{"cloudsync", service.Run, service.Ready})
	return nil
}

func (s *services) apidiscovery(dsn config.Secret) error {
	cfg := apidiscovery.DefaultConfig()
	cfg.Cluster = s.env.cfg.Cluster
	cfg.Database = pg.DefaultConfig()
	cfg.Database.DSN = dsn
	cfg.CloudSync = s.client("cloudsync")
	// On one host a second's delay is what a person notices, and one more small write is not.
	cfg.PushCountersEvery = config.Duration(time.Second)
	cfg.Admission.Requests = s.env.cfg.Inventory.MinRequests
	service, err := apidiscovery.New(cfg, apidiscovery.Deps{
		Log: s.env.log.With(logkey.Part, "apidiscovery"), TLS: s.source("apidiscovery"), Listener: s.listeners["apidiscovery"],
	})
	if err != nil {
		return fmt.Errorf("apidiscovery: %w", err)
	}
	s.parts = append(s.parts, part{"apidiscovery", service.Run, service.Ready})
	return nil
}

func (s *services) processor() error {
	cfg := processor.DefaultConfig()
	cfg.Cluster = s.env.cfg.Cluster
	cfg.CloudSync, cfg.APIDiscovery = s.client("cloudsync"), s.client("apidiscovery")
	cfg.Inspect.HashKey = s.secrets.hashKey
	service, err := processor.New(cfg, processor.Deps{
		Log: s.env.log.With(logkey.Part, "processor"), TLS: s.source("processor"), Listener: s.listeners["processor"],
	})
	if err != nil {
		return fmt.Errorf("processor: %w", err)
	}
	s.parts = append(s.parts, part{"processor", service.Run, service.Ready})
	return nil
}

func (s *services) aggregator() error {
	cfg := aggregator.DefaultConfig()
	cfg.Cluster = s.env.cfg.Cluster
	cfg.TrustedProxies = s.env.cfg.TrustedProxies
	cfg.Processor, cfg.Cloudsync = s.client("processor"), s.client("cloudsync")
	service, err := aggregator.New(cfg, aggregator.Deps{
		Log: s.env.log.With(logkey.Part, "aggregator"), TLS: s.source("aggregator"), Listener: s.listeners["aggregator"],
	})
	if err != nil {
		return fmt.Errorf("aggregator: %w", err)
	}
	s.parts = append(s.parts, part{"aggregator", service.Run, service.Ready})
	return nil
}
