// Package demo is the verb `demo`: the whole of Sidelight on this host, a shop behind a real nginx, and a table that
// holds what was seen against what was sent.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/sidelight/sidelight/cli/table"
	"github.com/sidelight/sidelight/internal/app"
	"github.com/sidelight/sidelight/internal/logging"

	"github.com/sidelight/sidelight/standalone"
)

type options struct {
	seed    uint64
	filters string
	stay    bool
	idle    bool
	listen  string
}

type demo struct {
	opts     options
	out, err io.Writer
	started  time.Time
}

func newDemo(opts options, out, err io.Writer) *demo {
	return &demo{opts: opts, out: out, err: err}
}

// run leaves nothing behind: all that it makes is in one folder, which it removes.
func (d *demo) run(ctx context.Context) (err error) {
	d.started = time.Now()
	fmt.Fprintf(d.out, "seed %d (again: make demo SEED=%d)\n", d.opts.seed, d.opts.seed)
	dir, err := os.MkdirTemp("", "sidelight-demo-")
	if err != nil {
		return fmt.Errorf("making the demo's folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	// nginx's workers and the services are other users.
	if err := os.Chmod(dir, 0o755); err != nil {
		return fmt.Errorf("opening the demo's folder to its own processes: %w", err)
	}
	logFile, err := os.Create(filepath.Join(dir, "sidelight.log"))
	if err != nil {
		return fmt.Errorf("making the demo's log: %w", err)
	}
	defer logFile.Close()
	defer func() {
		if err != nil && ctx.Err() == nil {
			d.lastWords(logFile.Name())
		}
	}()
	site, err := newSite(ctx, dir)
	if err != nil {
		return err
	}
	// nginx has them by then, if it was started.
	defer func() { err = errors.Join(err, site.close()) }()
	upstream, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("opening a port for the shop: %w", err)
	}
	cfg, err := d.config(dir, site)
	if err != nil {
		return err
	}
	up := make(chan standalone.State, 16)
	launcher, err := standalone.New(cfg, standalone.Deps{
		Log: logging.New(cfg.Log, logFile), Output: logFile,
		Up: func(s standalone.State) { up <- s },
	})
	if err != nil {
		return errors.Join(err, upstream.Close())
	}
	var verdict failure
	err = app.Run(ctx,
		app.Task{Name: "shop", Run: func(ctx context.Context) error { return site.runShop(ctx, upstream) }},
		app.Task{Name: "nginx", Run: func(ctx context.Context) error { return site.runNginx(ctx, upstream.Addr().String()) }},
		app.Task{Name: "sidelight", Run: launcher.Run},
		app.Task{Name: "demo", Run: func(ctx context.Context) error {
			if err := waitFor(ctx, site.address); err != nil {
				return err
			}
			err := d.act(ctx, site, launcher, up)
			if err != nil && !errors.As(err, &verdict) {
				// Something the demo talks to went away: whoever it was says so soon.
				awaitCause(ctx)
			}
			return err
		}},
	)
	if verdict != "" {
		return verdict
	}
	return err
}

// failure is the demo's own: what it saw is not what it should have seen.
type failure string

func (f failure) Error() string { return string(f) }

// awaitCause waits for a part to end, as long as parts may take for it.
func awaitCause(ctx context.Context) {
	timer := time.NewTimer(15 * time.Second)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

func (d *demo) config(dir string, site *site) (standalone.Config, error) {
	cfg := standalone.DefaultConfig()
	cfg.DataDir = filepath.Join(dir, "data")
	cfg.Cluster = "demo"
	cfg.Console.Listen = d.opts.listen
	cfg.Log.Format = "text"
	if d.opts.filters == "nginx" {
		mirror, err := standalone.MirrorPort("nginx", site.address)
		if err != nil {
			return cfg, err
		}
		cfg.Mirror = mirror
	}
	return cfg, cfg.Validate()
}

// lastWords shows the end of the log, so that a failure can be understood though its folder is gone.
func (d *demo) lastWords(log string) {
	text, err := os.ReadFile(log)
	if err != nil || len(text) == 0 {
		return
	}
	const most = 3000
	if len(text) > most {
		text = text[len(text)-most:]
	}
	fmt.Fprintf(d.err, "the log ended with:\n%s\n", text)
}

// settle is how long nothing new must come until what is missing counts as not seen.
const settle = 5 * time.Second

func (d *demo) act(ctx context.Context, site *site, launcher *standalone.Launcher, up <-chan standalone.State) error {
	state, err := awaitState(ctx, up, d.opts.filters != "none")
	if err != nil {
		return err
	}
	fmt.Fprintf(d.out, "up after %s: console %s, shop behind nginx %s, %d processes mirrored\n",
		time.Since(d.started).Round(time.Millisecond), state.ConsoleURL, "http://"+site.address+" and https://"+site.tlsAddress, state.Mirrored)
	list, err := table.Plan(d.opts.seed)
	if err != nil {
		return err
	}
	s := &stage{demo: d, site: site, launcher: launcher, state: state, list: list, watcher: table.NewWatcher()}
	return s.play(ctx)
}

// awaitState waits for the services, and for the agent to watch something if it shall.
func awaitState(ctx context.Context, up <-chan standalone.State, wantMirrored bool) (standalone.State, error) {
	for {
		select {
		case <-ctx.Done():
			return standalone.State{}, context.Cause(ctx)
		case state := <-up:
			if !wantMirrored || state.Mirrored > 0 {
				return state, nil
			}
		}
	}
}
