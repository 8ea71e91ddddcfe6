// Package budget is the agent's thermostat: over its share of the host, or when the kernel's ring runs full, the agent copies
// less, in an order that leaves the most valuable bytes for last, and says so.
package budget

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"syscall"
	"time"

	"github.com/sidelight/sidelight/internal/config"
)

// Config is what the agent may take.
type Config struct {
	// CPU is the share of one core that the agent's process may take, on average over Window; 0 = any.
	CPU float64 `yaml:"cpu"`
	// Window is how long it must take more before it sheds a step.
	Window config.Duration `yaml:"window"`
	// Recovery is how long it must take less than half, and lose nothing, before it takes a step back.
	Recovery config.Duration `yaml:"recovery"`
}

// DefaultConfig is half of a core: some 40 000 exchanges a second, which few hosts have, and what a host can spare for being
// watched. Ten seconds let a start, or a burst that the ring holds, pass unshed.
func DefaultConfig() Config {
	return Config{CPU: 0.5, Window: config.Duration(10 * time.Second), Recovery: config.Duration(30 * time.Second)}
}

// Validate says what is allowed.
func (c Config) Validate() error {
	var problems []error
	if c.CPU < 0 || c.CPU > 1024 {
		problems = append(problems, fmt.Errorf("budget.cpu %v: want a share of one core, such as 0.5, or 0 for no limit", c.CPU))
	}
	if time.Duration(c.Window) < interval {
		problems = append(problems, fmt.Errorf("budget.window: want at least %v", interval))
	}
	if c.Recovery < c.Window {
		problems = append(problems, errors.New("budget.recovery: want at least budget.window, else it would swing"))
	}
	return errors.Join(problems...)
}

// Ceiling is what may be copied of a run of one direction when nothing is shed: the configuration's, or a policy's.
type Ceiling struct{ Request, Response uint32 }

// State is what holds now.
type State struct {
	// Step is 0 while nothing is shed.
	Step int
	// Text tells a person what is shed, and why; empty at step 0.
	Text string
	// Request and Response are the bytes copied per run of one direction.
	Request, Response uint32
	// Shares are the processes of which only some exchanges are kept, and how many of one. Who is not in it keeps all.
	Shares map[uint32]float64
}

// Deps is what the thermostat looks at, and what it turns. Ceiling and Apply must be there.
type Deps struct {
	Log     *slog.Logger
	Ceiling Ceiling
	// Apply puts a state into force. It must not call the thermostat.
	Apply func(State) error
	// CPU is what the agent has used in its life; default: as the kernel accounts this process.
	CPU func() time.Duration
	// Lost counts what found no room in the ring, ever; Fill is the part of the ring that is in use now, 0 to 1.
	Lost func() uint64
	Fill func() float64
	// Exchanges counts, per process, those that began, whether they were kept or not.
	Exchanges func() map[uint32]uint64
}

// interval is how often it looks.
const interval = time.Second

// Thermostat decides what is copied.
type Thermostat struct {
	deps Deps

	mu    sync.Mutex
	m     machine
	state State
}

// New makes a thermostat that does nothing until Run.
func New(cfg Config, deps Deps) *Thermostat {
	if deps.CPU == nil {
		deps.CPU = processCPU
	}
	if deps.Lost == nil {
		deps.Lost = func() uint64 { return 0 }
	}
	if deps.Fill == nil {
		deps.Fill = func() float64 { return 0 }
	}
	if deps.Exchanges == nil {
		deps.Exchanges = func() map[uint32]uint64 { return nil }
	}
	t := &Thermostat{deps: deps, m: newMachine(cfg, deps.Ceiling)}
	t.state = t.m.state()
	return t
}

// Run looks once a second until ctx ends. What it shed stays shed then: the agent is about to end.
func (t *Thermostat) Run(ctx context.Context) error {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		if err := t.look(); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

func (t *Thermostat) look() error {
	in := inputs{now: time.Now(), cpu: t.deps.CPU(), lost: t.deps.Lost(), fill: t.deps.Fill(), exchanges: t.deps.Exchanges()}
	t.mu.Lock()
	defer t.mu.Unlock()
	before := t.state.Step
	if !t.m.look(in) {
		return nil
	}
	state := t.m.state()
	if err := t.deps.Apply(state); err != nil {
		return fmt.Errorf("changing what is copied: %w", err)
	}
	t.state = state
	switch {
	case state.Step > before:
		t.deps.Log.Warn("the agent sheds", "step", state.Step, "what", state.Text)
	case state.Step == 0 && before > 0:
		t.deps.Log.Info("the agent sheds nothing any more")
	case state.Step < before:
		t.deps.Log.Info("the agent sheds less", "step", state.Step, "what", state.Text)
	}
	return nil
}

// SetCeiling changes what is copied when nothing is shed. What cannot be applied changes nothing.
func (t *Thermostat) SetCeiling(c Ceiling) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	before := t.m
	t.m.setCeiling(c)
	state := t.m.state()
	if err := t.deps.Apply(state); err != nil {
		t.m = before
		return err
	}
	t.state = state
	return nil
}

// State is what holds now.
func (t *Thermostat) State() State {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.state
}

func processCPU() time.Duration {
	var u syscall.Rusage
	// It cannot fail for the process itself.
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
