package agent

import (
	"sync"

	"github.com/sidelight/sidelight/agent/internal/budget"
	"github.com/sidelight/sidelight/agent/internal/probe"
)

// shedder knows what was counted, by process, of connections that are left out.
type shedder struct {
	mu    sync.Mutex
	known map[uint32]probe.Usage
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
	known := map[uint32]probe.Usage{}
	for pid := range a.coverage.Exchanges() {
		now := a.probe.Usage(pid)
		if now.ShedBytes == 0 {
			continue
		}
		before := a.shed.known[pid]
		if before.ShedBytes > now.ShedBytes {
			// Programs that were loaded anew count from the beginning.
			before = probe.Usage{}
		}
		known[pid] = now
		more := now.Shed - before.Shed
		w := a.coverage.Workload(pid)
		w.Exchanges.Add(more)
		w.Lost.Add(more)
		w.BytesSkipped.Add(now.ShedBytes - before.ShedBytes)
		if more > 0 {
			a.losses.Add("exchanges", "shed", int64(more))
		}
	}
	a.shed.known = known
}
