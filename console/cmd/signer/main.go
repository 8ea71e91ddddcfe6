// Command signer signs policy for the console, in a process of its own.
package main

import (
	"context"
	"log/slog"
	"os"

	"github.com/sidelight/sidelight/console"
	"github.com/sidelight/sidelight/internal/app"
	"github.com/sidelight/sidelight/internal/logging"
)

func main() {
	os.Exit(app.Main(app.Service[console.SignerConfig]{
		Name:     "signer",
		Defaults: console.DefaultSignerConfig,
		Validate: console.SignerConfig.Validate,
		Log:      func(c console.SignerConfig) logging.Config { return c.Log },
		Run:      run,
	}, os.Args[1:], os.Stdout, os.Stderr))
}

func run(ctx context.Context, cfg console.SignerConfig, log *slog.Logger) error {
	s, err := console.NewSigner(cfg, console.SignerDeps{Log: log})
	if err != nil {
		return err
	}
	return s.Run(ctx)
}
