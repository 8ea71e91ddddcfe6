package blind

import (
	"context"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	statusv1 "github.com/sidelight/sidelight/proto/gen/sidelight/status/v1"

	"github.com/sidelight/sidelight/internal/logkey"
)

// Names of notes.
const (
	agentNote    = "agent/"
	intervalNote = "blind/"
)

// tell holds an interval, if it is news.
func (t *Tracker) tell(b *statusv1.BlindInterval) {
	h, known := t.held[b.GetId()]
	if known && proto.Equal(h.interval, b) {
		return
	}
	if !known {
		t.makeRoom()
		t.Derived.Add(1)
	}
	t.held[b.GetId()] = &held{interval: b, untold: t.cfg.Uploads, dirty: true}
	t.announce()
}

func (t *Tracker) announce() {
	select {
	case t.changed <- struct{}{}:
	default:
	}
}

// withdraw tells that an interval was none.
func (t *Tracker) withdraw(id string) {
	if h, known := t.held[id]; known && h.interval.GetTo() == nil {
		b := proto.CloneOf(h.interval)
		b.To, b.Reason = b.GetFrom(), withdrawn
		t.tell(b)
	}
}

// giveUp closes what is open of an agent that stays away, and forgets it.
func (t *Tracker) giveUp(name string, a *agent, now time.Time) {
	if h, known := t.held[idOf(name, a.newest().Started)]; known && h.interval.GetTo() == nil {
		b := proto.CloneOf(h.interval)
		b.To, b.Reason = stamp(now.UnixNano()), givenUp
		t.tell(b)
	}
	delete(t.agents, name)
	t.gone = append(t.gone, agentNote+name)
}

// makeRoom drops the oldest: of those that the console has, else of the others, which is counted.
func (t *Tracker) makeRoom() {
	if len(t.held) < maxIntervals {
		return
	}
	var oldest *held
	for _, h := range t.held {
		if oldest == nil || oldest.untold && !h.untold || oldest.untold == h.untold && before(h.interval, oldest.interval) {
			oldest = h
		}
	}
	if oldest.untold {
		t.deps.Losses.Add("status", "blind_intervals", 1)
	}
	t.drop(oldest.interval)
}

// drop forgets an interval, and the lives that it follows from: else it would be derived again.
func (t *Tracker) drop(b *statusv1.BlindInterval) {
	delete(t.held, b.GetId())
	t.gone = append(t.gone, intervalNote+b.GetId())
	a, known := t.agents[b.GetNode()]
	if !known {
		return
	}
	at := slices.IndexFunc(a.Lives, func(l life) bool { return idOf(b.GetNode(), l.Started) == b.GetId() })
	if at >= 0 && at+1 < len(a.Lives) {
		a.Lives, a.dirty = slices.Delete(a.Lives, 0, at+1), true
	}
}

// expire drops what was told and is over for a day.
func (t *Tracker) expire(now time.Time) {
	for _, h := range t.held {
		if !h.untold && h.interval.GetTo() != nil && now.Sub(h.interval.GetTo().AsTime()) > shown {
			t.drop(h.interval)
		}
	}
}

func before(a, b *statusv1.BlindInterval) bool {
	return a.GetFrom().AsTime().Before(b.GetFrom().AsTime())
}

// Changed gives a token whenever there is something new to tell.
func (t *Tracker) Changed() <-chan struct{} { return t.changed }

// Untold gives intervals that the console does not have, those that began first first.
func (t *Tracker) Untold(limit int) []*statusv1.BlindInterval {
	list := t.list(func(h *held) bool { return h.untold })
	slices.Reverse(list)
	return list[:min(limit, len(list))]
}

// Told notes that the console has them, unless one was told again meanwhile.
func (t *Tracker) Told(list []*statusv1.BlindInterval) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, b := range list {
		if h, known := t.held[b.GetId()]; known && h.interval == b {
			h.untold, h.dirty = false, true
		}
	}
}

// TellAgain makes everything that is held news: for a console that was never told.
func (t *Tracker) TellAgain() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, h := range t.held {
		h.untold, h.dirty = t.cfg.Uploads, true
	}
	t.announce()
}

// Recent gives the intervals of the last 24 hours, newest first.
func (t *Tracker) Recent() []*statusv1.BlindInterval {
	now := time.Now()
	return t.list(func(h *held) bool {
		to := h.interval.GetTo()
		return to == nil || now.Sub(to.AsTime()) <= shown
	})
}

// list is newest first.
func (t *Tracker) list(wanted func(*held) bool) []*statusv1.BlindInterval {
	t.mu.Lock()
	defer t.mu.Unlock()
	var list []*statusv1.BlindInterval
	for _, h := range t.held {
		if wanted(h) {
			list = append(list, h.interval)
		}
	}
	slices.SortFunc(list, func(a, b *statusv1.BlindInterval) int {
		if c := b.GetFrom().AsTime().Compare(a.GetFrom().AsTime()); c != 0 {
			return c
		}
		return strings.Compare(a.GetId(), b.GetId())
	})
	return list
}

// save keeps what changed. What cannot be kept now is tried again in a second.
func (t *Tracker) save(ctx context.Context) {
	changes, undo := t.changes()
	if len(changes) == 0 {
		return
	}
	if err := t.deps.Store.PutNotes(ctx, changes); err != nil {
		t.deps.Log.Debug("what is known of agents is not kept yet", logkey.Error, err)
		undo()
	}
}
