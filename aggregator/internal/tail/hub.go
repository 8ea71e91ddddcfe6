// Package tail shows what passes, live: every summary to every reader, and a slow reader loses some and is told how many.
package tail

import (
	"sync"
	"sync/atomic"

	"google.golang.org/protobuf/proto"

	processorv1 "github.com/sidelight/sidelight/proto/gen/sidelight/processor/v1"

	"github.com/sidelight/sidelight/internal/filter"
)

const (
	// Bounds of what waits for one reader.
	maxItems = 4096
	maxBytes = 4 << 20
	// maxReaders bounds the memory of all.
	maxReaders = 64
)

// Hub fans summaries out.
type Hub struct {
	// Dropped counts summaries that readers were too slow for.
	Dropped atomic.Int64

	mu      sync.RWMutex
	readers map[*reader]struct{}
	stopped chan struct{}
	once    sync.Once
}

// NewHub makes a hub without readers.
func NewHub() *Hub { return &Hub{readers: map[*reader]struct{}{}, stopped: make(chan struct{})} }

// Publish gives the summaries to all readers. It never waits for one.
func (h *Hub) Publish(list []*processorv1.Summary) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if len(h.readers) == 0 {
		return
	}
	for _, s := range list {
		// Measured for the first who wants it.
		size := int64(-1)
		for r := range h.readers {
			if !r.wants(s) {
				continue
			}
			if size < 0 {
				size = int64(proto.Size(s))
			}
			h.Dropped.Add(r.push(s, size))
		}
	}
}

// Stop ends all readers.
func (h *Hub) Stop() { h.once.Do(func() { close(h.stopped) }) }

func (h *Hub) subscribe(attacksOnly bool, f *filter.Filter) (*reader, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.readers) >= maxReaders {
		return nil, false
	}
	r := &reader{attacksOnly: attacksOnly, filter: f, arrived: make(chan struct{}, 1)}
	h.readers[r] = struct{}{}
	return r, true
}

func (h *Hub) unsubscribe(r *reader) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.readers, r)
}

// Readers counts those who watch.
func (h *Hub) Readers() int {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return len(h.readers)
}

// reader is what waits for one subscriber: the newest, since a live view that lags shows nothing live.
type reader struct {
	attacksOnly bool
	// filter is nil for all.
	filter  *filter.Filter
	arrived chan struct{}

	mu      sync.Mutex
	items   []waiting
	bytes   int64
	dropped uint64
}

type waiting struct {
	summary *processorv1.Summary
	size    int64
}

func (r *reader) wants(s *processorv1.Summary) bool {
	return (!r.attacksOnly || len(s.GetHits()) > 0) && r.filter.Match(s)
}

// push adds a summary and gives up the oldest ones to make room; it says how many.
func (r *reader) push(s *processorv1.Summary, size int64) int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	lost := int64(0)
	for len(r.items) > 0 && (len(r.items) >= maxItems || r.bytes+size > maxBytes) {
		r.bytes -= r.items[0].size
		r.items[0] = waiting{}
		r.items = r.items[1:]
		lost++
	}
	r.dropped += uint64(lost)
	r.items = append(r.items, waiting{s, size})
	r.bytes += size
	select {
	case r.arrived <- struct{}{}:
	default:
	}
	return lost
}

// take gives all that waits, and how many were lost before it.
func (r *reader) take() ([]waiting, uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	items, dropped := r.items, r.dropped
	r.items, r.bytes, r.dropped = nil, 0, 0
	return items, dropped
}
