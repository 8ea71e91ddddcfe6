package journal

import (
	"sync"

	detectionv1 "github.com/sidelight/sidelight/proto/gen/sidelight/detection/v1"
)

// maxEarly bounds the outcomes that are remembered for hits that may come yet. They come within seconds, or never: most
// exchanges have no hits.
const maxEarly = 1 << 15

// early remembers the last outcomes, oldest out first. A restart forgets them: then a hit keeps its unknown outcome.
type early struct {
	mu    sync.Mutex
	byID  map[[idSize]byte]*detectionv1.OutcomeUpdate
	order [][idSize]byte
	next  int
}

func newEarly() *early { return &early{byID: map[[idSize]byte]*detectionv1.OutcomeUpdate{}} }

func (e *early) put(u *detectionv1.OutcomeUpdate) {
	id := [idSize]byte(u.GetExchangeId())
	e.mu.Lock()
	defer e.mu.Unlock()
	if old, ok := e.byID[id]; ok {
		if u.GetRevision() >= old.GetRevision() {
			e.byID[id] = u
		}
		return
	}
	if len(e.order) < maxEarly {
		e.order = append(e.order, id)
	} else {
		delete(e.byID, e.order[e.next])
		e.order[e.next] = id
		e.next = (e.next + 1) % maxEarly
	}
	e.byID[id] = u
}

func (e *early) find(exchange []byte) *detectionv1.OutcomeUpdate {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.byID[[idSize]byte(exchange)]
}
