// Command console runs the self-hosted cloud of Sidelight.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"

	"github.com/sidelight/sidelight/console"
	"github.com/sidelight/sidelight/internal/app"
	"github.com/sidelight/sidelight/internal/logging"
)

func main() {
	os.Exit(app.Main(app.Service[console.Config]{
		Name:     "console",
		Defaults: console.DefaultConfig,
		Validate: console.Config.Validate,
		Log:      func(c console.Config) logging.Config { return c.Log },
		Run:      run,
	}, os.Args[1:], os.Stdout, os.Stderr))
}

func run(ctx context.Context, cfg console.Config, log *slog.Logger) error {
	s, err := console.New(cfg, console.Deps{Log: log, AdminSecret: show})
	if err != nil {
		return err
	}
	return s.Run(ctx)
}

// show goes beside the log: the secret is for the person who reads the start, not for log storage's fields.
func show(secret string) {
	fmt.Fprintf(os.Stderr, "\n  Sign in as admin with the one-time secret  %s  (once, within 15 minutes)\n\n", secret)
}
