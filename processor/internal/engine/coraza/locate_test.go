package coraza

import (
	"testing"

	"github.com/corazawaf/coraza/v3/types"
	"github.com/corazawaf/coraza/v3/types/variables"
	"github.com/stretchr/testify/require"

	trafficv1 "github.com/sidelight/sidelight/proto/gen/sidelight/traffic/v1"

	"github.com/sidelight/sidelight/processor/internal/decode"
	"github.com/sidelight/sidelight/processor/internal/engine"
)

// data is a match as Coraza reports it.
type data struct {
	types.MatchData
	variable         variables.RuleVariable
	key, value, text string
}

func (d data) Variable() variables.RuleVariable { return d.variable }
func (d data) Key() string                      { return d.key }
func (d data) Value() string                    { return d.value }
func (d data) ChainLevel() int                  { return 0 }
func (d data) Data() string {
	return "Matched Data: " + d.text + " found within " + d.variable.Name() + ":" + d.key + ": " + d.value
}

func TestARangeIsClaimedOnlyIfProven(t *testing.T) {
	t.Parallel()
	decoded := &rule{Rule: engine.Rule{Operator: "rx"}, transformations: []string{"urlDecodeUni", "lowercase"}}
	for name, tt := range map[string]struct {
		rule        *rule
		target      string
		value, text string
		exact       bool
		raw         string
	}{
		"once":                      {decoded, "/?v=a%2520OR%2520b", "a or b", " or ", true, "%2520OR%2520"},
		"another value":             {decoded, "/?v=a%2520OR%2520b", "x or b", " or ", false, "a%2520OR%2520b"},
		"twice, not known which":    {decoded, "/?v=oror", "oror", "or", false, "oror"},
		"twice, a keyword search":   {&rule{Rule: engine.Rule{Operator: "pmFromFile"}}, "/?v=oror", "oror", "or", true, "or"},
		"twice, found by the rule":  {&rule{Rule: engine.Rule{Operator: "rx"}, pattern: `or\b`}, "/?v=orx+or", "orx or", "or", true, "or"},
		"not a text of the value":   {decoded, "/?v=a", "a", "s&1c", false, "a"},
		"a step that is not known":  {&rule{transformations: []string{"sha1"}}, "/?v=a", "a", "a", false, "a"},
		"after the first of many":   {&rule{transformations: []string{"urlDecodeUni", "removeWhitespace"}, multi: true}, "/?v=a%2520b", "a b", "a b", true, "a%2520b"},
		"second of two equal names": {decoded, "/?v=z&v=Q", "q", "q", true, "Q"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := decode.Decode(&trafficv1.Request{Target: []byte(tt.target), BodyComplete: true}, nil, decode.DefaultLimits())
			w, ok := newLocator(r).place(tt.rule, data{variable: variables.Args, key: "v", value: tt.value, text: tt.text})
			require.True(t, ok)
			require.Equal(t, "query.v", r.Points[w.Point].Name)
			require.Equal(t, tt.exact, w.Exact)
			require.Equal(t, tt.raw, string(r.RawBytes(r.Points[w.Point].Raw)[w.Start:w.End]))
		})
	}
}

func TestWholePaths(t *testing.T) {
	t.Parallel()
	got := string(wholePaths([]byte("# c\n\netc/passwd\n/proc/\n.aws/\nconfig.json\nEtc/Hosts\n")))
	require.Equal(t, "/etc/passwd/\n/.aws/\n/etc/hosts/\n", got)
}
