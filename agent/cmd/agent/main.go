// Command agent mirrors the HTTP traffic of chosen processes of its host.
package main

import (
	"context"
	"log/slog"
	"os"

	"github.com/sidelight/sidelight/agent"
	"github.com/sidelight/sidelight/internal/app"
	"github.com/sidelight/sidelight/internal/logging"
)

func main() {
	os.Exit(app.Main(app.Service[agent.Config]{
		Name:     "agent",
		Defaults: agent.DefaultConfig,
		Validate: agent.Config.Validate,
		Log:      func(c agent.Config) logging.Config { return c.Log },
		Run: func(ctx context.Context, cfg agent.Config, log *slog.Logger) error {
			if err := agent.ReduceCapabilities(); err != nil {
				return err
			}
			if err := agent.Confine(log); err != nil {
				return err
			}
			a, err := agent.New(cfg, agent.Deps{Log: log})
			if err != nil {
				return err
			}
			return a.Run(ctx)
		},
	}, os.Args[1:], os.Stdout, os.Stderr))
}
