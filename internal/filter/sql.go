package filter

import (
	"fmt"
	"slices"
	"strings"
)

// Kind is what a column holds.
type Kind uint8

const (
	// Text is text.
	Text Kind = iota + 1
	// Int is a number.
	Int
	// Bool is true or false.
	Bool
	// Inet is an address.
	Inet
	// Array is a list of texts: one of them must be the one asked for.
	Array
)

func (k Kind) String() string {
	return [...]string{"nothing", "text", "int", "bool", "inet", "array"}[min(k, Array)]
}

// Column is where a key's values are in a query. Phases are the words request, update and closed.
type Column struct {
	// Expr is SQL of the program, never of a person.
	Expr string
	Kind Kind
}

// SQL gives a Postgres condition for the keys that have a column, with its arguments numbered from firstArg ($1, $2, …).
// Arguments are of plain types: string lists, numbers, bool lists. NULL is no value: it matches nothing, and its negation.
// A key without a column is an *Error that names those that have one.
func (f *Filter) SQL(columns map[string]Column, firstArg int) (where string, args []any, err error) {
	if f == nil || f.root == nil {
		return "true", nil, nil
	}
	w := &sqlWriter{columns: columns, first: firstArg}
	where, err = w.node(f.root)
	return where, w.args, err
}

type sqlWriter struct {
	columns map[string]Column
	first   int
	args    []any
}

// arg takes an argument and gives its place.
func (w *sqlWriter) arg(v any) string {
	w.args = append(w.args, v)
	return fmt.Sprintf("$%d", w.first+len(w.args)-1)
}

func (w *sqlWriter) node(n *node) (string, error) {
	if n.op == opTerm {
		return w.term(n)
	}
	var parts []string
	for i := range n.kids {
		part, err := w.node(&n.kids[i])
		if err != nil {
			return "", err
		}
		parts = append(parts, part)
	}
	switch n.op {
	case opNot:
		// NOT of what is unknown would be unknown, and match nothing.
		return "(" + parts[0] + " is not true)", nil
	case opAnd:
		return "(" + strings.Join(parts, " and ") + ")", nil
	default:
		return either(parts), nil
	}
}

func either(parts []string) string { return "(" + strings.Join(parts, " or ") + ")" }

func (w *sqlWriter) term(n *node) (string, error) {
	if n.key == word {
		return w.word(n)
	}
	column, found := w.columns[n.key.name]
	if !found {
		return "", &Error{Msg: fmt.Sprintf("key %q cannot be used here; want one of %s", n.key.name, w.usable())}
	}
	switch {
	case column.Kind != n.key.kind && (n.key.kind != Text || column.Kind != Array):
		return "", fmt.Errorf("filter key %s: a column of kind %s cannot hold a value of kind %s", n.key.name, column.Kind, n.key.kind)
	case n.key.kind == Text:
		return w.text(column, n), nil
	}
	switch n.key.kind {
	case Int:
		var parts []string
		for _, v := range n.values {
			// No answer may be 0 or NULL.
			parts = append(parts, fmt.Sprintf("coalesce((%s), 0) between %s and %s", column.Expr, w.arg(v.low), w.arg(v.high)))
		}
		return either(parts), nil
	case Bool:
		var list []bool
		for _, v := range n.values {
			list = append(list, v.yes)
		}
		return fmt.Sprintf("((%s) = any(%s::bool[]))", column.Expr, w.arg(list)), nil
	default:
		var list []string
		for _, v := range n.values {
			list = append(list, v.prefix.String())
		}
		return fmt.Sprintf("((%s) <<= any(%s::text[]::inet[]))", column.Expr, w.arg(list)), nil
	}
}

// usable lists the keys that have a column.
func (w *sqlWriter) usable() string {
	return strings.Join(slices.DeleteFunc(slices.Clone(order), func(name string) bool {
		_, found := w.columns[name]
		return !found
	}), ", ")
}

// word looks in path and host, or in the one of them that there is.
func (w *sqlWriter) word(n *node) (string, error) {
	var parts []string
	for _, name := range []string{"path", "host"} {
		if column, found := w.columns[name]; found {
			parts = append(parts, w.text(column, n))
		}
	}
	if len(parts) == 0 {
		return "", &Error{Msg: "a word without a key cannot be used here; want one of " + w.usable() + " before it, and a colon"}
	}
	return either(parts), nil
}

// text compares with all values at once, so that an index can serve the exact ones.
func (w *sqlWriter) text(column Column, n *node) string {
	var same, like []string
	for _, v := range n.values {
		for _, p := range []pattern{v.text, v.also} {
			if exact, ok := p.exact(); ok {
				same = append(same, exact)
			} else if len(p.pieces) > 0 {
				like = append(like, likePattern(p))
			}
		}
	}
	expr := "(" + column.Expr + ")"
	if column.Kind == Array {
		expr = "item"
	}
	if n.key.fold {
		// Of this collation, lower changes ASCII letters only, as Match does.
		expr = `lower(` + expr + ` collate "C")`
	}
	var parts []string
	if len(same) > 0 {
		parts = append(parts, expr+" = any("+w.arg(same)+"::text[])")
	}
	if len(like) > 0 {
		parts = append(parts, expr+" like any("+w.arg(like)+"::text[])")
	}
	if column.Kind == Array {
		return "exists (select from unnest(" + column.Expr + ") as item where " + strings.Join(parts, " or ") + ")"
	}
	return either(parts)
}

// likePattern writes a pattern as LIKE has it.
func likePattern(p pattern) string {
	quoted := make([]string, len(p.pieces))
	for i, piece := range p.pieces {
		quoted[i] = strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(piece)
	}
	return strings.Join(quoted, "%")
}
