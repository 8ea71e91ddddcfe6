package template

import (
	"slices"

	"github.com/sidelight/sidelight/apidiscovery/internal/schema"
	inventoryv1 "github.com/sidelight/sidelight/proto/gen/sidelight/inventory/v1"
)

// reducePath looks for new evidence at every node of a path that grew, from the start on.
func (t *Tree[E]) reducePath(path []string) {
	at := t.root
	t.reduce(at)
	for i, segment := range path {
		next := at.literals[segment]
		if next == nil {
			next = at.variable
		}
		if next == nil {
			return
		}
		at = next
		if i < len(path)-1 || len(at.literals) > 0 {
			t.reduce(at)
		}
	}
}

// reduce turns literals of a node into values until there is no more evidence.
func (t *Tree[E]) reduce(at *node[E]) {
	for {
		names := at.values(t.limits)
		if len(names) == 0 {
			return
		}
		for _, name := range names {
			t.moveToValue(at, at.literals[name])
		}
		t.reduceBelow(at.variable)
	}
}

func (t *Tree[E]) reduceBelow(at *node[E]) {
	t.reduce(at)
	for _, name := range sortedNames(at.literals) {
		// A merge of an earlier name may have taken this one along.
		if child := at.literals[name]; child != nil {
			t.reduceBelow(child)
		}
	}
	if at.variable != nil {
		t.reduceBelow(at.variable)
	}
}

// values names the literals that the evidence says are values.
func (n *node[E]) values(limits Limits) []string {
	var names []string
	ending := 0
	shared := map[string]int{}
	for name, child := range n.literals {
		if _, is := n.classify(name); is && n.variable != nil && !n.restored(name) {
			names = append(names, name)
		}
		if child.isLast() {
			ending++
		}
		if child.mayBeValue() {
			for next := range child.literals {
				if !generic[next] {
					shared[next]++
				}
			}
		}
	}
	most := limits.Leaves
	if n.isStart() {
		most = limits.LeavesAtStart
	}
	overflow := ending > most
	for name, child := range n.literals {
		if overflow && child.isLast() || !n.isStart() && child.mayBeValue() && n.continues(child, shared, limits) {
			names = append(names, name)
		}
	}
	if overflow {
		n.open = true
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// restored guards a literal that an earlier life stored although it looks like a value now: its endpoint stands.
func (n *node[E]) restored(name string) bool {
	_, looks := Classify(name, n.isStart())
	return looks
}

// continues tells whether enough siblings go on as this one does.
func (n *node[E]) continues(child *node[E], shared map[string]int, limits Limits) bool {
	for next := range child.literals {
		need := limits.Continuations
		if n.variable != nil && n.variable.literals[next] != nil {
			need = limits.ContinuationsBesideTyped
			if n.variable.types.Has(inventoryv1.ValueType_VALUE_TYPE_STRING) {
				// Names were found to be values here before.
				need = 1
			}
		}
		if shared[next] >= need {
			return true
		}
	}
	return false
}

// generic names stand behind collections as well as behind values: "/carts/list" and "/orders/list" say nothing of carts.
var generic = map[string]bool{
	"list": true, "search": true, "count": true, "all": true, "new": true, "create": true, "add": true, "edit": true, "update": true,
	"delete": true, "remove": true, "get": true, "export": true, "import": true, "info": true, "status": true, "health": true,
	"index": true, "bulk": true, "batch": true, "stats": true, "metrics": true, "query": true, "save": true, "latest": true,
}

func (n *node[E]) isLast() bool { return len(n.literals) == 0 && n.variable == nil }

// mayBeValue: what has values right behind it is a collection, and a version or prefix names a part of the API.
func (n *node[E]) mayBeValue() bool {
	return n.variable == nil && !prefixes[n.text] && !version.MatchString(n.text) && !fileName.MatchString(n.text)
}

func (t *Tree[E]) moveToValue(at, child *node[E]) {
	value := t.valueOf(at)
	kind, known := at.classify(child.text)
	if !known {
		kind = inventoryv1.ValueType_VALUE_TYPE_STRING
		if at.merged == nil {
			at.merged = map[string]bool{}
		}
		if len(at.merged) < mostMerged {
			at.merged[child.text] = true
		} else {
			at.open = true
		}
	}
	value.types |= schema.Of(kind)
	delete(at.literals, child.text)
	t.nodes--
	t.absorbNode(value, child)
}

// absorbNode moves all leaves of a tree's part to the same places below another node.
func (t *Tree[E]) absorbNode(into, from *node[E]) {
	for _, method := range sortedNames(from.leaves) {
		t.absorb(into.leaf(method), from.leaves[method])
	}
	for _, name := range sortedNames(from.literals) {
		child := from.literals[name]
		target := into.literals[name]
		if target == nil {
			target = t.addLiteral(into, name)
		}
		t.nodes--
		t.absorbNode(target, child)
	}
	if from.variable != nil {
		target := t.valueOf(into)
		target.types |= from.variable.types
		t.nodes--
		t.absorbNode(target, from.variable)
	}
	for name := range from.merged {
		if into.merged == nil {
			into.merged = map[string]bool{}
		}
		into.merged[name] = true
	}
	into.open = into.open || from.open
	for _, prefix := range from.prefixes {
		if len(into.prefixes) < mostPrefixes && !slices.Contains(into.prefixes, prefix) {
			into.prefixes = append(into.prefixes, prefix)
		}
	}
}

func sortedNames[V any](m map[string]V) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
