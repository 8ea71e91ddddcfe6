package cloudsync

import (
	"context"
	"fmt"

	consolev1 "github.com/sidelight/sidelight/proto/gen/sidelight/console/v1"

	"github.com/sidelight/sidelight/internal/app"
	"github.com/sidelight/sidelight/internal/telemetry"

	"github.com/sidelight/sidelight/cloudsync/internal/installation"
	"github.com/sidelight/sidelight/cloudsync/internal/journal"
	"github.com/sidelight/sidelight/cloudsync/internal/policy"
	"github.com/sidelight/sidelight/cloudsync/internal/upload"
)

// outbound is what speaks to the console: nothing, without one.
type outbound struct {
	tasks []app.Task
	close func()
}

// prepare takes what the last life has left, and makes the lanes to the console.
func (s *Service) prepare(j *journal.Journal) (outbound, error) {
	out := outbound{close: func() {}}
	if err := s.agents.Load(); err != nil {
		return out, err
	}
	// A policy stays in force where no console is configured any more.
	pin, err := installation.Pinned(s.cfg.DataDir)
	if err != nil {
		return out, err
	}
	if err := s.policies.Open(pin); err != nil {
		return out, err
	}
	if s.cfg.Console.Address == "" {
		return out, nil
	}
	conn, err := upload.Dial(upload.Target{Address: s.cfg.Console.Address, CA: s.cfg.Console.CA, ServerName: s.cfg.Console.ServerName})
	if err != nil {
		return out, err
	}
	out.close = func() { _ = conn.Close() }
	console := consolev1.NewUplinkServiceClient(conn)
	account, err := installation.Load(
		installation.Config{Dir: s.cfg.DataDir, Token: s.cfg.Console.Token, Cluster: s.cfg.Cluster, Version: telemetry.Version()},
		installation.Deps{Console: console, Registered: func(pin installation.Pin) { s.policies.Pin(pin); s.agents.TellAgain() }})
	if err != nil {
		out.close()
		return out, fmt.Errorf("the account with the console: %w", err)
	}
	u := upload.New(upload.Deps{
		Console: console, Account: account, Journal: j, Statuses: s.statuses, Intervals: s.agents, Log: s.deps.Log, Losses: s.losses,
	})
	s.uploader.Store(u)
	lane := policy.NewLane(policy.LaneDeps{Console: console, Account: account, Store: s.policies, Log: s.deps.Log})
	out.tasks = []app.Task{{Name: "upload", Run: u.Run}, {Name: "policy", Run: lane.Run}}
	return out, nil
}

// notes are the journal's, once it is open.
type notes struct {
	open func() (*journal.Journal, error)
}

func (n notes) Notes() (map[string][]byte, error) {
	j, err := n.open()
	if err != nil {
		return nil, err
	}
	return j.Notes()
}

func (n notes) PutNotes(ctx context.Context, changes map[string][]byte) error {
	j, err := n.open()
	if err != nil {
		return err
	}
	return j.PutNotes(ctx, changes)
}
