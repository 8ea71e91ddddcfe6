package route

import "time"

// scoutPause bounds the wait between two scouts: a hit should be durable soon after it can be.
const scoutPause = time.Second

// held are exchanges whose hits could not be kept. One of them at a time goes as a scout; when it is kept, all go. So it costs
// the processor the same whether one is held or thousands.
type held struct {
	items []Item
	// busy: a scout is under way.
	busy bool
	// failures of scouts in a row.
	failures int
	due      time.Time
}

// add holds what could not be kept.
func (h *held) add(items []Item, scout bool, now time.Time) {
	switch {
	case scout:
		h.busy = false
		h.failures++
		h.due = now.Add(min(pause(h.failures), scoutPause))
	case len(h.items) == 0 && !h.busy:
		h.failures = 0
		h.due = now.Add(pause(0))
	}
	// At the end: the next scout is another, in case this one can never be kept.
	h.items = append(h.items, items...)
}

func (h *held) take(judged int64) suspect {
	s := suspect{items: []Item{h.items[0]}, scout: true, judged: judged}
	h.items[0] = Item{}
	h.items = h.items[1:]
	h.busy = true
	return s
}

// free gives all that is held.
func (h *held) free() []Item {
	items := h.items
	*h = held{}
	return items
}
