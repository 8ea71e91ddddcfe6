// Package filter is the one search grammar of the command line, the tail, the API and the console. A filter is either
// matched against a summary or turned into a parameterised SQL condition; both say the same.
//
//	type:sqli,xss status:>=500 -path:/health* (service:shop OR client:10.0.0.0/8) checkout
//
// Terms side by side must all hold; OR, NOT (or -) and parentheses do what they say; a bare word is looked for in path and
// host; * in a value stands for anything, unless the value is in quotes.
package filter

import (
	"strings"

	processorv1 "github.com/sidelight/sidelight/proto/gen/sidelight/processor/v1"
)

// Filter is a parsed filter. The nil and the zero filter match everything. It is safe for concurrent use.
type Filter struct {
	// nil = everything.
	root *node
}

type op uint8

const (
	opTerm op = iota
	opNot
	opAnd
	opOr
)

// node is a term or a combination. Combinations of the same kind are never nested, so that equal filters look equal.
type node struct {
	op op
	// of a combination; one of opNot.
	kids []node
	// of a term: one of the values must match.
	key    *key
	values []value
}

// Match tells whether the summary is asked for. It allocates nothing.
func (f *Filter) Match(s *processorv1.Summary) bool {
	return f == nil || f.root == nil || f.root.match(s)
}

func (n *node) match(s *processorv1.Summary) bool {
	switch n.op {
	case opNot:
		return !n.kids[0].match(s)
	case opAnd:
		for i := range n.kids {
			if !n.kids[i].match(s) {
				return false
			}
		}
		return true
	case opOr:
		for i := range n.kids {
			if n.kids[i].match(s) {
				return true
			}
		}
		return false
	case opTerm:
		for i := range n.values {
			if n.key.match(s, &n.values[i]) {
				return true
			}
		}
	}
	return false
}

// String is the canonical form: it parses to the same filter.
func (f *Filter) String() string {
	if f == nil || f.root == nil {
		return ""
	}
	var b strings.Builder
	f.root.write(&b, opOr)
	return b.String()
}

// write adds the node as it stands inside a combination of the given kind.
func (n *node) write(b *strings.Builder, inside op) {
	// OR binds least: only inside OR, or alone, does it stand without parentheses.
	open := n.op == opOr && inside != opOr || n.op == opAnd && inside == opNot
	if open {
		b.WriteByte('(')
	}
	switch n.op {
	case opNot:
		b.WriteByte('-')
		n.kids[0].write(b, opNot)
	case opAnd, opOr:
		for i := range n.kids {
			if i > 0 && n.op == opOr {
				b.WriteString(" OR ")
			} else if i > 0 {
				b.WriteByte(' ')
			}
			n.kids[i].write(b, n.op)
		}
	case opTerm:
		if n.key.name != "" {
			b.WriteString(n.key.name)
			b.WriteByte(':')
		}
		for i := range n.values {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString(n.key.show(&n.values[i]))
		}
	}
	if open {
		b.WriteByte(')')
	}
}

// combine puts nodes together, and takes in those that are the same combination.
func combine(kind op, kids []node) node {
	if len(kids) == 1 {
		return kids[0]
	}
	var flat []node
	for _, kid := range kids {
		if kid.op == kind {
			flat = append(flat, kid.kids...)
		} else {
			flat = append(flat, kid)
		}
	}
	return node{op: kind, kids: flat}
}

// negate undoes a negation instead of adding one to it.
func negate(n node) node {
	if n.op == opNot {
		return n.kids[0]
	}
	return node{op: opNot, kids: []node{n}}
}
