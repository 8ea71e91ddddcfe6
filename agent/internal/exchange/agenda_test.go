package exchange

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// Whatever is put in, moved and taken out: what is due first comes first, within the slack of first deadlines.
func TestAgenda(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		a := &agenda{}
		want := map[*Open]uint64{}
		clock := uint64(1 << 40)
		for range 300 {
			clock += random.Uint64N(slack)
			switch n := random.IntN(10); {
			case n < 4:
				// Most begin about now, a few began long ago.
				deadline := clock - random.Uint64N(slack)/2
				if n == 0 {
					deadline -= random.Uint64N(1000 * slack)
				}
				o := &Open{}
				a.first(o, deadline)
				want[o] = deadline
			case n < 6:
				for o, deadline := range want {
					sooner := clock + random.Uint64N(100*slack) - 50*slack
					a.at(o, sooner)
					want[o] = min(deadline, sooner)
					break
				}
			case n < 8:
				for o := range want {
					a.remove(o)
					delete(want, o)
					// One that waits for news comes back with a deadline of its own.
					if random.IntN(2) == 0 {
						deadline := clock + random.Uint64N(100*slack)
						a.at(o, deadline)
						want[o] = deadline
					}
					break
				}
			default:
				if o := a.next(); o != nil {
					first := uint64(math.MaxUint64)
					for _, deadline := range want {
						first = min(first, deadline)
					}
					require.LessOrEqual(t, want[o], first+slack)
					require.LessOrEqual(t, o.deadline, want[o]+slack)
					a.remove(o)
					delete(want, o)
				}
			}
			require.Equal(t, len(want), a.len())
			seen := map[*Open]bool{}
			for o := range a.all() {
				_, known := want[o]
				require.True(t, known && !seen[o])
				seen[o] = true
			}
			require.Equal(t, len(want), len(seen)) //nolint:testifylint // Len would print them all
		}
	}
}

// Requests whose first bytes came long ago do not make those of others wait, nor searching for their place cost anything.
func TestOldBeginnings(t *testing.T) {
	t.Parallel()
	a := &agenda{}
	for i := range uint64(100) {
		a.first(&Open{}, 1000*slack+i)
		a.first(&Open{}, i)
	}
	require.Equal(t, 100, a.listed)
	for i := range uint64(100) {
		o := a.next()
		require.Equal(t, i, o.deadline)
		a.remove(o)
	}
	require.Equal(t, 100, a.len())
}

// What comes a little before its turn does not let what comes a little before that slip in.
func TestSlackDoesNotAddUp(t *testing.T) {
	t.Parallel()
	a := &agenda{}
	for i := range uint64(10) {
		a.first(&Open{}, 1000*slack-i*slack*3/4)
	}
	require.Equal(t, 2, a.listed)
	for range 8 {
		o := a.next()
		require.Less(t, o.deadline, 999*slack)
		a.remove(o)
	}
	require.Equal(t, 1000*slack, a.next().deadline)
}
