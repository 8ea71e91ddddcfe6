// Command apidiscovery finds the API in the traffic.
package main

import (
	"context"
	"errors"
	"log/slog"
	"os"

	"github.com/sidelight/sidelight/internal/app"
	"github.com/sidelight/sidelight/internal/logging"

	"github.com/sidelight/sidelight/apidiscovery"
)

func main() {
	os.Exit(app.Main(app.Service[apidiscovery.Config]{
		Name:     "apidiscovery",
		Defaults: apidiscovery.DefaultConfig,
		Validate: func(c apidiscovery.Config) error { return errors.Join(c.Validate(), c.TLS.Validate()) },
		Log:      func(c apidiscovery.Config) logging.Config { return c.Log },
		Run: func(ctx context.Context, cfg apidiscovery.Config, log *slog.Logger) error {
			s, err := apidiscovery.New(cfg, apidiscovery.Deps{Log: log})
			if err != nil {
				return err
			}
			return s.Run(ctx)
		},
	}, os.Args[1:], os.Stdout, os.Stderr))
}
