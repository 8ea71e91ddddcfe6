package inventory

import (
	"slices"

	"github.com/sidelight/sidelight/apidiscovery/internal/schema"
	"github.com/sidelight/sidelight/apidiscovery/internal/template"
	inventoryv1 "github.com/sidelight/sidelight/proto/gen/sidelight/inventory/v1"
)

// parametersOf gives what one request carried, each parameter once.
func (inv *Inventory) parametersOf(e *endpoint, o *inventoryv1.Observation) map[schema.Key]schema.Parameter {
	at := inv.timeOf(o)
	found := make(map[schema.Key]schema.Parameter, len(o.GetParameters()))
	for _, p := range o.GetParameters() {
		if p.GetLocation() == inventoryv1.Location_LOCATION_UNSPECIFIED || p.GetLocation() == inventoryv1.Location_LOCATION_PATH {
			continue
		}
		if len(p.GetName()) > longestParameter {
			// Cut names would be confused with one another.
			inv.losses.Add("inventory", "parameter_name_too_long", 1)
			continue
		}
		key := schema.Key{Location: p.GetLocation(), Name: clean(p.GetName(), longestParameter)}
		one := schema.Parameter{Types: schema.Of(p.GetType()), Classes: classesOf(p), Seen: 1, FirstSeen: at, LastSeen: at}
		// One parameter comes several times when its values differ in type; it was in one request.
		if have, ok := found[key]; ok {
			one.Seen = 0
			have.Merge(one)
			one = have
		}
		found[key] = one
	}
	_, names := e.leaf.Template()
	for _, name := range names {
		found[schema.Key{Location: inventoryv1.Location_LOCATION_PATH, Name: name.Name}] =
			schema.Parameter{Types: name.Types, Seen: 1, FirstSeen: at, LastSeen: at}
	}
	return found
}

func classesOf(p *inventoryv1.Parameter) []string {
	if len(p.GetClasses()) == 0 {
		return nil
	}
	var classes []string
	for _, class := range p.GetClasses() {
		if class = clean(class, longestType); class != "" {
			classes = append(classes, class)
		}
	}
	slices.Sort(classes)
	return slices.Compact(classes)
}

// learnParameter adds one request's parameter to what is known, and to the delta.
func (inv *Inventory) learnParameter(e *endpoint, key schema.Key, p schema.Parameter) (grew bool) {
	known, there := e.known[key]
	if !there && len(e.known) >= inv.limits.Parameters {
		inv.losses.Add("inventory", "parameters_full", 1)
		return false
	}
	grew = known.Merge(p) || !there
	e.known[key] = known
	if e.delta.parameters == nil {
		e.delta.parameters = map[schema.Key]schema.Parameter{}
	}
	fresh := e.delta.parameters[key]
	fresh.Merge(p)
	e.delta.parameters[key] = fresh
	return grew
}

// absorb takes over what a leaf held that turned out to be part of another.
func (inv *Inventory) absorb(h *host, intoLeaf, fromLeaf *template.Leaf[*endpoint]) {
	from := fromLeaf.Value
	if from == nil {
		return
	}
	into := intoLeaf.Value
	if into == nil {
		into = inv.attach(h, intoLeaf)
	}
	inv.endpoints--
	delete(inv.dirty, from)
	d := &from.delta
	into.delta.requests += d.requests
	into.delta.attacks += d.attacks
	into.delta.whole += d.whole
	into.whole += from.whole
	for i, n := range d.classes {
		into.delta.classes[i] += n
	}
	into.delta.first, into.delta.last = schema.Earlier(into.delta.first, d.first), schema.Later(into.delta.last, d.last)
	into.auth |= from.auth
	into.protocol = max(into.protocol, from.protocol)
	for _, contentType := range from.request {
		addType(&into.request, contentType)
	}
	for _, contentType := range from.response {
		addType(&into.response, contentType)
	}
	for key, known := range from.known {
		have, there := into.known[key]
		if there || len(into.known) < inv.limits.Parameters {
			have.Merge(known)
			into.known[key] = have
		}
	}
	for key, p := range d.parameters {
		inv.deltaOnly(into, key, p)
	}
	if from.published {
		into.published = true
		inv.merges = append(inv.merges, Merge{h.key.Cluster, from.id, into.id})
	}
	into.published = into.published || into.whole >= inv.limits.Requests
	inv.changed(h, into)
}

// deltaOnly passes on what a flush has to write, which is known already.
func (inv *Inventory) deltaOnly(e *endpoint, key schema.Key, p schema.Parameter) {
	if _, there := e.known[key]; !there {
		return
	}
	if e.delta.parameters == nil {
		e.delta.parameters = map[schema.Key]schema.Parameter{}
	}
	fresh := e.delta.parameters[key]
	fresh.Merge(p)
	e.delta.parameters[key] = fresh
}
