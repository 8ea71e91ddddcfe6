package inventory

import (
	"slices"

	"github.com/sidelight/sidelight/apidiscovery/internal/schema"
	"github.com/sidelight/sidelight/apidiscovery/internal/template"
	inventoryv1 "github.com/sidelight/sidelight/proto/gen/sidelight/inventory/v1"
)

// Learned gives the templates of a host and the number of their last change. Nil: nothing newer than `after`.
func (inv *Inventory) Learned(key HostKey, after uint64) (*inventoryv1.Learned, uint64) {
	inv.mu.Lock()
	defer inv.mu.Unlock()
	h := inv.hosts[key]
	if h == nil || h.changed <= after {
		return nil, after
	}
	learned := &inventoryv1.Learned{Service: key.Service, Host: key.Host}
	h.tree.Walk(func(leaf *template.Leaf[*endpoint]) {
		e := leaf.Value
		if e == nil || !e.published {
			return
		}
		path, _ := leaf.Template()
		learned.Endpoints = append(learned.Endpoints, &inventoryv1.LearnedEndpoint{
			Id: e.id, Method: leaf.Method, PathTemplate: path, Parameters: e.parameters(template.Names(path)),
		})
	})
	return learned, h.changed
}

// HostOf gives the key that an observation is filed under.
func HostOf(o *inventoryv1.Observation) HostKey { return keyOf(o) }

// parameters gives what is known, without names that a template had before.
func (e *endpoint) parameters(names []string) []*inventoryv1.EndpointParameter {
	keys := make([]schema.Key, 0, len(e.known))
	for key := range e.known {
		if key.Location == inventoryv1.Location_LOCATION_PATH && !slices.Contains(names, key.Name) {
			continue
		}
		keys = append(keys, key)
	}
	slices.SortFunc(keys, schema.Key.Compare)
	list := make([]*inventoryv1.EndpointParameter, 0, len(keys))
	for _, key := range keys {
		list = append(list, e.known[key].Proto(key, e.whole))
	}
	return list
}
