// Command processor judges mirrored requests.
package main

import (
	"context"
	"errors"
	"log/slog"
	"os"

	"github.com/sidelight/sidelight/internal/app"
	"github.com/sidelight/sidelight/internal/logging"

	"github.com/sidelight/sidelight/processor"
)

func main() {
	os.Exit(app.Main(app.Service[processor.Config]{
		Name:     "processor",
		Defaults: processor.DefaultConfig,
		Validate: func(c processor.Config) error { return errors.Join(c.Validate(), c.TLS.Validate()) },
		Log:      func(c processor.Config) logging.Config { return c.Log },
		Run: func(ctx context.Context, cfg processor.Config, log *slog.Logger) error {
			s, err := processor.New(cfg, processor.Deps{Log: log})
			if err != nil {
				return err
			}
			return s.Run(ctx)
		},
	}, os.Args[1:], os.Stdout, os.Stderr))
}
