package agent

import (
	"sync"

	"github.com/sidelight/sidelight/agent/internal/budget"
)

// shedder knows what was counted of requests on connections that are left out.
type shedder struct {
	mu    sync.Mutex
	known map[uint32]uint64
}

// keepTo puts into force what the thermostat decided.
func (a *Agent) keepTo(s budget.State) error {
	if err := a.probe.SetBudgets(uint64(s.Request), uint64(s.Response), s.Step > 0); err != nil {
		return err
	}
	return a.probe.SetShares(s.Shares)
}

// began counts, per mirrored process, the exchanges that began, whether they were taken or not.
func (a *Agent) began() map[uint32]uint64 {
	a.countShed()
	return a.coverage.Exchanges()
}

// countShed makes the requests on connections that are left out exchanges that were lost.
func (a *Agent) countShed() {
	a.shed.mu.Lock()
	defer a.shed.mu.Unlock()
	known := map[uint32]uint64{}
	for pid := range a.coverage.Exchanges() {
		now := a.probe.Usage(pid).Shed
		if now == 0 {
			continue
		}
		known[pid] = now
		// Programs that were loaded anew count from the beginning.
		more := now
		if before := a.shed.known[pid]; before <= now {
			more -= before
		}
		if more == 0 {
			continue
		}
		if w := a.coverage.Workload(pid); w != nil {
			w.Exchanges.Add(more)
			w.Lost.Add(more)
		}
		a.losses.Add("exchanges", "shed", int64(more))
	}
	a.shed.known = known
}
