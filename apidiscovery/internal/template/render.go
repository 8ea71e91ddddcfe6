package template

import (
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/sidelight/sidelight/apidiscovery/internal/schema"
	inventoryv1 "github.com/sidelight/sidelight/proto/gen/sidelight/inventory/v1"
)

// Parameter is one value of a path template.
type Parameter struct {
	Name  string
	Types schema.Types
}

// Template is "/orders/{orderId}" with its parameters in order.
func (l *Leaf[E]) Template() (string, []Parameter) {
	var b strings.Builder
	var parameters []Parameter
	used := map[string]bool{}
	for _, n := range l.at.path() {
		b.WriteByte('/')
		if !n.value {
			b.WriteString(url.PathEscape(n.text))
			continue
		}
		base := parameterName(n.parent.text, n.parent.parent != nil && !n.parent.value && speaks(n.parent.text), n.types)
		name := base
		for i := 2; used[name]; i++ {
			name = base + strconv.Itoa(i)
		}
		used[name] = true
		b.WriteString("{" + name + "}")
		parameters = append(parameters, Parameter{name, n.types})
	}
	if b.Len() == 0 {
		return "/", nil
	}
	return b.String(), parameters
}

// Shape is the template without names: they may change as more is known, and what is stored under a shape stays.
func (l *Leaf[E]) Shape() string {
	var b strings.Builder
	for _, n := range l.at.path() {
		b.WriteByte('/')
		if n.value {
			b.WriteString("{}")
		} else {
			b.WriteString(url.PathEscape(n.text))
		}
	}
	if b.Len() == 0 {
		return "/"
	}
	return b.String()
}

// path gives the nodes from the start, without the root.
func (n *node[E]) path() []*node[E] {
	var nodes []*node[E]
	for ; n.parent != nil; n = n.parent {
		nodes = append(nodes, n)
	}
	slices.Reverse(nodes)
	return nodes
}

// Restore puts a stored template back, with the types of its parameters in order, and gives its leaf.
func (t *Tree[E]) Restore(method, template string, types []schema.Types) *Leaf[E] {
	at := t.root
	for segment := range strings.SplitSeq(strings.Trim(template, "/"), "/") {
		if segment == "" {
			continue
		}
		if strings.HasPrefix(segment, "{") && strings.HasSuffix(segment, "}") {
			at = t.valueOf(at)
			if len(types) > 0 {
				at.types |= types[0]
				types = types[1:]
			}
			continue
		}
		text, err := url.PathUnescape(segment)
		if err != nil {
			text = segment
		}
		next := at.literals[text]
		if next == nil {
			next = t.addLiteral(at, text)
		}
		at = next
	}
	if at.value && at.types.Has(inventoryv1.ValueType_VALUE_TYPE_STRING) {
		// Names that ended here were values in an earlier life.
		at.parent.open = true
	}
	return at.leaf(method)
}

// Walk visits every leaf.
func (t *Tree[E]) Walk(visit func(*Leaf[E])) { t.root.walk(visit) }

func (n *node[E]) walk(visit func(*Leaf[E])) {
	for _, method := range sortedNames(n.leaves) {
		visit(n.leaves[method])
	}
	for _, name := range sortedNames(n.literals) {
		n.literals[name].walk(visit)
	}
	if n.variable != nil {
		n.variable.walk(visit)
	}
}

// Names gives the names of a template's parameters, in order.
func Names(template string) []string {
	var names []string
	for segment := range strings.SplitSeq(template, "/") {
		if name, ok := strings.CutPrefix(segment, "{"); ok {
			names = append(names, strings.TrimSuffix(name, "}"))
		}
	}
	return names
}
