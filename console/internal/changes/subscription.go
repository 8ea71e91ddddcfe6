package changes

import "sync"

// Subscription collects the changes of one organisation until somebody takes them.
type Subscription struct {
	hub      *Hub
	org      int64
	audience *Audience
	ready    chan struct{}

	mu      sync.Mutex
	pending Kind
}

// Subscribe starts to collect what an audience waits for in org.
func (h *Hub) Subscribe(org int64, audience *Audience) (*Subscription, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.open[audience] >= audience.most {
		return nil, audience.full
	}
	s := &Subscription{hub: h, org: org, audience: audience, ready: make(chan struct{}, 1)}
	h.subs[s] = struct{}{}
	h.open[audience]++
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
	if _, open := s.hub.subs[s]; open {
		delete(s.hub.subs, s)
		s.hub.open[s.audience]--
	}
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
