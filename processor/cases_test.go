package processor

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sidelight/sidelight/processor/cases"
)

var testTime = time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)

// TestCases runs every case file: exactly the expected hits, and an inspection that is whole.
func TestCases(t *testing.T) {
	t.Parallel()
	all, err := cases.All()
	require.NoError(t, err)
	i := inspector(t)
	for _, c := range all {
		t.Run(c.File+"/"+c.Name, func(t *testing.T) {
			t.Parallel()
			v := i.Inspect(caseExchange(c))
			var got, want []string
			for _, h := range v.Hits {
				got = append(got, h.GetType()+" "+h.GetPoint())
			}
			for _, e := range c.Expect {
				want = append(want, e.Type+" "+e.Point)
			}
			slices.Sort(got)
			slices.Sort(want)
			require.Equal(t, want, got, "rules %v", v.Matches)
			require.True(t, v.Complete, v.WhyIncomplete)
			require.True(t, slices.IsSorted(v.Matches))
			for _, h := range v.Hits {
				requireInPlace(t, c, h.GetPoint(), h.GetEvidence().GetOffset(), h.GetEvidence().GetLength())
				require.NotEmpty(t, h.GetReferences(), fmt.Sprint(h.GetType()))
				require.NotEmpty(t, h.GetRules())
				require.NotZero(t, h.GetSeverity())
				require.NotZero(t, h.GetConfidence())
			}
		})
	}
}

func requireInPlace(t *testing.T, c cases.Case, point string, offset, length uint64) {
	t.Helper()
	require.NotZero(t, length, "%s has evidence of no bytes", point)
	require.LessOrEqual(t, offset+length, uint64(len(c.Target)+len(c.Body)+4096))
}
