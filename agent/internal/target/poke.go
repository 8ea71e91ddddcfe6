package target

import (
	"sync"
	"time"
)

// pokes is what the kernel told of since it was last asked for: bounded, and never in the way of whoever tells.
type pokes struct {
	come chan struct{}
	mu   *sync.Mutex
	pids map[uint32]struct{}
}

const (
	// mostPokes is over what a busy host starts between two looks; what does not fit is found by the next look.
	mostPokes = 1024
	// pokePause bounds what a server that starts a program per request costs.
	pokePause = 5 * time.Millisecond
)

func newPokes() pokes {
	return pokes{come: make(chan struct{}, 1), mu: &sync.Mutex{}, pids: map[uint32]struct{}{}}
}

// Poke says that a mirrored process, or a child of one, began or became something else: it is looked at now and not with the
// next look at all. It never blocks.
func (w *Watcher) Poke(pid uint32) {
	p := &w.pokes
	p.mu.Lock()
	if len(p.pids) < mostPokes {
		p.pids[pid] = struct{}{}
	}
	p.mu.Unlock()
	select {
	case p.come <- struct{}{}:
	default:
	}
}

func (p *pokes) take() []uint32 {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := make([]uint32, 0, len(p.pids))
	for pid := range p.pids {
		list = append(list, pid)
	}
	clear(p.pids)
	return list
}
