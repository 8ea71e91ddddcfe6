// Package standalone runs every part of Sidelight on one host. The launcher keeps the certificate authority and the policy
// key, and starts two children: the services, as an unprivileged user, and the agent, with the few capabilities that it needs.
package standalone

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"

	"github.com/sidelight/sidelight/agent"
	"github.com/sidelight/sidelight/console"
	"github.com/sidelight/sidelight/internal/app"
	"github.com/sidelight/sidelight/internal/logkey"
	"github.com/sidelight/sidelight/standalone/internal/authority"
	"github.com/sidelight/sidelight/standalone/internal/child"
	"github.com/sidelight/sidelight/standalone/internal/layout"
)

// Deps is what a launcher needs from its caller.
type Deps struct {
	Log *slog.Logger
	// Output takes what the children log; nil = standard error.
	Output *os.File
	// Up is called when the services are ready, and again whenever the number of mirrored processes changes.
	Up func(State)
}

// State is what a person is told once it runs.
type State struct {
	ConsoleURL string
	// AdminSecret signs in the first time; empty when a password was set in an earlier life.
	AdminSecret string
	// Addresses of the parts, by name.
	Addresses map[string]string
	// Mirrored counts the selected processes.
	Mirrored int

	// The services are ready; the agent is connected, and attached if anything is selected.
	ready, watching bool
}

// Launcher starts the children and ends with the first of them.
type Launcher struct {
	cfg       Config
	deps      Deps
	layout    layout.Layout
	authority *authority.Authority
	signer    *console.Signer

	mu    sync.Mutex
	state State
}

// New prepares a launcher; Run does the work.
func New(cfg Config, deps Deps) (*Launcher, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("sidelight run needs root: the agent's child keeps a few capabilities, everything else drops to an ordinary user (try sudo)")
	}
	owner, err := layout.FindOwner(cfg.User)
	if err != nil {
		return nil, err
	}
	l := layout.Layout{Root: cfg.DataDir, Owner: owner}
	ca, err := authority.New(l, parts(cfg), deps.Log)
	if err != nil {
		return nil, err
	}
	signs, err := signer(l, deps.Log)
	if err != nil {
		return nil, err
	}
	return &Launcher{cfg: cfg, deps: deps, layout: l, authority: ca, signer: signs}, nil
}

// signer signs policy in this process, with a key that only root can read: the services have no more than its socket.
func signer(l layout.Layout, log *slog.Logger) (*console.Signer, error) {
	cfg := console.DefaultSignerConfig()
	cfg.Socket, cfg.DataDir, cfg.AllowUID = l.SignerSocket(), l.Signer(), l.Owner.UID
	s, err := console.NewSigner(cfg, console.SignerDeps{Log: log.With(logkey.Part, "signer")})
	if err != nil {
		return nil, fmt.Errorf("signer: %w", err)
	}
	return s, nil
}

// parts are the certificate holders. The console's serves browsers too.
func parts(cfg Config) []authority.Part {
	local := []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	console := authority.Part{Name: "console", DNSNames: []string{"localhost"}, IPs: local}
	if host, _, err := net.SplitHostPort(cfg.Console.Listen); err == nil {
		if ip := net.ParseIP(host); ip != nil && !ip.IsLoopback() && !ip.IsUnspecified() {
			console.IPs = append(console.IPs, ip)
		}
	}
	console.DNSNames = append(console.DNSNames, cfg.Console.AllowedHosts...)
	list := []authority.Part{console}
	for _, name := range []string{"agent", "aggregator", "processor", "apidiscovery", "cloudsync"} {
		list = append(list, authority.Part{Name: name, DNSNames: []string{name, "localhost"}, IPs: local})
	}
	return list
}

// Run is up until ctx ends or a child does, and leaves no process behind.
func (l *Launcher) Run(ctx context.Context) error {
	names := make([]string, 0, 6)
	for _, part := range parts(l.cfg) {
		names = append(names, part.Name)
	}
	if err := l.layout.Make(names); err != nil {
		return err
	}
	if err := l.authority.Issue(); err != nil {
		return err
	}
	defer os.RemoveAll(l.layout.Run())

	listening := make(chan map[string]string, 1)
	return app.Run(ctx,
		app.Task{Name: "certificates", Run: l.authority.Run},
		app.Task{Name: "operators", Run: func(ctx context.Context) error {
			return l.authority.Serve(ctx, l.layout.OperatorSocket(), l.addresses)
		}},
		app.Task{Name: "signer", Run: l.signer.Run},
		app.Task{Name: "services", Run: func(ctx context.Context) error { return l.services(ctx, listening) }},
		app.Task{Name: "agent", Run: func(ctx context.Context) error { return l.agent(ctx, listening) }},
	)
}

// services runs the unprivileged child.
func (l *Launcher) services(ctx context.Context, listening chan<- map[string]string) error {
	return child.Run(ctx, child.Spec{
		Name: "services", UID: l.layout.Owner.UID, GID: l.layout.Owner.GID,
		Output: l.deps.Output,
		Config: handover{Config: asPlain(l.cfg), Layout: l.layout},
		OnEvent: func(event child.Event) {
			switch event.Name {
			case "listening":
				l.update(func(s *State) {
					s.Addresses = event.Addresses
					s.ConsoleURL = "https://" + event.Addresses["console"]
				})
				listening <- event.Addresses
			case "admin":
				l.update(func(s *State) { s.AdminSecret = event.Secret })
			case "ready":
				l.update(func(s *State) { s.ready = true })
				l.announce()
			}
		},
	})
}

// agent runs the child with capabilities, once it is known where the aggregator listens.
func (l *Launcher) agent(ctx context.Context, listening <-chan map[string]string) error {
	var addresses map[string]string
	select {
	case <-ctx.Done():
		return nil
	case addresses = <-listening:
	}
	return child.Run(ctx, child.Spec{
		Name: "agent", UID: l.layout.Owner.UID, GID: l.layout.Owner.GID, Capabilities: agent.Capabilities(), LockMemory: true,
		Output: l.deps.Output,
		Config: handover{Config: asPlain(l.cfg), Layout: l.layout, Addresses: addresses},
		OnEvent: func(event child.Event) {
			if event.Name == "mirrored" {
				l.update(func(s *State) { s.Mirrored, s.watching = event.Processes, true })
				l.announce()
			}
		},
	})
}

func (l *Launcher) update(change func(*State)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change(&l.state)
}

func (l *Launcher) announce() {
	l.mu.Lock()
	state := l.state
	l.mu.Unlock()
	if l.deps.Up != nil && state.ready && state.watching {
		l.deps.Up(state)
	}
}

func (l *Launcher) addresses() map[string]string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state.Addresses
}

// Operator issues read-only credentials for this launcher's caller.
func (l *Launcher) Operator() (Credentials, error) {
	credentials, err := l.authority.Operator()
	if err != nil {
		return Credentials{}, fmt.Errorf("operator credentials: %w", err)
	}
	credentials.Addresses = l.addresses()
	return credentials, nil
}

// Credentials lets a person's tool read: a certificate, its key, the bundle that verifies the parts.
type Credentials = authority.Credentials

// FetchCredentials asks a running launcher over its local socket.
func FetchCredentials(ctx context.Context, dataDir string) (Credentials, error) {
	return authority.Fetch(ctx, layout.Layout{Root: dataDir}.OperatorSocket())
}
