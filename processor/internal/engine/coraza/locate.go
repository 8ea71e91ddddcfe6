package coraza

import (
	"bytes"
	"slices"
	"strings"

	"github.com/corazawaf/coraza/v3/types"

	"github.com/sidelight/sidelight/processor/internal/decode"
	"github.com/sidelight/sidelight/processor/internal/engine"
	"github.com/sidelight/sidelight/processor/internal/transform"
)

// locator finds the places of matches in one request. Coraza names a variable and gives the transformed value; the range in
// the raw bytes is claimed only if our own decoding and transformation of those bytes gives exactly that value.
type locator struct {
	r    *decode.Request
	keys map[string][]source
}

func newLocator(r *decode.Request) *locator { return &locator{r: r, keys: map[string][]source{}} }

// places gives one place for each point that a rule matched at.
func (l *locator) places(r *rule, m types.MatchedRule) []engine.Where {
	var out []engine.Where
	for _, d := range m.MatchedDatas() {
		if d.ChainLevel() > 0 && len(out) > 0 {
			continue
		}
		w, ok := l.place(r, d)
		if !ok {
			continue
		}
		k := slices.IndexFunc(out, func(o engine.Where) bool { return o.Point == w.Point })
		switch {
		case k < 0:
			out = append(out, w)
		case w.Exact && !out[k].Exact:
			out[k] = w
		}
	}
	return out
}

// anywhere is the place of a match that has none: the request as a whole, named after its target.
func (l *locator) anywhere() []engine.Where {
	i := l.r.WholePoint("target", decode.PartTarget, len(l.r.Target))
	return []engine.Where{{Point: i, End: len(l.r.Target)}}
}

// place tries every reading of a match's variable until one is proven.
func (l *locator) place(r *rule, d types.MatchData) (engine.Where, bool) {
	sources := l.sources(d)
	for _, s := range sources {
		if start, end, ok := locate(r, d, s.text); ok && (!s.within || end > start) {
			return l.narrow(s, engine.Where{Point: s.point, Start: start, End: end, Exact: true, Text: matchedText(d)}), true
		}
	}
	if len(sources) == 0 {
		return engine.Where{}, false
	}
	point := sources[0].point
	if i := slices.IndexFunc(sources, func(s source) bool { return carries(r, d, s.text) }); i >= 0 {
		point = sources[i].point
	}
	at := l.r.Points[point].Raw
	return engine.Where{Point: point, End: at.End - at.Start, Text: matchedText(d)}, true
}

// carries tells whether a text is what the rule looked at, though the range within it is not known.
func carries(r *rule, d types.MatchData, text transform.Text) bool {
	t, ok := transform.ApplyAll(r.transformations, text)
	return ok && string(t.Data) == d.Value()
}

// locate gives the range of the match in the raw bytes, or false if it cannot be proven.
func locate(r *rule, d types.MatchData, text transform.Text) (start, end int, ok bool) {
	if d.ChainLevel() > 0 {
		return 0, 0, false // The rule's text, which names the transformations, is that of the head.
	}
	want := d.Value()
	for i := -1; i < len(r.transformations); i++ {
		if i >= 0 {
			if text, ok = transform.Apply(r.transformations[i], text); !ok {
				return 0, 0, false
			}
		}
		// A multiMatch rule may have matched after any of its transformations.
		last := i == len(r.transformations)-1
		if (last || r.multi) && string(text.Data) == want {
			if lo, hi, ok := r.within(text.Data, matchedText(d)); ok {
				start, end = text.Source(lo, hi)
				return start, end, true
			}
		}
	}
	return 0, 0, false
}

// within gives the range of what matched in the value that the rule saw.
func (r *rule) within(value []byte, text string) (int, int, bool) {
	if at := r.find(value); at != nil && (text == "" || string(value[at[0]:at[1]]) == text) {
		return at[0], at[1], true
	}
	if text == "" {
		return 0, 0, false
	}
	switch n := bytes.Count(value, []byte(text)); {
	case n == 1, n > 1 && strings.HasPrefix(r.Operator, "pm"):
		// A keyword search reports its leftmost match first.
		k := bytes.Index(value, []byte(text))
		return k, k + len(text), true
	default:
		return 0, 0, false
	}
}

// matchedText is what the rule captured, taken out of the message that the rule set's rules write.
func matchedText(d types.MatchData) string {
	name := d.Variable().Name()
	if d.Key() != "" {
		name += ":" + d.Key()
	}
	s, ok := strings.CutPrefix(d.Data(), "Matched Data: ")
	if !ok {
		return ""
	}
	s, ok = strings.CutSuffix(s, " found within "+name+": "+d.Value())
	if !ok {
		return ""
	}
	return s
}

// narrow moves a match from a whole part of the request to the smallest point that holds it.
func (l *locator) narrow(s source, w engine.Where) engine.Where {
	at := l.r.Points[s.point].Raw
	start, end := at.Start+w.Start, at.Start+w.End
	best := -1
	for i, p := range l.r.Points {
		if p.Raw.Part != at.Part || p.Raw.Header != at.Header || p.Raw.Start > start || p.Raw.End < end {
			continue
		}
		if best < 0 || p.Raw.End-p.Raw.Start < l.r.Points[best].Raw.End-l.r.Points[best].Raw.Start {
			best = i
		}
	}
	if best >= 0 && s.whole {
		w.Point, w.Start, w.End = best, start-l.r.Points[best].Raw.Start, end-l.r.Points[best].Raw.Start
	}
	return w
}
