package behaviour

import (
	"container/list"
	"sync"
	"sync/atomic"
	"time"

	detectionv1 "github.com/sidelight/sidelight/proto/gen/sidelight/detection/v1"

	"github.com/sidelight/sidelight/internal/losses"
)

const (
	idSize       = 16
	endpointSize = 16
	// mostServices bounds what is remembered of one client.
	mostServices = 4
	// ahead is how far the time of a fact may lie in the future; one far beyond would make all others late.
	ahead = time.Minute
	place = "behaviour"
)

// Tracker keeps the windows. It is safe for concurrent use.
type Tracker struct {
	cfg    Config
	losses *losses.Losses
	// found takes the hits, without waiting.
	found func(*detectionv1.Hit)
	// Facts and Duplicates count what came.
	Facts, Duplicates atomic.Int64

	mu      sync.Mutex
	seen    *seen
	clients map[[idSize]byte]*list.Element
	// order of clients, the one last seen first.
	order *list.List
	since time.Time
}

// client is what is remembered of one client.
type client struct {
	key     [idSize]byte
	last    time.Time
	windows []*window
}

type serviceKey struct{ cluster, service string }

// NewTracker begins with empty windows, and counts that: whatever was in them before this life is lost.
func NewTracker(cfg Config, l *losses.Losses, found func(*detectionv1.Hit)) *Tracker {
	return &Tracker{
		cfg: cfg, losses: l, found: found, seen: newSeen(), clients: map[[idSize]byte]*list.Element{}, order: list.New(),
	}
}

// Start says that the windows begin now.
func (t *Tracker) Start() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.since = time.Now()
	t.losses.Add(place, "reset", 1)
}

// Since is when the windows began; zero: not yet.
func (t *Tracker) Since() time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.since
}

// Track counts facts, each exchange once.
func (t *Tracker) Track(facts []*detectionv1.Fact) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	for _, f := range facts {
		t.track(f, now)
	}
}

func (t *Tracker) track(f *detectionv1.Fact, now time.Time) {
	if len(f.GetExchangeId()) != idSize || len(f.GetClient()) != idSize || len(f.GetEndpoint()) != endpointSize || !f.GetObservedAt().IsValid() {
		t.losses.Add(place, "malformed", 1)
		return
	}
	at := f.GetObservedAt().AsTime()
	if at.After(now.Add(ahead)) || at.Unix() <= 0 {
		t.losses.Add(place, "wrong_time", 1)
		return
	}
	if !t.seen.add([idSize]byte(f.GetExchangeId()), now) {
		t.Duplicates.Add(1)
		return
	}
	t.Facts.Add(1)
	c := t.client([idSize]byte(f.GetClient()))
	if at.After(c.last) {
		c.last = at
	}
	w := t.window(c, serviceKey{f.GetCluster(), f.GetService()})
	rule := t.cfg.ForcedBrowsing
	if !w.add(f, rule.Window.Duration()/parts, 2*rule.Paths) {
		t.losses.Add(place, "late", 1)
		return
	}
	if h := rule.look(w, f); h != nil {
		t.found(h)
	}
}

// client gives what is remembered of a client, and makes room for a new one.
func (t *Tracker) client(key [idSize]byte) *client {
	if e, ok := t.clients[key]; ok {
		t.order.MoveToFront(e)
		c, _ := e.Value.(*client)
		return c
	}
	if len(t.clients) >= t.cfg.Clients {
		e := t.order.Back()
		old, _ := t.order.Remove(e).(*client)
		delete(t.clients, old.key)
		t.losses.Add(place, "evicted_client", 1)
	}
	c := &client{key: key}
	t.clients[key] = t.order.PushFront(c)
	return c
}

// window gives a client's window on a service; the one longest unused makes room for a new one.
func (t *Tracker) window(c *client, key serviceKey) *window {
	for i, w := range c.windows {
		if w.service == key {
			copy(c.windows[1:i+1], c.windows[:i])
			c.windows[0] = w
			return w
		}
	}
	w := &window{service: key}
	if len(c.windows) >= mostServices {
		t.losses.Add(place, "evicted_service", 1)
		c.windows = c.windows[:mostServices-1]
	}
	c.windows = append([]*window{w}, c.windows...)
	return w
}
