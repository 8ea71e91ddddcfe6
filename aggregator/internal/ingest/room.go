package ingest

import (
	"context"
	"slices"
	"sync"
)

// room is the bound on what was read and is not judged, shared fairly: nobody may hold more than is left free for the
// others. So who floods alone gets half of it, two get a third each, and one who comes new always finds some. Those who
// wait are served in order, who holds least first.
type room struct {
	limit int64

	mu      sync.Mutex
	used    int64
	holders map[string]*holder
	// queue is in order of arrival.
	queue []*claim
}

type holder struct {
	used int64
	// claims counts those in the queue.
	claims int
}

type claim struct {
	who     string
	size    int64
	granted chan struct{}
}

func newRoom(limit int64) *room { return &room{limit: limit, holders: map[string]*holder{}} }

// acquire waits for room, and says so first.
func (r *room) acquire(ctx context.Context, who string, size int64, waits func()) error {
	c := &claim{who: who, size: size, granted: make(chan struct{})}
	r.mu.Lock()
	h := r.holders[who]
	if h == nil {
		h = &holder{}
		r.holders[who] = h
	}
	h.claims++
	r.queue = append(r.queue, c)
	r.grant()
	r.mu.Unlock()
	select {
	case <-c.granted:
		return nil
	default:
		waits()
	}
	select {
	case <-c.granted:
		return nil
	case <-ctx.Done():
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	select {
	case <-c.granted:
		return nil
	default:
	}
	r.remove(c)
	// It may have stood before others.
	r.grant()
	return ctx.Err()
}

func (r *room) release(who string, size int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	h := r.holders[who]
	r.used -= size
	h.used -= size
	r.forget(who, h)
	r.grant()
}

// grant serves claims until the one whose turn it is does not fit. That one is not overtaken, however big it is.
func (r *room) grant() {
	for len(r.queue) > 0 {
		next := r.queue[0]
		least := r.holders[next.who].used
		for _, c := range r.queue[1:] {
			if used := r.holders[c.who].used; used < least {
				next, least = c, used
			}
		}
		free := r.limit - r.used
		// At least one batch is everybody's right.
		if next.size > free || least > 0 && least+next.size > free {
			return
		}
		r.used += next.size
		r.holders[next.who].used += next.size
		r.remove(next)
		close(next.granted)
	}
}

func (r *room) remove(c *claim) {
	at := slices.Index(r.queue, c)
	r.queue = slices.Delete(r.queue, at, at+1)
	h := r.holders[c.who]
	h.claims--
	r.forget(c.who, h)
}

func (r *room) forget(who string, h *holder) {
	if h.used == 0 && h.claims == 0 {
		delete(r.holders, who)
	}
}
