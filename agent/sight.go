package agent

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"

	"github.com/sidelight/sidelight/agent/internal/probe"
	"github.com/sidelight/sidelight/internal/logkey"
	statusv1 "github.com/sidelight/sidelight/proto/gen/sidelight/status/v1"
)

// notice acts on news of a process, on the goroutine that reads the ring: it only hands on.
func (a *Agent) notice(n probe.Notice) {
	switch n.Kind {
	case probe.NoticeExec, probe.NoticeFork:
		a.targets.Poke(n.Tgid)
	case probe.NoticeCode:
		a.library.Poke(n.Tgid)
	case probe.NoticeURing:
		a.rings.add(n.Tgid)
	}
}

// sight is what coverage asks.
type sight struct{ agent *Agent }

// TLS lists the libraries that a process maps.
func (s sight) TLS(pid uint32) []*statusv1.TlsCoverage { return s.agent.library.Coverage(pid) }

// Usage counts what is not inspected of a process.
func (s sight) Usage(pid uint32) (probe.Usage, bool) {
	return s.agent.probe.Usage(pid), s.agent.rings.has(pid)
}

// rings knows which mirrored processes use io_uring, and has it counted.
type rings struct {
	probe *probe.Probe
	log   *slog.Logger
	*sync.Mutex
	known map[uint32]struct{}
	come  chan uint32
}

func newRings(p *probe.Probe, log *slog.Logger) rings {
	return rings{probe: p, log: log, Mutex: &sync.Mutex{}, known: map[uint32]struct{}{}, come: make(chan uint32, 256)}
}

// keep forgets all processes but these: ids are used again.
func (r *rings) keep(pids []uint32) {
	r.Lock()
	defer r.Unlock()
	for pid := range r.known {
		if !slices.Contains(pids, pid) {
			delete(r.known, pid)
		}
	}
}

// add never blocks: a process that does not fit is told of again when it is looked at again.
func (r *rings) add(pid uint32) {
	r.Lock()
	r.known[pid] = struct{}{}
	r.Unlock()
	select {
	case r.come <- pid:
	default:
	}
}

func (r *rings) has(pid uint32) bool {
	r.Lock()
	defer r.Unlock()
	_, ok := r.known[pid]
	return ok
}

func (r *rings) run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case pid := <-r.come:
			if err := r.probe.WatchIOUring(pid); err != nil && !errors.Is(err, probe.ErrNothingMirrored) {
				r.log.Warn("counting what io_uring moves", "pid", pid, logkey.Error, err)
			}
		}
	}
}
