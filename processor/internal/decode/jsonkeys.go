package decode

import (
	"slices"
	"strconv"
	"strings"
)

// FlatKey is the name that SecLang engines give a JSON leaf: "json.items.0.id".
func (r *Request) FlatKey(p Point) string {
	if p.Location != JSON {
		return p.Param
	}
	parts := []string{}
	for at := p.frame - 1; at != noFrame; at = r.frames[at].parent {
		f := r.frames[at]
		if f.index >= 0 {
			parts = append(parts, strconv.Itoa(int(f.index)))
		} else {
			parts = append(parts, f.key)
		}
	}
	var b strings.Builder
	b.WriteString("json")
	for _, part := range slices.Backward(parts) {
		b.WriteByte('.')
		b.WriteString(part)
	}
	return b.String()
}

// Generic is the name of a leaf without its indexes: "items[].id".
func (r *Request) Generic(p Point) string {
	if p.Location != JSON || !strings.Contains(p.Param, "[") {
		return p.Param
	}
	var b strings.Builder
	r.generic(&b, p.frame-1)
	return b.String()
}

func (r *Request) generic(b *strings.Builder, at int32) {
	if at == noFrame {
		return
	}
	f := r.frames[at]
	r.generic(b, f.parent)
	switch key := label([]byte(f.key)); {
	case f.index >= 0:
		b.WriteString("[]")
	case key == "" || strings.ContainsAny(key, `.[]"`):
		b.WriteString("[" + strconv.Quote(key) + "]")
	default:
		if b.Len() > 0 {
			b.WriteByte('.')
		}
		b.WriteString(key)
	}
}

// KeyPoint is a key on the way to a JSON leaf: its point, and where it stands in the leaf's flat key.
type KeyPoint struct{ Point, Start, End int }

// KeyPoints adds a point for each key on the way to a leaf; the innermost comes first.
func (r *Request) KeyPoints(p Point) []KeyPoint {
	var out []KeyPoint
	end := len(r.FlatKey(p))
	for at := p.frame - 1; at != noFrame; at = r.frames[at].parent {
		f := r.frames[at]
		if f.index >= 0 {
			end -= len(strconv.Itoa(int(f.index))) + 1
			continue
		}
		raw := Range{Part: PartBody, Start: int(f.start), End: int(f.end)}
		out = append(out, KeyPoint{Point: len(r.Points), Start: end - len(f.key), End: end})
		end -= len(f.key) + 1
		r.Points = append(r.Points, newPoint("body.json_name", JSONName, label([]byte(f.key)), raw, r.RawBytes(raw), stepsJSON))
	}
	return out
}
