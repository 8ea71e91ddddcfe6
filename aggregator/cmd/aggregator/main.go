// Command aggregator takes what agents mirror and hands it on.
package main

import (
	"context"
	"errors"
	"log/slog"
	"os"

	"github.com/sidelight/sidelight/internal/app"
	"github.com/sidelight/sidelight/internal/logging"

	"github.com/sidelight/sidelight/aggregator"
)

func main() {
	os.Exit(app.Main(app.Service[aggregator.Config]{
		Name:     "aggregator",
		Defaults: aggregator.DefaultConfig,
		Validate: func(c aggregator.Config) error { return errors.Join(c.Validate(), c.TLS.Validate()) },
		Log:      func(c aggregator.Config) logging.Config { return c.Log },
		Run: func(ctx context.Context, cfg aggregator.Config, log *slog.Logger) error {
			s, err := aggregator.New(cfg, aggregator.Deps{Log: log})
			if err != nil {
				return err
			}
			return s.Run(ctx)
		},
	}, os.Args[1:], os.Stdout, os.Stderr))
}
