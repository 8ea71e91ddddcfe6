package status

import (
	"sync"

	statusv1 "github.com/sidelight/sidelight/proto/gen/sidelight/status/v1"

	"github.com/sidelight/sidelight/internal/losses"
)

const (
	agentPart = "agent"
	// maxAgents bounds what waits while nobody takes reports.
	maxAgents = 5000
	// maxIntervals bounds the blind intervals of one waiting report.
	maxIntervals = 1000
)

// Agents holds the newest report of each agent until it is passed on.
type Agents struct {
	cluster string
	losses  *losses.Losses

	mu      sync.Mutex
	waiting map[string]*statusv1.PartStatus
}

// NewAgents makes an empty store.
func NewAgents(cluster string, l *losses.Losses) *Agents {
	return &Agents{cluster: cluster, losses: l, waiting: map[string]*statusv1.PartStatus{}}
}

// FromAgent takes a report; an agent speaks for itself only.
func (a *Agents) FromAgent(node string, s *statusv1.PartStatus) {
	if s.GetPart() != agentPart {
		a.losses.Add("status", "foreign_part", 1)
		return
	}
	s.Cluster = a.cluster
	if s.GetInstance() == "" {
		s.Instance = node
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.keep(s)
}

// keep replaces an older report that waits, without losing its blind intervals: they are told once.
func (a *Agents) keep(s *statusv1.PartStatus) {
	old, waits := a.waiting[s.GetInstance()]
	if !waits && len(a.waiting) >= maxAgents {
		a.losses.Add("status", "too_many_agents", 1)
		return
	}
	if waits {
		s.BlindIntervals = append(old.GetBlindIntervals(), s.GetBlindIntervals()...)
		if over := len(s.GetBlindIntervals()) - maxIntervals; over > 0 {
			a.losses.Add("status", "blind_intervals", int64(over))
			s.BlindIntervals = s.GetBlindIntervals()[over:]
		}
	}
	a.waiting[s.GetInstance()] = s
}

func (a *Agents) take() []*statusv1.PartStatus {
	a.mu.Lock()
	defer a.mu.Unlock()
	list := make([]*statusv1.PartStatus, 0, len(a.waiting)+1)
	for _, s := range a.waiting {
		list = append(list, s)
	}
	clear(a.waiting)
	return list
}

// putBack keeps what could not be passed on; what came since is newer.
func (a *Agents) putBack(list []*statusv1.PartStatus) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, s := range list {
		if s.GetPart() != agentPart {
			continue
		}
		newer := a.waiting[s.GetInstance()]
		a.waiting[s.GetInstance()] = s
		if newer != nil {
			a.keep(newer)
		}
	}
}
