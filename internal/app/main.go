package app

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"go.yaml.in/yaml/v3"

	"github.com/sidelight/sidelight/internal/config"
	"github.com/sidelight/sidelight/internal/logging"
	"github.com/sidelight/sidelight/internal/logkey"
	"github.com/sidelight/sidelight/internal/telemetry"
)

// Service is what a service's main hands to Main.
type Service[C any] struct {
	Name     string
	Defaults func() C
	// Validate reports all problems joined.
	Validate func(C) error
	Log      func(C) logging.Config
	Run      func(ctx context.Context, cfg C, log *slog.Logger) error
}

// Exit codes.
const (
	exitGood   = 0
	exitFailed = 1
	exitUsage  = 2
)

// Main is a service's whole process: flags, configuration, logger, signals. It returns the exit code: 0 good, 1 failed,
// 2 bad flags or configuration.
func Main[C any](s Service[C], args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet(s.Name, flag.ContinueOnError)
	flags.SetOutput(stderr)
	file := flags.String("config", "", "configuration file (YAML)")
	verify := flags.Bool("config.verify", false, "check the configuration and end")
	printDefaults := flags.Bool("config.print-defaults", false, "print the defaults and end")
	version := flags.Bool("version", false, "print the version and end")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return exitGood
		}
		return exitUsage
	}
	if flags.NArg() > 0 {
		fmt.Fprintf(stderr, "%s takes no arguments, got %q\n", s.Name, flags.Args())
		return exitUsage
	}
	NoCore()
	cfg := s.Defaults()
	switch {
	case *version:
		fmt.Fprintln(stdout, s.Name, telemetry.Version())
		return exitGood
	case *printDefaults:
		if err := yaml.NewEncoder(stdout).Encode(cfg); err != nil {
			fmt.Fprintln(stderr, err)
			return exitFailed
		}
		return exitGood
	}
	if err := load(*file, &cfg, s.Validate); err != nil {
		for line := range strings.SplitSeq(err.Error(), "\n") {
			fmt.Fprintln(stderr, line)
		}
		return exitUsage
	}
	if *verify {
		fmt.Fprintln(stdout, "the configuration is good")
		return exitGood
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	log := logging.New(s.Log(cfg), stderr).With(logkey.Part, s.Name)
	log.Info("starting", logkey.Version, telemetry.Version())
	if err := s.Run(ctx, cfg, log); err != nil {
		log.Error("stopped", logkey.Error, err)
		return exitFailed
	}
	log.Info("stopped")
	return exitGood
}

func load[C any](file string, cfg *C, validate func(C) error) error {
	if file != "" {
		if err := config.Load(file, cfg); err != nil {
			return err
		}
	}
	return validate(*cfg)
}
