package tail

import (
	"sync"

	processorv1 "github.com/sidelight/sidelight/proto/gen/sidelight/processor/v1"
	trafficv1 "github.com/sidelight/sidelight/proto/gen/sidelight/traffic/v1"
)

// maxRecalled bounds one generation of exchanges that are open; beyond it the older one goes.
const maxRecalled = 20_000

// Recall remembers what was found out about exchanges that go on: their next revision may be judged by another replica,
// which only sees what is new.
type Recall struct {
	mu         sync.Mutex
	young, old map[string]*processorv1.Summary
}

// NewRecall remembers nothing yet.
func NewRecall() *Recall {
	return &Recall{young: map[string]*processorv1.Summary{}, old: map[string]*processorv1.Summary{}}
}

// Complete fills in what a replica could not know.
func (r *Recall) Complete(list []*processorv1.Summary) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range list {
		id := string(s.GetExchangeId())
		if before := r.find(id); before != nil && s.GetJudgedElsewhere() {
			s.Hits, s.Complete, s.WhyIncomplete, s.JudgedElsewhere = before.GetHits(), before.GetComplete(), before.GetWhyIncomplete(), false
			if s.GetRequest().GetTraceId() == "" && s.GetRequest() != nil {
				s.Request.TraceId, s.Request.UserAgent = before.GetRequest().GetTraceId(), before.GetRequest().GetUserAgent()
			}
		}
		if s.GetPhase() == trafficv1.Phase_PHASE_CLOSED {
			delete(r.young, id)
			delete(r.old, id)
		} else if !s.GetJudgedElsewhere() {
			r.put(id, s)
		}
	}
}

func (r *Recall) find(id string) *processorv1.Summary {
	if s := r.young[id]; s != nil {
		return s
	}
	return r.old[id]
}

func (r *Recall) put(id string, s *processorv1.Summary) {
	if len(r.young) >= maxRecalled {
		r.old, r.young = r.young, map[string]*processorv1.Summary{}
	}
	r.young[id] = s
}
