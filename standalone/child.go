package standalone

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/sidelight/sidelight/internal/app"
	"github.com/sidelight/sidelight/internal/logging"
	"github.com/sidelight/sidelight/standalone/internal/child"
)

// ChildVerb is the hidden first argument under which the launcher starts this program again.
const ChildVerb = child.Verb

// RunChild is the process of one child, by name. It reports its failure to the launcher, which tells it to the person.
func RunChild(ctx context.Context, name string, stderr io.Writer) error {
	app.NoCore()
	var told handover
	if err := child.Config(&told); err != nil {
		return err
	}
	report := child.NewReporter()
	run, known := map[string]func(context.Context, childEnv) error{"services": runServices, "agent": runAgent}[name]
	if !known {
		return fmt.Errorf("there is no child named %q", name)
	}
	cfg, err := told.Config.config()
	if err == nil {
		err = run(ctx, childEnv{cfg: cfg, handover: told, log: logging.New(cfg.Log, stderr), report: report})
	}
	if err != nil {
		report.Report(child.Event{Name: "failed", Cause: err.Error()})
	}
	return err
}

// childEnv is what a child's run function works with.
type childEnv struct {
	cfg      Config
	handover handover
	log      *slog.Logger
	report   *child.Reporter
}

// pollReady is how often a child looks whether its parts are ready.
const pollReady = 50 * time.Millisecond

// whenReady calls do once all are ready, and again whenever `changed` differs from what it was.
func whenReady(ctx context.Context, ready func() error, state func() int, do func(int)) error {
	ticker := time.NewTicker(pollReady)
	defer ticker.Stop()
	last, told := 0, false
	for {
		if ready() == nil {
			if n := state(); !told || n != last {
				last, told = n, true
				do(n)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}
