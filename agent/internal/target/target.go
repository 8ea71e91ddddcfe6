// Package target keeps the set of processes that are to be mirrored on a plain host.
package target

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/sidelight/sidelight/agent/internal/selector"
	"github.com/sidelight/sidelight/internal/logkey"
)

// Config is what is watched, and how.
type Config struct {
	Filters []selector.Filter
	// ProcRoot is /proc, or where the host's is mounted.
	ProcRoot string
	// Poll bounds how late a new process is found; children of a mirrored one are in from their start.
	Poll time.Duration
	// Stray is told of a process that was poked and is not to be mirrored: the kernel may have begun to by itself, as with
	// the child of a mirrored process that became another program. Without it the whole set is told again.
	Stray func(pid uint32) error
}

// DefaultPoll finds a process well within a second, and a look at 500 processes costs about a hundredth of that.
const DefaultPoll = 200 * time.Millisecond

// Selected is a process that is mirrored, and why.
type Selected struct {
	selector.Process
	Why     string
	Service string
	// IOUring: it holds an io_uring, so some of its bytes may move unseen.
	IOUring bool
}

func (s Selected) equal(o Selected) bool {
	return s.PID == o.PID && s.StartTime == o.StartTime && s.Exe == o.Exe && s.Comm == o.Comm && slices.Equal(s.Ports, o.Ports) &&
		s.Unit == o.Unit && s.Cgroup == o.Cgroup && s.Why == o.Why && s.Service == o.Service && s.IOUring == o.IOUring
}

// Watcher looks at all processes again and again.
type Watcher struct {
	cfg  Config
	log  *slog.Logger
	proc proc
	// what a look has to ask for, by the filters.
	asks asks
	own  *own

	// records, sockets and looks belong to Run.
	records map[uint32]*record
	sockets *tables
	looks   uint64

	mu    sync.Mutex
	known map[uint32]Selected

	pokes pokes
}

// New makes a watcher that does nothing until Run.
func New(cfg Config, log *slog.Logger) *Watcher {
	if cfg.ProcRoot == "" {
		cfg.ProcRoot = "/proc"
	}
	if cfg.Poll == 0 {
		cfg.Poll = DefaultPoll
	}
	return &Watcher{
		cfg: cfg, log: log, proc: proc{cfg.ProcRoot}, asks: asksOf(cfg.Filters), own: newOwn(),
		records: map[uint32]*record{}, sockets: newTables(proc{cfg.ProcRoot}), known: map[uint32]Selected{}, pokes: newPokes(),
	}
}

// Run calls changed with the selected processes at once and whenever they, or the ports they listen on, change.
func (w *Watcher) Run(ctx context.Context, changed func([]Selected) error) error {
	ticker := time.NewTicker(w.cfg.Poll)
	defer ticker.Stop()
	var last []Selected
	tell := func(set []Selected, anyway bool) error {
		if !anyway && slices.EqualFunc(set, last, Selected.equal) {
			return nil
		}
		last = set
		if err := changed(set); err != nil {
			return fmt.Errorf("changing what is mirrored: %w", err)
		}
		return nil
	}
	told := false
	look := func() error {
		set, err := w.look()
		if err != nil {
			// The next look may be better; what is mirrored stays mirrored.
			w.log.Warn("looking at processes", logkey.Error, err)
			return nil
		}
		err, told = tell(set, !told), true
		return err
	}
	if err := look(); err != nil {
		return err
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			if err := look(); err != nil {
				return err
			}
		case <-w.pokes.come:
			set, strays := w.lookAt(w.pokes.take())
			if err := tell(set, len(strays) > 0 && w.cfg.Stray == nil); err != nil {
				return err
			}
			if err := w.drop(strays); err != nil {
				return err
			}
			if !pause(ctx, pokePause) {
				return nil
			}
		}
	}
}

func (w *Watcher) drop(strays []uint32) error {
	if w.cfg.Stray == nil {
		return nil
	}
	for _, pid := range strays {
		if err := w.cfg.Stray(pid); err != nil {
			return fmt.Errorf("no longer mirroring process %d: %w", pid, err)
		}
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// Lookup gives what is known of a process; a child that the kernel began to mirror by itself is looked at now.
func (w *Watcher) Lookup(pid uint32) (Selected, bool) {
	w.mu.Lock()
	found, ok := w.known[pid]
	w.mu.Unlock()
	if ok {
		return found, true
	}
	p, parent, err := w.proc.process(pid)
	if err != nil {
		return Selected{}, false
	}
	// It has its parent's listening sockets, and is to be called by the same name from its first byte on.
	ioUring := false
	if selector.NeedsPorts(w.cfg.Filters, p) {
		if listeners, err := w.proc.listening(pid); err == nil {
			var held []uint64
			held, ioUring = w.proc.descriptors(pid, listeners)
			p.Ports = portsOf(held, listeners)
		}
	}
	decision := selector.Decide(w.cfg.Filters, p)
	if !decision.Mirror {
		w.mu.Lock()
		decision.Service = w.known[parent].Service
		w.mu.Unlock()
	}
	return Selected{p, whyChild, decision.Service, ioUring}, true
}

const whyChild = "child of a mirrored process"
