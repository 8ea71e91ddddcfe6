// Package template finds which segments of paths are values: by their looks, and by what stands beside and behind them.
// What it finds depends on which paths were seen, not on their order, as long as no limit of a tree is reached.
package template

import (
	"errors"
	"slices"
	"strings"

	"github.com/sidelight/sidelight/apidiscovery/internal/schema"
	inventoryv1 "github.com/sidelight/sidelight/proto/gen/sidelight/inventory/v1"
)

// Limits bound a tree, and say how much evidence turns literals into a parameter.
type Limits struct {
	// Nodes is the size of the tree.
	Nodes int
	// Continuations is how many siblings must share a next literal: "/users/alice/orders", "/users/bob/orders" …
	Continuations int
	// ContinuationsBesideTyped is how many suffice where values of a known form stand beside them.
	ContinuationsBesideTyped int
	// Leaves is how many literals may end under one parent.
	Leaves int
	// LeavesAtStart holds where an API begins, and fixed names are many.
	LeavesAtStart int
}

// DefaultLimits fit one host of one service.
func DefaultLimits() Limits {
	return Limits{Nodes: 4096, Continuations: 4, ContinuationsBesideTyped: 2, Leaves: 50, LeavesAtStart: 200}
}

// ErrFull says that the tree takes no new paths.
var ErrFull = errors.New("the tree of paths is full")

const (
	mostPrefixes = 8
	mostMerged   = 1024
)

// Tree holds the paths of one host. E is what its owner keeps for each method and path.
type Tree[E any] struct {
	limits Limits
	root   *node[E]
	nodes  int
	absorb func(into, from *Leaf[E])
}

// Leaf is one method of one path template.
type Leaf[E any] struct {
	Method string
	Value  E
	at     *node[E]
}

type node[E any] struct {
	parent *node[E]
	text   string
	// variable is the child that stands for values; literals are the fixed ones.
	variable *node[E]
	literals map[string]*node[E]
	leaves   map[string]*Leaf[E]
	// types of the values, if this node stands for values.
	types schema.Types
	value bool
	// merged are former literals that turned out to be values; open: so is every new one that ends here.
	merged   map[string]bool
	open     bool
	prefixes []string
}

// New makes an empty tree. When evidence moves a leaf, absorb is told: `into` takes over what `from` held.
func New[E any](limits Limits, absorb func(into, from *Leaf[E])) *Tree[E] {
	return &Tree[E]{limits: limits, root: &node[E]{}, nodes: 1, absorb: absorb}
}

// Nodes is the size of the tree.
func (t *Tree[E]) Nodes() int { return t.nodes }

// Find gives the leaf that a path belongs to, without learning from it.
func (t *Tree[E]) Find(method string, path []string) *Leaf[E] {
	at := t.root
	for _, segment := range path {
		next := at.literals[segment]
		if next == nil && at.variable != nil {
			if _, isValue := at.classify(segment); isValue || at.open {
				next = at.variable
			}
		}
		if next == nil {
			return nil
		}
		at = next
	}
	return at.leaves[method]
}

// Learn gives the leaf that a path belongs to, making it if need be.
func (t *Tree[E]) Learn(method string, path []string) (*Leaf[E], error) {
	at, grew := t.root, false
	for i, segment := range path {
		next, isNew, err := t.step(at, segment, i == len(path)-1)
		if err != nil {
			return nil, err
		}
		at, grew = next, grew || isNew
	}
	if at.leaves[method] == nil {
		grew = true
	}
	leaf := at.leaf(method)
	if grew {
		t.reducePath(path)
		leaf = t.Find(method, path)
		if leaf == nil {
			// The path's own literals were merged; the leaf stands where they went.
			return nil, ErrFull
		}
	}
	return leaf, nil
}

// step goes down one segment.
func (t *Tree[E]) step(at *node[E], segment string, last bool) (next *node[E], isNew bool, err error) {
	if next = at.literals[segment]; next != nil {
		return next, false, nil
	}
	kind, isValue := at.classify(segment)
	if !isValue && last && at.open {
		kind, isValue = inventoryv1.ValueType_VALUE_TYPE_STRING, true
	}
	if !isValue {
		if t.nodes >= t.limits.Nodes {
			return nil, false, ErrFull
		}
		return t.addLiteral(at, segment), true, nil
	}
	isNew = at.variable == nil
	if isNew && t.nodes >= t.limits.Nodes {
		return nil, false, ErrFull
	}
	next = t.valueOf(at)
	next.types |= schema.Of(kind)
	return next, at.learnPrefix(segment, kind) || isNew, nil
}

func (t *Tree[E]) addLiteral(at *node[E], segment string) *node[E] {
	if at.literals == nil {
		at.literals = map[string]*node[E]{}
	}
	next := &node[E]{parent: at, text: segment}
	at.literals[segment] = next
	t.nodes++
	return next
}

func (t *Tree[E]) valueOf(at *node[E]) *node[E] {
	if at.variable == nil {
		at.variable = &node[E]{parent: at, value: true}
		t.nodes++
	}
	return at.variable
}

func (n *node[E]) leaf(method string) *Leaf[E] {
	if n.leaves == nil {
		n.leaves = map[string]*Leaf[E]{}
	}
	if n.leaves[method] == nil {
		n.leaves[method] = &Leaf[E]{Method: method, at: n}
	}
	return n.leaves[method]
}

// classify tells a value by its looks, by a former decision, or by a prefix that ids have here.
func (n *node[E]) classify(segment string) (inventoryv1.ValueType, bool) {
	if kind, ok := Classify(segment, n.isStart()); ok {
		return kind, true
	}
	if n.merged[segment] {
		return inventoryv1.ValueType_VALUE_TYPE_STRING, true
	}
	if len(n.prefixes) > 0 {
		if prefix, id, ok := cutPrefix(segment); ok && len(id) >= 5 && slices.Contains(n.prefixes, prefix) {
			return inventoryv1.ValueType_VALUE_TYPE_PREFIXED_ID, true
		}
	}
	return 0, false
}

// learnPrefix remembers how ids begin here, so that one that happens to look like a word is known too.
func (n *node[E]) learnPrefix(segment string, kind inventoryv1.ValueType) bool {
	if kind != inventoryv1.ValueType_VALUE_TYPE_PREFIXED_ID {
		return false
	}
	prefix, id, ok := cutPrefix(segment)
	if !ok || isDigits(id) || len(n.prefixes) >= mostPrefixes || slices.Contains(n.prefixes, prefix) {
		return false
	}
	n.prefixes = append(n.prefixes, prefix)
	return true
}

// isStart tells whether fixed names are the rule below this node: at the start, and behind "api" and versions.
func (n *node[E]) isStart() bool {
	return n.parent == nil || !n.value && (prefixes[strings.ToLower(n.text)] || version.MatchString(n.text)) && n.parent.isStart()
}
