// Package target keeps the set of processes that are to be mirrored on a plain host.
package target

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"reflect"
	"sync"
	"syscall"
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
}

// DefaultPoll finds a process well within two seconds.
const DefaultPoll = 500 * time.Millisecond

// Selected is a process that is mirrored, and why.
type Selected struct {
	selector.Process
	Why     string
	Service string
}

// Watcher looks at all processes again and again.
type Watcher struct {
	cfg  Config
	log  *slog.Logger
	proc proc
	// self is the file of this program: whatever runs it is never mirrored.
	self fileID

	mu    sync.Mutex
	known map[uint32]Selected
}

type fileID struct{ dev, ino uint64 }

// New makes a watcher that does nothing until Run.
func New(cfg Config, log *slog.Logger) *Watcher {
	if cfg.ProcRoot == "" {
		cfg.ProcRoot = "/proc"
	}
	if cfg.Poll == 0 {
		cfg.Poll = DefaultPoll
	}
	w := &Watcher{cfg: cfg, log: log, proc: proc{cfg.ProcRoot}, known: map[uint32]Selected{}}
	if id, ok := fileOf("/proc/self/exe"); ok {
		w.self = id
	}
	return w
}

func fileOf(path string) (fileID, bool) {
	info, err := os.Stat(path)
	if err != nil {
		return fileID{}, false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return fileID{}, false
	}
	return fileID{stat.Dev, stat.Ino}, true
}

// Run calls changed with the selected processes at once and whenever they, or the ports they listen on, change.
func (w *Watcher) Run(ctx context.Context, changed func([]Selected) error) error {
	ticker := time.NewTicker(w.cfg.Poll)
	defer ticker.Stop()
	var last []Selected
	for first := true; ; first = false {
		set, err := w.scan()
		if err != nil {
			// The next look may be better; what is mirrored stays mirrored.
			w.log.Warn("looking at processes", logkey.Error, err)
		} else if first || !reflect.DeepEqual(set, last) {
			if err := changed(set); err != nil {
				return fmt.Errorf("changing what is mirrored: %w", err)
			}
			last = set
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// scan decides on every process that exists.
func (w *Watcher) scan() ([]Selected, error) {
	if len(w.cfg.Filters) == 0 {
		return nil, nil
	}
	pids, err := w.proc.pids()
	if err != nil {
		return nil, err
	}
	// Listening sockets are the same for all processes of a network namespace.
	listeners := map[string]map[uint64]uint16{}
	var set []Selected
	known := map[uint32]Selected{}
	for _, pid := range pids {
		p, err := w.proc.process(pid)
		if err != nil {
			continue
		}
		if !selector.NeedsPorts(w.cfg.Filters, p) || w.isSelf(pid) {
			continue
		}
		namespace := w.proc.netns(pid)
		if listeners[namespace] == nil {
			if listeners[namespace], err = w.proc.listening(pid); err != nil {
				continue
			}
		}
		p.Ports = w.proc.ports(pid, listeners[namespace])
		if decision := selector.Decide(w.cfg.Filters, p); decision.Mirror {
			selected := Selected{p, decision.Why, decision.Service}
			set = append(set, selected)
			known[pid] = selected
		}
	}
	w.mu.Lock()
	w.known = known
	w.mu.Unlock()
	return set, nil
}

// isSelf keeps Sidelight out of its own sight, whatever a filter says: mirroring the mirror would never end.
func (w *Watcher) isSelf(pid uint32) bool {
	id, ok := fileOf(w.proc.path(pid, "exe"))
	return ok && id == w.self
}

// Lookup gives what is known of a process; a child that the kernel began to mirror by itself is looked at now.
func (w *Watcher) Lookup(pid uint32) (Selected, bool) {
	w.mu.Lock()
	found, ok := w.known[pid]
	w.mu.Unlock()
	if ok {
		return found, true
	}
	p, err := w.proc.process(pid)
	if err != nil {
		return Selected{}, false
	}
	// It has its parent's listening sockets, and is to be called by the same name from its first byte on.
	if selector.NeedsPorts(w.cfg.Filters, p) {
		if listeners, err := w.proc.listening(pid); err == nil {
			p.Ports = w.proc.ports(pid, listeners)
		}
	}
	decision := selector.Decide(w.cfg.Filters, p)
	return Selected{p, "child of a mirrored process", decision.Service}, true
}
