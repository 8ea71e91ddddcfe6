package admit

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	inventoryv1 "github.com/sidelight/sidelight/proto/gen/sidelight/inventory/v1"
)

var start = time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)

func revision(id string, n, status uint32) *inventoryv1.Observation {
	return &inventoryv1.Observation{ExchangeId: fmt.Appendf(nil, "%016s", id), Revision: n, Status: status}
}

func outcome(id string, n, status uint32) *inventoryv1.Observation {
	o := revision(id, n, status)
	o.OutcomeOnly, o.Incomplete = true, true
	return o
}

// result is what became of a series: how often a request was counted, with which status, and late statuses.
type result struct {
	settled    []uint32
	late       []uint32
	duplicates int
	incomplete bool
}

func (r *result) take(out Outcome) {
	if out.Settled != nil {
		r.settled = append(r.settled, out.Settled.GetStatus())
		r.incomplete = out.Settled.GetIncomplete()
	}
	if out.Late != nil {
		r.late = append(r.late, out.Late.GetStatus())
	}
	if out.Duplicate {
		r.duplicates++
	}
}

func TestAnExchangeCountsOnce(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		series []*inventoryv1.Observation
		want   result
	}{
		"quick answer":                     {[]*inventoryv1.Observation{revision("a", 1, 200)}, result{settled: []uint32{200}}},
		"resend":                           {[]*inventoryv1.Observation{revision("a", 1, 200), revision("a", 1, 200), revision("a", 1, 200)}, result{settled: []uint32{200}, duplicates: 2}},
		"resend before the answer":         {[]*inventoryv1.Observation{revision("a", 1, 0), revision("a", 1, 0), outcome("a", 2, 201), outcome("a", 2, 201)}, result{settled: []uint32{201}, duplicates: 2}},
		"late answer":                      {[]*inventoryv1.Observation{revision("a", 1, 0), outcome("a", 2, 404)}, result{settled: []uint32{404}}},
		"more of the body":                 {[]*inventoryv1.Observation{revision("a", 1, 0), revision("a", 2, 0), revision("a", 3, 200)}, result{settled: []uint32{200}}},
		"revision after the answer":        {[]*inventoryv1.Observation{revision("a", 1, 200), revision("a", 2, 200)}, result{settled: []uint32{200}}},
		"no answer":                        {[]*inventoryv1.Observation{revision("a", 1, 0), nil}, result{settled: []uint32{0}}},
		"answer after the wait":            {[]*inventoryv1.Observation{revision("a", 1, 0), nil, outcome("a", 2, 200), outcome("a", 3, 200)}, result{settled: []uint32{0}, late: []uint32{200}}},
		"answer of an unknown":             {[]*inventoryv1.Observation{outcome("a", 2, 200)}, result{late: []uint32{200}}},
		"two exchanges":                    {[]*inventoryv1.Observation{revision("a", 1, 200), revision("b", 1, 200)}, result{settled: []uint32{200, 200}}},
		"without an id":                    {[]*inventoryv1.Observation{{Status: 200}, {Status: 200}}, result{settled: []uint32{200, 200}}},
		"long forgotten":                   {[]*inventoryv1.Observation{revision("a", 1, 200), nil, nil, revision("a", 1, 200)}, result{settled: []uint32{200, 200}}},
		"older revision after a newer one": {[]*inventoryv1.Observation{revision("a", 2, 200), revision("a", 1, 0)}, result{settled: []uint32{200}, duplicates: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := NewExchanges(Windows{Hold: 60 * time.Second, Remember: 60 * time.Second, Most: 100, MostHeld: 100})
			var got result
			now := start
			for _, o := range test.series {
				if o == nil {
					now = now.Add(61 * time.Second)
					settled, evicted := e.Sweep(now)
					require.Zero(t, evicted)
					for _, s := range settled {
						got.take(Outcome{Settled: s})
					}
					continue
				}
				got.take(e.Take(o, now))
			}
			require.Equal(t, test.want, got)
		})
	}
}

func TestALateAttackTaintsItsRequest(t *testing.T) {
	t.Parallel()
	e := NewExchanges(DefaultWindows())
	e.Take(revision("a", 1, 0), start)
	late := outcome("a", 2, 200)
	late.Attack = true
	out := e.Take(late, start)
	require.True(t, out.Settled.GetAttack())
	require.False(t, out.Settled.GetIncomplete(), "what an outcome lacks its request need not lack")
}

func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	e := NewExchanges(Windows{Hold: time.Minute, Remember: time.Minute, Most: 10, MostHeld: 5})
	settled := 0
	for i := range 30 {
		if e.Take(revision(fmt.Sprint(i), 1, 0), start).Settled != nil {
			settled++
		}
	}
	require.Equal(t, 25, settled, "no more than five wait")
	rest, evicted := e.Sweep(start)
	require.Len(t, rest, 5)
	require.Equal(t, 20, evicted)
	require.Equal(t, 10, e.Len())
	for range 3 {
		start := start.Add(5 * time.Minute)
		_, _ = e.Sweep(start)
	}
	require.Zero(t, e.Len())
	require.LessOrEqual(t, len(e.order), 10)
}
