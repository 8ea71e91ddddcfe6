// Package blind derives the time in which nobody watched a node from what all aggregators say of its agent: no single one
// knows, since an agent moves between them.
package blind

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	statusv1 "github.com/sidelight/sidelight/proto/gen/sidelight/status/v1"

	"github.com/sidelight/sidelight/internal/logkey"
	"github.com/sidelight/sidelight/internal/losses"
)

const (
	// silence is how long nothing may be heard of an agent, or it be without a stream, before somebody is called silent.
	silence = 15 * time.Second
	// every is the rhythm of looking and of keeping.
	every = time.Second
	// absence is a pause of this process's own that it must not blame on the agents.
	absence = 5 * time.Second
	// shown is how long an interval that has an end, and is with the console, is kept.
	shown = 24 * time.Hour
	// forget gives up an agent that stays away: its node is gone.
	forget = 7 * 24 * time.Hour
	// saving bounds the last save.
	saving = 3 * time.Second
	// Bounds of what is held.
	maxAgents    = 10000
	maxIntervals = 10000
)

type store interface {
	Notes() (map[string][]byte, error)
	PutNotes(ctx context.Context, changes map[string][]byte) error
}

// Config is what a tracker must know of its place.
type Config struct {
	// Uploads: there is a console that wants every interval; else they are only shown here.
	Uploads bool
}

// Deps is what a tracker works with.
type Deps struct {
	Store  store
	Log    *slog.Logger
	Losses *losses.Losses
}

// Tracker is all agents of the cluster, and the intervals in which they did not watch.
type Tracker struct {
	cfg     Config
	deps    Deps
	changed chan struct{}
	// Open and Silent count intervals without an end, and agents that are not heard; Derived those that were ever begun.
	Open, Silent, Derived atomic.Int64

	mu     sync.Mutex
	agents map[string]*agent
	held   map[string]*held
	// gone is what must be deleted at the next save.
	gone   []string
	looked time.Time
}

// held is an interval that is kept. Intervals are never changed, only replaced.
type held struct {
	interval *statusv1.BlindInterval
	// untold: the console does not have it like this.
	untold bool
	dirty  bool
}

// New makes an empty tracker. It hears at once, and looks and keeps while Run runs.
func New(cfg Config, deps Deps) *Tracker {
	return &Tracker{cfg: cfg, deps: deps, changed: make(chan struct{}, 1), agents: map[string]*agent{}, held: map[string]*held{}}
}

// Hear takes what an aggregator says of agents.
func (t *Tracker) Hear(reports []*statusv1.PartStatus) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	for _, r := range reports {
		if r.GetPart() == "agent" && r.GetInstance() != "" && nanos(r.GetStartedAt()) != 0 {
			t.hear(r, now)
		}
	}
}

func (t *Tracker) hear(r *statusv1.PartStatus, now time.Time) {
	name, started := r.GetInstance(), nanos(r.GetStartedAt())
	a, known := t.agents[name]
	if !known {
		if len(t.agents) >= maxAgents {
			t.deps.Losses.Add("status", "too_many_agents", 1)
			return
		}
		a = &agent{}
		t.agents[name] = a
	}
	newest := int64(0)
	if len(a.Lives) > 0 {
		newest = a.newest().Started
	}
	l := a.life(started)
	if l == nil {
		return
	}
	was := l.end()
	l.Until = max(l.Until, nanos(r.GetWatchedUntil()))
	if from := nanos(r.GetWatchedFrom()); from != 0 {
		l.From = from
	}
	a.dirty = true
	switch {
	case started > newest:
		a.Silent, a.heard, a.connected, a.since = false, now, r.GetConnected(), now
	case started == newest:
		a.heard = now
		if a.connected && !r.GetConnected() {
			a.since = now
		}
		a.connected = r.GetConnected()
		if a.Silent && a.connected && l.Until > was {
			// It says that everything before is acknowledged: so it was watching, and only nobody heard of it.
			a.Silent = false
			t.withdraw(idOf(name, started))
		}
	}
	t.derive(name, a)
}

// derive tells what is news of the intervals that follow from an agent's lives.
func (t *Tracker) derive(name string, a *agent) {
	for _, b := range a.intervals(name) {
		t.tell(b)
	}
}

// look calls silent who was not heard for long, unless it was this process that did not listen.
func (t *Tracker) look() {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	away := now.Sub(t.looked) > absence
	t.looked = now
	silentOnes, open := int64(0), int64(0)
	for name, a := range t.agents {
		if away {
			a.heard, a.since = now, now
		}
		if !a.Silent && a.newest().watched() && (now.Sub(a.heard) > silence || !a.connected && now.Sub(a.since) > silence) {
			a.Silent, a.dirty = true, true
			t.deps.Log.Warn("an agent is silent: its node is not watched", "node", name)
			t.derive(name, a)
		}
		if !a.Silent {
			continue
		}
		silentOnes++
		if now.Sub(time.Unix(0, a.newest().end())) > forget {
			t.giveUp(name, a, now)
		}
	}
	t.expire(now)
	for _, h := range t.held {
		if h.interval.GetTo() == nil {
			open++
		}
	}
	t.Silent.Store(silentOnes)
	t.Open.Store(open)
}

// Run looks and keeps until ctx ends. The store must outlive it.
func (t *Tracker) Run(ctx context.Context) error {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), saving)
			defer cancel()
			t.save(ctx)
			return nil
		case <-ticker.C:
			t.look()
			t.save(ctx)
		}
	}
}

// Load takes what was kept. It is called once, before anything is heard: nobody is silent yet then, since it was this
// process that was away.
func (t *Tracker) Load() error {
	notes, err := t.deps.Store.Notes()
	if err != nil {
		return fmt.Errorf("reading what is known of agents: %w", err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	t.looked = now
	for name, value := range notes {
		if err := t.load(name, value, now); err != nil {
			t.deps.Log.Warn("a note about an agent is left out", logkey.Error, err)
			t.gone = append(t.gone, name)
		}
	}
	return nil
}
