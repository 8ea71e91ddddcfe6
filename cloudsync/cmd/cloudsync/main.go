// Command cloudsync keeps the attack record of its cluster and uploads it to a console.
package main

import (
	"context"
	"errors"
	"log/slog"
	"os"

	"github.com/sidelight/sidelight/cloudsync"
	"github.com/sidelight/sidelight/internal/app"
	"github.com/sidelight/sidelight/internal/logging"
)

func main() {
	os.Exit(app.Main(app.Service[cloudsync.Config]{
		Name:     "cloudsync",
		Defaults: cloudsync.DefaultConfig,
		Validate: func(c cloudsync.Config) error { return errors.Join(c.Validate(), c.TLS.Validate()) },
		Log:      func(c cloudsync.Config) logging.Config { return c.Log },
		Run: func(ctx context.Context, cfg cloudsync.Config, log *slog.Logger) error {
			s, err := cloudsync.New(cfg, cloudsync.Deps{Log: log})
			if err != nil {
				return err
			}
			return s.Run(ctx)
		},
	}, os.Args[1:], os.Stdout, os.Stderr))
}
