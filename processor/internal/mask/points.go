package mask

import (
	"fmt"
	"strings"

	"github.com/sidelight/sidelight/processor/internal/decode"
)

const (
	mostMasks   = 1000
	longestMask = 512
)

// Points are the points that people want masked, beside the built-in ones. Nil: none.
type Points struct {
	exact    map[string]bool
	prefixes []string
}

// NewPoints reads names of points as hits show them. Case does not count: more is masked rather than less.
func NewPoints(names []string) (*Points, error) {
	if len(names) > mostMasks {
		return nil, fmt.Errorf("%d masks are too many: give at most %d", len(names), mostMasks)
	}
	m := &Points{exact: map[string]bool{}}
	for i, name := range names {
		if err := valid(name); err != nil {
			return nil, fmt.Errorf("mask %d: %w", i+1, err)
		}
		name = strings.ToLower(name)
		if prefix, ok := strings.CutSuffix(name, "*"); ok {
			m.prefixes = append(m.prefixes, prefix)
			continue
		}
		m.exact[name] = true
	}
	return m, nil
}

func valid(name string) error {
	if len(name) > longestMask {
		return fmt.Errorf("longer than %d bytes", longestMask)
	}
	first, rest, _ := strings.Cut(strings.ToLower(name), ".")
	first = strings.TrimSuffix(first, "*")
	switch first {
	case "", "path", "body", "query", "header", "cookie":
	default:
		return fmt.Errorf("%q names no point: begin with \"path\", \"query.\", \"header.\", \"cookie.\" or \"body\"", name)
	}
	if k := strings.IndexByte(name, '*'); k >= 0 && k != len(name)-1 || name == "" {
		return fmt.Errorf("%q: a star stands only at the end, for any rest", name)
	}
	if first == "header" && (rest == "host" || rest == "content-type") {
		// It says what was asked, and of which kind a body is; nothing could be shown without it.
		return fmt.Errorf("%q cannot be masked", name)
	}
	return nil
}

// has tells whether a point is to be masked; generic is its name without indexes, "body.json.items[].iban".
func (m *Points) has(name, generic string) bool {
	if m == nil {
		return false
	}
	for _, n := range []string{name, generic} {
		n = strings.ToLower(n)
		if m.exact[n] {
			return true
		}
		for _, p := range m.prefixes {
			if strings.HasPrefix(n, p) {
				return true
			}
		}
	}
	return false
}

// covers tells whether a point of a request is to be masked.
func (m *Points) covers(r *decode.Request, p decode.Point) bool {
	if m == nil {
		return false
	}
	generic := p.Name
	if p.Location == decode.JSON {
		generic = "body.json"
		if g := r.Generic(p); g != "" && g[0] == '[' {
			generic += g
		} else if g != "" {
			generic += "." + g
		}
	}
	return m.has(p.Name, generic)
}
