package verdict

import (
	"cmp"
	"slices"

	detectionv1 "github.com/sidelight/sidelight/proto/gen/sidelight/detection/v1"

	"github.com/sidelight/sidelight/processor/internal/decode"
	"github.com/sidelight/sidelight/processor/internal/engine"
)

// threshold is the sum of weights from which a person hears of it.
const threshold = 3

// Finding is one attack type at one point, before it is masked and named after its exchange.
type Finding struct {
	Type       string
	Point      int
	Severity   detectionv1.Severity
	Confidence detectionv1.Confidence
	// Rules that count for this type here, ascending.
	Rules      []uint32
	References []string
	// Best is the match that shows most.
	Best engine.Where
}

// Rules gives the ids of all rules that matched, ascending, each once.
func Rules(ms []engine.Match) []uint32 {
	out := make([]uint32, 0, len(ms))
	for _, m := range ms {
		out = append(out, m.Rule.ID)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// place is what findings are collected by. Points of one name are one place: a hit names its point, not its position.
type place struct{ kind, point string }

// tally is the weights at one place.
type tally struct {
	groups map[string]int
	found  Finding
	best   int
}

// Judge decides what the matches mean. Findings come in the order of their points' names, then types.
func Judge(r *decode.Request, ms []engine.Match) []Finding {
	places := map[place]*tally{}
	for _, m := range ms {
		if m.Rule.Own {
			continue
		}
		for _, w := range m.Where {
			p := r.Points[w.Point]
			g := weigh(match{rule: m.Rule, where: w, point: p, raw: r.RawBytes(p.Raw), value: p.Value})
			if g.weight == none {
				continue
			}
			at := place{g.kind, p.Name}
			t := places[at]
			if t == nil {
				t = &tally{groups: map[string]int{}, found: Finding{Type: g.kind, Point: w.Point}}
				places[at] = t
			}
			t.add(m.Rule.ID, w, g)
		}
	}
	var out []Finding
	for at, t := range places {
		if f, ok := t.finding(); ok && !explained(places, at) {
			out = append(out, f)
		}
	}
	out = addOwn(r, ms, out)
	slices.SortFunc(out, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(r.Points[a.Point].Name, r.Points[b.Point].Name), cmp.Compare(a.Type, b.Type))
	})
	return out
}

// explained tells whether another type at the same point says the same thing better: the rules of the wider type match
// the syntax of the narrower one.
func explained(places map[place]*tally, at place) bool {
	better := map[string]string{XSS: XXE, RCE: SSTI, CRLF: Smuggling}[at.kind]
	if better == "" {
		return false
	}
	t := places[place{better, at.point}]
	if t == nil {
		return false
	}
	_, ok := t.finding()
	return ok
}

func (t *tally) add(rule uint32, w engine.Where, g grade) {
	t.groups[g.group] = max(t.groups[g.group], g.weight)
	t.found.Rules = append(t.found.Rules, rule)
	// An exact range shows more than a whole value; among exact ones the heavier rule's, then the longer.
	rank := g.weight<<20 | min(w.End-w.Start, 1<<20-1)
	if w.Exact {
		rank |= 1 << 30
	}
	if rank > t.best || t.best == 0 {
		t.best, t.found.Best, t.found.Point = rank, w, w.Point
	}
}

func (t *tally) finding() (Finding, bool) {
	sum, heaviest := 0, 0
	for _, w := range t.groups {
		sum += w
		heaviest = max(heaviest, w)
	}
	if sum < threshold {
		return Finding{}, false
	}
	f := t.found
	slices.Sort(f.Rules)
	f.Rules = slices.Compact(f.Rules)
	k := kindOf(f.Type)
	f.Severity, f.References = k.severity, slices.Clone(k.references)
	for _, id := range f.Rules {
		for _, cve := range advisories(id) {
			if !slices.Contains(f.References, cve) {
				f.References = append(f.References, cve)
			}
		}
	}
	switch {
	case sum >= certain:
		f.Confidence = detectionv1.Confidence_CONFIDENCE_HIGH
	case heaviest >= strong || sum > threshold:
		f.Confidence = detectionv1.Confidence_CONFIDENCE_MEDIUM
	default:
		f.Confidence = detectionv1.Confidence_CONFIDENCE_LOW
	}
	return f, true
}
