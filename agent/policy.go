package agent

import (
	"fmt"
	"sync"

	"github.com/sidelight/sidelight/agent/internal/budget"
	"github.com/sidelight/sidelight/agent/internal/probe"
	"github.com/sidelight/sidelight/internal/logkey"
	policyv1 "github.com/sidelight/sidelight/proto/gen/sidelight/policy/v1"
)

// obedience is the policy in force, and why another one is not.
type obedience struct {
	mu       sync.Mutex
	sequence uint64
	refused  string
}

func (o *obedience) state() (sequence uint64, refused string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.sequence, o.refused
}

// obey takes the policy that the aggregator hands on, on every new stream and whenever it changes. What is refused changes
// nothing.
func (a *Agent) obey(p *policyv1.AgentPolicy) {
	a.policy.mu.Lock()
	defer a.policy.mu.Unlock()
	if p.GetSequence() == 0 && a.policy.sequence > 0 {
		// An aggregator that has just started may have no policy yet: that is none to go back to.
		return
	}
	if err := a.apply(p); err != nil {
		a.policy.refused = fmt.Sprintf("policy %d: %v", p.GetSequence(), err)
		a.log.Error("a policy is refused; the old one stays in force", "sequence", p.GetSequence(), logkey.Error, err)
		return
	}
	a.policy.sequence, a.policy.refused = p.GetSequence(), ""
}

func (a *Agent) apply(p *policyv1.AgentPolicy) error {
	if p.GetSequence() < a.policy.sequence {
		return fmt.Errorf("its sequence is below %d, which is in force: publish old content under a new sequence to go back", a.policy.sequence)
	}
	request, response := p.GetRequestBudget(), p.GetResponseBudget()
	if request == 0 {
		request = uint64(a.cfg.Capture.RequestBudget)
	}
	if response == 0 {
		response = uint64(a.cfg.Capture.ResponseBudget)
	}
	if err := probe.CheckBudgets(request, response); err != nil {
		return fmt.Errorf("changing budgets: %w", err)
	}
	// The thermostat stays below what is asked for.
	if err := a.budget.SetCeiling(budget.Ceiling{Request: uint32(request), Response: uint32(response)}); err != nil {
		return fmt.Errorf("changing budgets: %w", err)
	}
	return nil
}
