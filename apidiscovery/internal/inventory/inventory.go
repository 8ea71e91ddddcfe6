// Package inventory aggregates observations in memory: it finds the endpoint of each, counts, learns parameters, and gives
// out what is new as batches of deltas.
package inventory

import (
	"sync"
	"time"

	"github.com/sidelight/sidelight/apidiscovery/internal/admit"
	"github.com/sidelight/sidelight/apidiscovery/internal/template"
	"github.com/sidelight/sidelight/internal/losses"
	inventoryv1 "github.com/sidelight/sidelight/proto/gen/sidelight/inventory/v1"
)

// Limits bound the memory and say when an endpoint is shown.
type Limits struct {
	// Requests that were answered with success make an endpoint.
	Requests uint64
	Hosts    int
	// HostsPerService bounds what a client can make by inventing Host headers.
	HostsPerService int
	Endpoints       int
	// Parameters of one endpoint.
	Parameters int
	Tree       template.Limits
	Exchanges  admit.Windows
}

// DefaultLimits fit one cluster.
func DefaultLimits() Limits {
	return Limits{Requests: 3, Hosts: 2000, HostsPerService: 64, Endpoints: 20_000, Parameters: 256,
		Tree: template.DefaultLimits(), Exchanges: admit.DefaultWindows()}
}

// Inventory is the state of all clusters.
type Inventory struct {
	limits Limits
	losses *losses.Losses
	now    func() time.Time

	mu         sync.Mutex
	exchanges  *admit.Exchanges
	hosts      map[HostKey]*host
	perService map[serviceKey]int
	endpoints  int
	dirty      map[*endpoint]bool
	merges     []Merge
	pending    uint64
	counts     Counts
	changes    uint64
}

// HostKey is where an endpoint lives.
type HostKey struct{ Cluster, Service, Host string }

type serviceKey struct{ cluster, service string }

type host struct {
	key  HostKey
	tree *template.Tree[*endpoint]
	// changed is the number of the last change of what was learned here.
	changed uint64
}

// New makes an empty inventory.
func New(limits Limits, l *losses.Losses, now func() time.Time) *Inventory {
	return &Inventory{
		limits: limits, losses: l, now: now, exchanges: admit.NewExchanges(limits.Exchanges), hosts: map[HostKey]*host{},
		perService: map[serviceKey]int{}, dirty: map[*endpoint]bool{}, counts: Counts{Unconfirmed: map[string]uint64{}},
	}
}

// Add counts observations. When it returns they are in memory, and in the database after the next flush.
func (inv *Inventory) Add(batch []*inventoryv1.Observation) {
	now := inv.now()
	inv.mu.Lock()
	defer inv.mu.Unlock()
	for _, o := range batch {
		inv.counts.Observations++
		inv.pending++
		out := inv.exchanges.Take(o, now)
		switch {
		case out.Duplicate:
			inv.counts.Duplicates++
		case out.Settled != nil:
			inv.settle(out.Settled)
		case out.Late != nil:
			inv.late(out.Late)
		}
	}
}

// Sweep settles what waited long enough for a status. It is due before each flush.
func (inv *Inventory) Sweep() {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	evicted := inv.sweep(inv.now())
	// A resend of these would be counted again.
	inv.losses.Add("exchanges", "forgotten_early", int64(evicted))
}

// Close settles all that waits for a status: there will be none. It is due before the last flush.
func (inv *Inventory) Close() {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	inv.sweep(inv.now().Add(inv.limits.Exchanges.Hold))
}

func (inv *Inventory) sweep(now time.Time) (evicted int) {
	settled, evicted := inv.exchanges.Sweep(now)
	for _, o := range settled {
		inv.settle(o)
	}
	return evicted
}

// settle counts one request.
func (inv *Inventory) settle(o *inventoryv1.Observation) {
	inv.counts.Requests++
	verdict, reason := admit.Decide(o)
	path := pathOf(o)
	if verdict == admit.Count {
		h := inv.hosts[keyOf(o)]
		var leaf *template.Leaf[*endpoint]
		if h != nil {
			leaf = h.tree.Find(o.GetMethod(), path)
		}
		if leaf == nil {
			inv.counts.Unconfirmed[reason]++
			return
		}
		inv.count(leaf.Value, o)
		return
	}
	h := inv.hostOf(o)
	if h == nil {
		return
	}
	e := inv.learn(h, o, path)
	if e == nil {
		return
	}
	inv.count(e, o)
	if verdict == admit.Evidence {
		inv.evidence(h, e, o)
	}
}

// late counts the status of a request that was counted without.
func (inv *Inventory) late(o *inventoryv1.Observation) {
	inv.counts.Late++
	if h := inv.hosts[keyOf(o)]; h != nil {
		if leaf := h.tree.Find(o.GetMethod(), pathOf(o)); leaf != nil {
			leaf.Value.delta.status(o.GetStatus())
			inv.dirty[leaf.Value] = true
		}
	}
}

func (inv *Inventory) hostOf(o *inventoryv1.Observation) *host {
	k := keyOf(o)
	if h := inv.hosts[k]; h != nil {
		return h
	}
	service := serviceKey{k.Cluster, k.Service}
	if len(inv.hosts) >= inv.limits.Hosts || inv.perService[service] >= inv.limits.HostsPerService {
		inv.losses.Add("inventory", "hosts_full", 1)
		return nil
	}
	inv.perService[service]++
	h := &host{key: k}
	h.tree = template.New(inv.limits.Tree, func(into, from *template.Leaf[*endpoint]) { inv.absorb(h, into, from) })
	inv.hosts[k] = h
	return h
}

func keyOf(o *inventoryv1.Observation) HostKey {
	return HostKey{clean(o.GetCluster(), longestName), clean(o.GetService(), longestName), clean(o.GetHost(), longestName)}
}

func pathOf(o *inventoryv1.Observation) []string {
	path := make([]string, len(o.GetSegments()))
	for i, segment := range o.GetSegments() {
		path[i] = segment.GetText()
	}
	return path
}
