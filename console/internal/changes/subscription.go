package changes

import "sync"

// Subscription collects the changes of one organisation until somebody takes them.
type Subscription struct {
	hub   *Hub
	org   int64
	ready chan struct{}

	mu      sync.Mutex
	pending Kind
}

// Subscribe starts to collect changes of org.
func (h *Hub) Subscribe(org int64) (*Subscription, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.subs) >= maxSubscriptions {
		return nil, ErrFull
	}
	s := &Subscription{hub: h, org: org, ready: make(chan struct{}, 1)}
	h.subs[s] = struct{}{}
	return s, nil
}

// Ready has an element when there is something to take.
func (s *Subscription) Ready() <-chan struct{} { return s.ready }

// Take gives and forgets what has changed.
func (s *Subscription) Take() Kind {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.pending
	s.pending = 0
	return k
}

// Close ends the subscription.
func (s *Subscription) Close() {
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	delete(s.hub.subs, s)
}

func (s *Subscription) add(k Kind) {
	s.mu.Lock()
	s.pending |= k
	s.mu.Unlock()
	select {
	case s.ready <- struct{}{}:
	default:
	}
}
