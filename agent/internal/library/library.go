// Package library keeps probes in the TLS libraries that mirrored processes map: it looks when a process is selected, starts
// another program or maps code, and from time to time at all of them.
package library

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/sidelight/sidelight/agent/internal/tlsprobe"
	"github.com/sidelight/sidelight/internal/logkey"
)

// Prober puts probes into files.
type Prober interface {
	// Generation changes when all probes were taken away.
	Generation() uint64
	AttachLibrary(path string, sites []tlsprobe.Site) (io.Closer, error)
	// MarkTLS says that a process maps a library with probes.
	MarkTLS(pid uint32) error
}

// Config is where and how often to look.
type Config struct {
	// ProcRoot is where the host's /proc is mounted.
	ProcRoot string
	// Every is how often all mirrored processes are looked at, for what no notice told of.
	Every time.Duration
}

// DefaultConfig looks at this host.
func DefaultConfig() Config { return Config{ProcRoot: "/proc", Every: 2 * time.Second} }

// Watcher knows which process maps which library.
type Watcher struct {
	cfg   Config
	log   *slog.Logger
	probe Prober

	mu sync.Mutex
	// wanted are the mirrored processes; poked are those to look at soon.
	wanted, poked map[uint32]struct{}
	processes     map[uint32][]*library
	libraries     map[key]*library
	come          chan struct{}
	// settled are told when the next round is over.
	settled []chan struct{}

	// Only Run's goroutine looks at it.
	generation uint64
}

// key names a mapped file. Two mounts of one file may have two names: its probes then see a call twice, and tell it once.
type key struct{ dev, inode uint64 }

// library is one file.
type library struct {
	file tlsprobe.File
	plan *tlsprobe.Plan
	// err says why it has no probes.
	err    error
	probes io.Closer
}

// New makes a watcher that does nothing until Run.
func New(cfg Config, log *slog.Logger, probe Prober) *Watcher {
	return &Watcher{
		cfg: cfg, log: log, probe: probe, wanted: map[uint32]struct{}{}, poked: map[uint32]struct{}{},
		processes: map[uint32][]*library{}, libraries: map[key]*library{}, come: make(chan struct{}, 1),
	}
}

// Set says which processes are mirrored. What it gives is closed when their libraries were looked at.
func (w *Watcher) Set(pids []uint32) <-chan struct{} {
	settled := make(chan struct{})
	w.mu.Lock()
	wanted := make(map[uint32]struct{}, len(pids))
	for _, pid := range pids {
		wanted[pid] = struct{}{}
		if _, known := w.wanted[pid]; !known {
			w.poked[pid] = struct{}{}
		}
	}
	w.wanted = wanted
	w.settled = append(w.settled, settled)
	w.mu.Unlock()
	w.wake()
	return settled
}

// mostPoked bounds what is remembered between two looks; what does not fit is found by the next look at all.
const mostPoked = 1024

// Poke says that a mirrored process, or a child of one, maps something new. It never blocks.
func (w *Watcher) Poke(pid uint32) {
	w.mu.Lock()
	if len(w.poked) < mostPoked {
		w.poked[pid] = struct{}{}
	}
	w.mu.Unlock()
	w.wake()
}

func (w *Watcher) wake() {
	select {
	case w.come <- struct{}{}:
	default:
	}
}

// gather is how long a look waits for what comes with its reason: a program that starts maps many files.
const gather = 2 * time.Millisecond

// Run looks until ctx ends; then all probes are taken out.
func (w *Watcher) Run(ctx context.Context) error {
	ticker := time.NewTicker(w.cfg.Every)
	defer ticker.Stop()
	defer w.release(func(*library) bool { return true })
	for {
		all := false
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			all = true
		case <-w.come:
			pause := time.NewTimer(gather)
			select {
			case <-ctx.Done():
				pause.Stop()
				return nil
			case <-pause.C:
			}
		}
		w.round(all)
	}
}

// round looks at what was poked, or at all, and lets go of what nobody maps any more.
func (w *Watcher) round(all bool) {
	if now := w.probe.Generation(); now != w.generation {
		w.release(func(*library) bool { return true })
		w.generation, all = now, true
	}
	w.mu.Lock()
	settled := w.settled
	w.settled = nil
	look := w.poked
	w.poked = map[uint32]struct{}{}
	if all {
		for pid := range w.wanted {
			look[pid] = struct{}{}
		}
	}
	for pid := range w.processes {
		if _, ok := w.wanted[pid]; !ok {
			delete(w.processes, pid)
		}
	}
	w.mu.Unlock()
	for pid := range look {
		w.look(pid)
	}
	used := map[*library]bool{}
	for _, list := range w.processes {
		for _, l := range list {
			used[l] = true
		}
	}
	w.release(func(l *library) bool { return !used[l] })
	for _, done := range settled {
		close(done)
	}
}

// look finds the libraries of a process, and puts probes into those that have none.
func (w *Watcher) look(pid uint32) {
	files, err := tlsprobe.Mapped(w.cfg.ProcRoot, pid)
	if err != nil {
		// It is gone, or goes.
		w.mu.Lock()
		delete(w.processes, pid)
		w.mu.Unlock()
		return
	}
	var list []*library
	hooked := false
	for _, file := range files {
		k := key{file.Dev, file.Inode}
		w.mu.Lock()
		l := w.libraries[k]
		w.mu.Unlock()
		if l == nil {
			l = w.open(pid, file)
			w.mu.Lock()
			w.libraries[k] = l
			w.mu.Unlock()
		}
		list = append(list, l)
		hooked = hooked || l.probes != nil
	}
	if hooked {
		// First in the kernel, then told: who reads that a library has probes may count on it. Without anything mirrored there is
		// no map to mark it in: the next round begins anew.
		if err := w.probe.MarkTLS(pid); err != nil && w.probe.Generation() == w.generation {
			w.log.Warn("marking a process with TLS", "pid", pid, logkey.Error, err)
		}
	}
	w.mu.Lock()
	w.processes[pid] = list
	w.mu.Unlock()
}

// mostLibraries bounds what containers can make the agent attach.
const mostLibraries = 1024

var errTooMany = errors.New("too many libraries have probes already")

// open plans and attaches the probes of a file.
func (w *Watcher) open(pid uint32, file tlsprobe.File) *library {
	l := &library{file: file}
	l.err = func() error {
		if len(w.libraries) >= mostLibraries {
			return errTooMany
		}
		opened, path, err := file.Open(w.cfg.ProcRoot, pid)
		if err != nil {
			return err
		}
		defer opened.Close()
		if l.plan, err = tlsprobe.Inspect(opened); err != nil {
			return err
		}
		if exact := w.version(pid, file.Crypto); exact != "" {
			l.plan.Version = exact
		}
		l.probes, err = w.probe.AttachLibrary(path, l.plan.Sites)
		return err
	}()
	if l.err != nil {
		w.log.Warn("a TLS library gets no probes", "library", file.Path, "pid", pid, logkey.Error, l.err)
		return l
	}
	w.log.Info("TLS library has probes", "library", file.Path, "version", l.plan.Version, "site", l.plan.Site, "pid", pid)
	return l
}

func (w *Watcher) version(pid uint32, crypto *tlsprobe.File) string {
	if crypto == nil {
		return ""
	}
	opened, _, err := crypto.Open(w.cfg.ProcRoot, pid)
	if err != nil {
		return ""
	}
	defer opened.Close()
	return tlsprobe.Version(opened)
}

// release takes out the probes of the libraries chosen.
func (w *Watcher) release(choose func(*library) bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for k, l := range w.libraries {
		if !choose(l) {
			continue
		}
		delete(w.libraries, k)
		if l.probes == nil {
			continue
		}
		if err := l.probes.Close(); err != nil {
			w.log.Warn("taking out the probes of a library", "library", l.file.Path, logkey.Error, err)
		}
	}
}
