package agent

import (
	"hash/maphash"

	"github.com/sidelight/sidelight/agent/internal/budget"
	"github.com/sidelight/sidelight/agent/internal/exchange"
)

// keepTo puts into force what the thermostat decided.
func (a *Agent) keepTo(s budget.State) error {
	if len(s.Shares) == 0 {
		a.shares.Store(nil)
	} else {
		a.shares.Store(&s.Shares)
	}
	return a.probe.SetBudgets(uint64(s.Request), uint64(s.Response), s.Step > 0)
}

var connectionSeed = maphash.MakeSeed()

// take hands a revision on, unless its connection is one of those that are shed.
func (a *Agent) take(r *exchange.Revision) {
	if shares := a.shares.Load(); shares != nil {
		share, some := (*shares)[r.Workload.Name.GetProcess().GetPid()]
		if some && !budget.Keeps(maphash.String(connectionSeed, r.Connection), share) {
			a.shipper.Shed(r)
			return
		}
	}
	a.shipper.Take(r)
}
