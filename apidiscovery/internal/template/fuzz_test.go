package template

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sidelight/sidelight/apidiscovery/internal/schema"
)

func typesOf(parameters []Parameter) []schema.Types {
	var types []schema.Types
	for _, p := range parameters {
		types = append(types, p.Types)
	}
	return types
}

// FuzzLearn holds that every path finds its leaf, that nothing is lost in merges, and that a stored template is understood.
func FuzzLearn(f *testing.F) {
	f.Add("/users/1\n/users/alice/orders\n/users/bob/orders\n/users/1/orders")
	f.Add("/a/x/c\n/a/y/c\n/a/z/c\n/a/w/c\n/a/x")
	f.Add("/orders/ord_9aXk2mQ8pL\n/orders/ord_abcdefghijk\n/\n//\n/{}/%/{x}")
	f.Add("/v1/2026-01-01/a\n/api/rest/v2/x\n/\x00\xff\n/..")
	f.Fuzz(func(t *testing.T, text string) {
		limits := DefaultLimits()
		limits.Nodes, limits.Leaves = 200, 5
		tree := New(limits, func(into, from *Leaf[int]) { into.Value += from.Value })
		learned := 0
		for path := range strings.SplitSeq(text, "\n") {
			leaf, err := tree.Learn("GET", segments(path))
			if err != nil {
				continue
			}
			leaf.Value++
			learned++
			require.Same(t, leaf, tree.Find("GET", segments(path)), "path %q", path)
		}
		require.LessOrEqual(t, tree.Nodes(), 200)
		want := templates(t, tree, learned)
		second := New(limits, func(into, from *Leaf[int]) { into.Value += from.Value })
		tree.Walk(func(leaf *Leaf[int]) {
			path, parameters := leaf.Template()
			second.Restore(leaf.Method, path, typesOf(parameters)).Value = leaf.Value
		})
		require.Equal(t, want, templates(t, second, learned))
	})
}
