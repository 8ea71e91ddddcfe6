package tail

import (
	"sync"

	"google.golang.org/protobuf/proto"

	processorv1 "github.com/sidelight/sidelight/proto/gen/sidelight/processor/v1"
	trafficv1 "github.com/sidelight/sidelight/proto/gen/sidelight/traffic/v1"
)

// maxRecalled bounds one generation of exchanges that are open; beyond it the older one goes.
const maxRecalled = 20_000

// Recall remembers what was found out about exchanges that go on: their next revision may be judged by another replica,
// which only sees what is new, and may be quicker with it.
type Recall struct {
	mu         sync.Mutex
	young, old map[string]*processorv1.Summary
}

// NewRecall remembers nothing yet.
func NewRecall() *Recall {
	return &Recall{young: map[string]*processorv1.Summary{}, old: map[string]*processorv1.Summary{}}
}

// Complete fills in what a replica could not know. It gives the list back, with each later revision that had come before the
// first behind it once more, now that it can be told in full.
func (r *Recall) Complete(list []*processorv1.Summary) []*processorv1.Summary {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := list
	for _, s := range list {
		id := string(s.GetExchangeId())
		before := r.find(id)
		if before.GetJudgedElsewhere() && !s.GetJudgedElsewhere() && before.GetRevision() > s.GetRevision() {
			// Readers may still have the one that was shown.
			again := proto.CloneOf(before)
			fill(again, s)
			out = append(out, again)
			r.settle(id, again)
			continue
		}
		if before != nil && !before.GetJudgedElsewhere() && s.GetJudgedElsewhere() {
			fill(s, before)
		}
		r.settle(id, s)
	}
	return out
}

// fill says of a later revision what is known of an earlier one.
func fill(later, earlier *processorv1.Summary) {
	later.Hits, later.Complete, later.WhyIncomplete, later.JudgedElsewhere = earlier.GetHits(), earlier.GetComplete(), earlier.GetWhyIncomplete(), false
	if later.GetRequest().GetTraceId() == "" && later.GetRequest() != nil {
		later.Request.TraceId, later.Request.UserAgent = earlier.GetRequest().GetTraceId(), earlier.GetRequest().GetUserAgent()
	}
}

// settle keeps what may be asked for again: all that goes on, and what closed before the first revision came.
func (r *Recall) settle(id string, s *processorv1.Summary) {
	if s.GetPhase() == trafficv1.Phase_PHASE_CLOSED && !s.GetJudgedElsewhere() {
		delete(r.young, id)
		delete(r.old, id)
		return
	}
	if before := r.find(id); s.GetJudgedElsewhere() && before != nil && before.GetRevision() > s.GetRevision() {
		return
	}
	r.put(id, s)
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
