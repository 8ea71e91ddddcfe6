// Package agent mirrors the HTTP traffic of chosen processes of its host: the kernel's events become exchanges, which go to
// an aggregator.
package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/sidelight/sidelight/agent/internal/budget"
	"github.com/sidelight/sidelight/agent/internal/coverage"
	"github.com/sidelight/sidelight/agent/internal/exchange"
	"github.com/sidelight/sidelight/agent/internal/library"
	"github.com/sidelight/sidelight/agent/internal/probe"
	"github.com/sidelight/sidelight/agent/internal/ship"
	"github.com/sidelight/sidelight/agent/internal/stream"
	"github.com/sidelight/sidelight/agent/internal/target"
	"github.com/sidelight/sidelight/internal/app"
	"github.com/sidelight/sidelight/internal/logkey"
	"github.com/sidelight/sidelight/internal/losses"
	"github.com/sidelight/sidelight/internal/opsport"
	"github.com/sidelight/sidelight/internal/rpc"
	"github.com/sidelight/sidelight/internal/telemetry"
	"github.com/sidelight/sidelight/internal/tlsreload"
	aggregatorv1 "github.com/sidelight/sidelight/proto/gen/sidelight/aggregator/v1"
	statusv1 "github.com/sidelight/sidelight/proto/gen/sidelight/status/v1"
	trafficv1 "github.com/sidelight/sidelight/proto/gen/sidelight/traffic/v1"
)

// Deps is what an agent is given from outside.
type Deps struct {
	Log *slog.Logger
	// TLS is optional: else it is made from the configuration.
	TLS *tlsreload.Source
}

// Agent is one host's agent.
type Agent struct {
	cfg  Config
	log  *slog.Logger
	tls  *tlsreload.Source
	ours bool // the TLS source is ours to run

	meters   *telemetry.Provider
	losses   *losses.Losses
	conn     *grpc.ClientConn
	probe    *probe.Probe
	targets  *target.Watcher
	library  *library.Watcher
	budget   *budget.Thermostat
	table    *stream.Table
	shipper  *ship.Shipper
	coverage *coverage.Report
	ops      *opsport.Server

	policy   obedience
	rings    rings
	started  time.Time
	selected atomic.Int64
	// watched is when programs were first attached with a target.
	watched atomic.Pointer[time.Time]
	// scanned: the first look at processes was acted on.
	scanned atomic.Bool
	shed    shedder
}

// New puts an agent together; it does nothing until Run.
func New(cfg Config, deps Deps) (*Agent, error) {
	meters, err := telemetry.New("agent", telemetry.Version())
	if err != nil {
		return nil, err
	}
	a := &Agent{cfg: cfg, log: deps.Log, tls: deps.TLS, meters: meters, losses: losses.NewLosses(meters.Meter(), "agent"), started: time.Now()}
	if a.tls == nil {
		a.tls, a.ours = tlsreload.New(cfg.TLS, tlsreload.Deps{Log: deps.Log, Meter: meters.Meter()}), true
	}
	if a.conn, err = rpc.Dial(cfg.Aggregator, rpc.ClientDeps{TLS: a.tls, Server: "aggregator", Extra: ship.DialOptions()}); err != nil {
		return nil, err
	}
	boot := bootID(cfg.ProcRoot)
	a.probe = probe.New(cfg.Capture.probe(), deps.Log)
	a.targets = target.New(target.Config{Filters: cfg.Mirror.Filters, ProcRoot: cfg.ProcRoot, Stray: a.probe.Drop}, deps.Log)
	a.library = library.New(library.Config{ProcRoot: cfg.ProcRoot, Every: library.DefaultConfig().Every}, deps.Log, a.probe)
	a.rings = newRings(a.probe, deps.Log)
	a.coverage = coverage.New(cfg.Cluster, cfg.Node, a.targets, sight{a})
	a.shipper = ship.New(a.shipConfig(), ship.Deps{
		Log: deps.Log, Client: aggregatorv1.NewMirrorServiceClient(a.conn), Losses: a.losses,
		Hello: &aggregatorv1.Hello{Node: cfg.Node, BootId: boot, Version: telemetry.Version(), StartedAt: timestamppb.New(a.started)},
		Mono:  probe.Monotonic, Added: a.added, Status: a.status, Policy: a.obey,
	})
	builder := exchange.New(exchange.Config{BootID: boot}, a.shipper.Take)
	a.table = stream.NewTable(stream.DefaultConfig(), stream.Deps{Builder: builder, Losses: a.losses, Workload: a.coverage.Workload})
	a.budget = budget.New(cfg.Budget, budget.Deps{
		Log: deps.Log, Ceiling: cfg.Capture.ceiling(), Apply: a.keepTo,
		Lost: func() uint64 { return a.probe.Stats().RingFull }, Fill: a.probe.Fill, Exchanges: a.began,
	})
	a.ops = opsport.New(cfg.Ops, opsport.Deps{Log: deps.Log, Metrics: meters.Handler(), Ready: a.Ready, Status: func() any { return a.status() }})
	return a, nil
}

func (a *Agent) shipConfig() ship.Config {
	cfg := ship.DefaultConfig()
	cfg.BufferBytes = int(a.cfg.Capture.Buffer)
	return cfg
}

// Run mirrors until ctx ends, and then closes what is open and waits a little for acknowledgements.
func (a *Agent) Run(ctx context.Context) error {
	debug.SetMemoryLimit(int64(a.cfg.Capture.MemoryLimit))
	// What lives is small beside what an exchange leaves behind: half the collections for a few MiB.
	debug.SetGCPercent(200)
	// The stream to the aggregator ends after the last exchange was made.
	shipCtx, stopShip := context.WithCancel(context.WithoutCancel(ctx))
	defer stopShip()
	shipped := make(chan error, 1)
	go func() { shipped <- a.shipper.Run(shipCtx) }()

	tasks := []app.Task{
		{Name: "targets", Run: func(ctx context.Context) error { return a.targets.Run(ctx, a.retarget) }},
		{Name: "probe", Run: func(ctx context.Context) error {
			return a.probe.Run(ctx, probe.Handlers{Event: a.table.Handle, Idle: a.tick, Notice: a.notice})
		}},
		{Name: "libraries", Run: a.library.Run},
		{Name: "io_uring", Run: a.rings.run},
		{Name: "budget", Run: a.budget.Run},
		{Name: "deadlines", Run: a.deadlines},
		{Name: "ops", Run: a.ops.Run},
	}
	if a.ours {
		tasks = append(tasks, app.Task{Name: "certificates", Run: a.tls.Run})
	}
	err := app.Run(ctx, tasks...)
	a.table.CloseAll(trafficv1.CloseReason_CLOSE_REASON_AGENT_STOP)
	stopShip()
	return errors.Join(err, <-shipped, a.conn.Close(), a.meters.Shutdown(context.WithoutCancel(ctx)))
}

// librariesWithin bounds the wait for the libraries of new processes; they get their probes later then.
const librariesWithin = 2 * time.Second

// retarget acts on a new set of processes.
func (a *Agent) retarget(set []target.Selected) error {
	list, pids := make([]probe.Target, 0, len(set)), make([]uint32, 0, len(set))
	for _, p := range set {
		list, pids = append(list, probe.Target{Tgid: p.PID, Ports: p.Ports}), append(pids, p.PID)
	}
	if err := a.probe.SetTargets(list); err != nil {
		return err
	}
	// Whoever hears that a process is mirrored may count on its TLS, too.
	settled := a.library.Set(pids)
	patience := time.NewTimer(librariesWithin)
	select {
	case <-settled:
	case <-patience.C:
		a.log.Warn("looking at TLS libraries takes long")
	}
	patience.Stop()
	a.rings.keep(pids)
	for _, p := range set {
		if p.IOUring {
			a.rings.add(p.PID)
		}
	}
	if now := time.Now(); len(set) > 0 {
		a.watched.CompareAndSwap(nil, &now)
	} else {
		a.table.CloseAll(trafficv1.CloseReason_CLOSE_REASON_LOST)
	}
	a.coverage.Selected(set)
	a.selected.Store(int64(len(set)))
	a.scanned.Store(true)
	a.log.Info("selection changed", logkey.Count, len(set))
	return nil
}

func (a *Agent) tick() { a.table.Tick(probe.Monotonic()) }

// deadlines lets time pass for the connections also while the ring is busy, or the programs are gone.
func (a *Agent) deadlines(ctx context.Context) error {
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			a.tick()
		}
	}
}

// Ready says why the agent is not at work: it must have looked at the processes and stand with an aggregator.
func (a *Agent) Ready() error {
	if !a.scanned.Load() {
		return errors.New("processes were not looked at yet")
	}
	if !a.shipper.Connected() {
		return fmt.Errorf("no stream to the aggregator at %s yet", a.cfg.Aggregator.Address)
	}
	return nil
}

// Mirrored counts the selected processes.
func (a *Agent) Mirrored() int { return int(a.selected.Load()) }

// Attached tells whether BPF programs are in the kernel.
func (a *Agent) Attached() bool { return a.probe.Attached() }

func (a *Agent) status() *statusv1.PartStatus {
	a.countShed()
	f := coverage.Facts{
		Started: a.started, Version: telemetry.Version(), Ready: a.Ready(), Probe: a.probe.Stats(), Losses: a.losses.Snapshot(),
		Connections: a.table.Len(), BytesSeen: a.table.BytesSeen.Load(), BytesSkipped: a.table.BytesSkipped.Load(), BytesLost: a.table.BytesLost.Load(),
		BytesSent: a.shipper.BytesSent.Load(),
	}
	if watched := a.watched.Load(); watched != nil {
		f.Watched = *watched
	}
	f.PolicySequence, f.PolicyRefused = a.policy.state()
	f.Shedding, f.Backend = a.budget.State().Text, a.probe.Backend()
	return a.coverage.Status(f)
}

// added tells up to when every exchange that began was given to the shipper.
func (a *Agent) added() uint64 {
	until := a.probe.ReadUntil(probe.Monotonic() - uint64(unsettled))
	return a.table.Oldest(until)
}

// unsettled is the time that a byte may take from its call to an exchange, or to where the table knows that it waits.
const unsettled = 50 * time.Millisecond

func bootID(procRoot string) string {
	text, err := os.ReadFile(procRoot + "/sys/kernel/random/boot_id")
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(text))
}
