package standalone

import (
	"context"
	"fmt"
	"net"
	"strconv"

	"github.com/sidelight/sidelight/agent"
	"github.com/sidelight/sidelight/internal/app"
	"github.com/sidelight/sidelight/internal/logkey"
	"github.com/sidelight/sidelight/internal/tlsreload"
	"github.com/sidelight/sidelight/standalone/internal/child"
)

// runAgent is the child with capabilities.
func runAgent(ctx context.Context, env childEnv) error {
	if err := agent.Confine(env.log); err != nil {
		return fmt.Errorf("confining the agent: %w", err)
	}
	cfg := agent.DefaultConfig()
	cfg.Cluster = env.cfg.Cluster
	cfg.Mirror = env.cfg.Mirror
	cfg.Aggregator.Address = env.handover.Addresses["aggregator"]
	l := env.handover.Layout
	cfg.TLS = tlsreload.Config{Cert: l.Certificate("agent"), Key: l.Key("agent"), CA: l.CA("agent")}
	a, err := agent.New(cfg, agent.Deps{Log: env.log.With(logkey.Part, "agent")})
	if err != nil {
		return err
	}
	return app.Run(ctx,
		app.Task{Name: "agent", Run: a.Run},
		app.Task{Name: "readiness", Run: func(ctx context.Context) error {
			return whenReady(ctx, a.Ready, a.Mirrored, func(n int) { env.report.Report(child.Event{Name: "mirrored", Processes: n}) })
		}})
}

// MirrorPort selects the processes of one executable that listen on one address.
func MirrorPort(executable, address string) (agent.Mirror, error) {
	_, text, err := net.SplitHostPort(address)
	if err != nil {
		return agent.Mirror{}, fmt.Errorf("address %q: %w", address, err)
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return agent.Mirror{}, fmt.Errorf("address %q: %w", address, err)
	}
	return agent.MirrorPort(executable, uint16(port)), nil
}
