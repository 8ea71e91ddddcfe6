package inventory

import (
	"maps"
	"slices"
	"strings"

	"github.com/sidelight/sidelight/apidiscovery/internal/schema"
	"github.com/sidelight/sidelight/apidiscovery/internal/template"
	inventoryv1 "github.com/sidelight/sidelight/proto/gen/sidelight/inventory/v1"
)

// Take gives what is new of the shown endpoints, and begins anew.
func (inv *Inventory) Take() Batch {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	batch := Batch{Merges: resolve(inv.merges), Observations: inv.pending}
	inv.merges, inv.pending = nil, 0
	for e := range inv.dirty {
		if !e.published {
			continue
		}
		delete(inv.dirty, e)
		// A merge alone has no time of its own.
		if e.delta.first.IsZero() {
			e.delta.first, e.delta.last = inv.now(), inv.now()
		}
		batch.Endpoints = append(batch.Endpoints, e.take())
		for key, p := range e.delta.parameters {
			batch.Parameters = append(batch.Parameters, ParameterDelta{e.host.key.Cluster, e.id, key, p})
		}
		e.delta = delta{}
	}
	// One order for all writers of a table: no deadlocks between replicas.
	slices.SortFunc(batch.Endpoints, func(a, b EndpointDelta) int {
		return strings.Compare(a.Cluster+a.ID, b.Cluster+b.ID)
	})
	slices.SortFunc(batch.Parameters, func(a, b ParameterDelta) int {
		if c := strings.Compare(a.Cluster+a.Endpoint, b.Cluster+b.Endpoint); c != 0 {
			return c
		}
		return a.Compare(b.Key)
	})
	return batch
}

// resolve follows chains of merges to their last endpoint: the ones between may never have been written.
func resolve(merges []Merge) []Merge {
	for i := len(merges) - 1; i >= 0; i-- {
		for _, later := range merges[i+1:] {
			if later.Cluster == merges[i].Cluster && later.From == merges[i].Into {
				merges[i].Into = later.Into
				break
			}
		}
	}
	return merges
}

func (e *endpoint) take() EndpointDelta {
	path, _ := e.leaf.Template()
	d := EndpointDelta{
		ID:       e.id,
		Identity: Identity{e.host.key.Cluster, e.host.key.Service, e.host.key.Host, e.leaf.Method, path, e.protocol},
		Requests: e.delta.requests, Classes: e.delta.classes, Attacks: e.delta.attacks, Whole: e.delta.whole, Auth: e.auth,
		RequestTypes: slices.Clone(e.request), ResponseTypes: slices.Clone(e.response),
		FirstSeen: e.delta.first, LastSeen: e.delta.last, Structural: e.delta.structural,
	}
	return d
}

// Restore puts back what an earlier life stored. It is due before the first Add.
func (inv *Inventory) Restore(stored []Stored) {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	for _, s := range stored {
		h := inv.hostOf(&inventoryv1.Observation{Cluster: s.Cluster, Service: s.Service, Host: s.Host})
		if h == nil || inv.endpoints >= inv.limits.Endpoints {
			inv.losses.Add("inventory", "stored_endpoints_full", 1)
			continue
		}
		leaf := h.tree.Restore(s.Method, s.Template, pathTypes(s))
		if leaf.Value == nil {
			inv.attach(h, leaf)
		}
		e := leaf.Value
		// A newer version may find another shape: what is stored stays what it is.
		e.id, e.published, e.whole, e.auth, e.protocol = s.ID, true, s.Whole, s.Auth, s.Protocol
		e.request, e.response = s.RequestTypes, s.ResponseTypes
		maps.Copy(e.known, s.Parameters)
		inv.changes++
		h.changed = inv.changes
	}
}

// pathTypes gives the types of a stored template's parameters, in order.
func pathTypes(s Stored) []schema.Types {
	var types []schema.Types
	for _, name := range template.Names(s.Template) {
		types = append(types, s.Parameters[schema.Key{Location: inventoryv1.Location_LOCATION_PATH, Name: name}].Types)
	}
	return types
}

// Counts is what the inventory did in this life.
type Counts struct {
	Observations, Duplicates, Requests, Late uint64
	// Unconfirmed requests belong to no endpoint, by the reason why they made none.
	Unconfirmed                 map[string]uint64
	Hosts, Endpoints, Published int
	Exchanges                   int
}

// Counts gives the counters of this moment.
func (inv *Inventory) Counts() Counts {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	c := inv.counts
	c.Unconfirmed = maps.Clone(c.Unconfirmed)
	c.Hosts, c.Endpoints, c.Exchanges = len(inv.hosts), inv.endpoints, inv.exchanges.Len()
	for _, h := range inv.hosts {
		h.tree.Walk(func(leaf *template.Leaf[*endpoint]) {
			if leaf.Value != nil && leaf.Value.published {
				c.Published++
			}
		})
	}
	return c
}
