package filter

import (
	"slices"
	"strings"
	"unicode"

	processorv1 "github.com/sidelight/sidelight/proto/gen/sidelight/processor/v1"
	trafficv1 "github.com/sidelight/sidelight/proto/gen/sidelight/traffic/v1"
)

// word is the key of bare words, which have none: they are looked for in path and host.
var word = &key{
	kind: Text, fold: true,
	read: func(text string, quoted bool) (value, bool) {
		return value{text: readText(lower(text), quoted).anywhere()}, true
	},
	match: func(s *processorv1.Summary, v *value) bool {
		return v.text.match(s.GetRequest().GetPath(), true) || v.text.match(s.GetRequest().GetHost(), true)
	},
	show: func(v *value) string {
		return showText(pattern{v.text.pieces[1 : len(v.text.pieces)-1]}, func(bare string) bool {
			_, isKey := keyName(bare)
			return !isKey && bare[0] != '-' && !slices.Contains([]string{"AND", "OR", "NOT"}, bare)
		})
	},
}

func readText(text string, quoted bool) pattern {
	if quoted {
		return literal(text)
	}
	return glob(text)
}

// showText writes a pattern bare where that reads back as the same.
func showText(p pattern, allowed func(bare string) bool) string {
	text, exact := p.exact()
	if !exact {
		return strings.Join(p.pieces, "*")
	}
	special := func(r rune) bool { return unicode.IsSpace(r) || strings.ContainsRune(`()"*`, r) }
	if text != "" && !strings.ContainsFunc(text, special) && allowed(text) {
		return text
	}
	return `"` + strings.NewReplacer(`"`, `\"`, `\`, `\\`).Replace(text) + `"`
}

func showListed(v *value) string {
	return showText(v.text, func(bare string) bool { return !strings.Contains(bare, ",") })
}

func textKey(name, want string, get func(*processorv1.Summary) string) *key {
	return &key{
		name: name, want: want, kind: Text,
		read:  func(text string, quoted bool) (value, bool) { return value{text: readText(text, quoted)}, true },
		match: func(s *processorv1.Summary, v *value) bool { return v.text.match(get(s), false) },
		show:  showListed,
	}
}

// lowered takes values in any case, for what is always in lower case.
func (k *key) lowered() *key {
	read := k.read
	k.read = func(text string, quoted bool) (value, bool) { return read(lower(text), quoted) }
	return k
}

// foldKey is text in which case does not count.
func foldKey(name, want string, get func(*processorv1.Summary) string) *key {
	k := textKey(name, want, nil).lowered()
	k.fold = true
	k.match = func(s *processorv1.Summary, v *value) bool { return v.text.match(get(s), true) }
	return k
}

// hostKey leaves the port aside, unless one is asked for.
func hostKey() *key {
	k := foldKey("host", "a host, as shop.example or *.example", nil)
	k.read = func(text string, quoted bool) (value, bool) {
		v := value{text: readText(lower(text), quoted)}
		if !strings.Contains(text, ":") {
			v.also = v.text.then(":")
		}
		return v, true
	}
	k.match = func(s *processorv1.Summary, v *value) bool {
		host := s.GetRequest().GetHost()
		return v.text.match(host, true) || v.also.match(host, true)
	}
	return k
}

// hitKey asks for a summary with such a hit.
func hitKey(name, want string, get func(*processorv1.SummaryHit) string) *key {
	k := textKey(name, want, nil)
	k.match = func(s *processorv1.Summary, v *value) bool {
		for _, h := range s.GetHits() {
			if v.text.match(get(h), false) {
				return true
			}
		}
		return false
	}
	return k
}

func phaseKey() *key {
	named := map[trafficv1.Phase]string{
		trafficv1.Phase_PHASE_REQUEST: "request", trafficv1.Phase_PHASE_UPDATE: "update", trafficv1.Phase_PHASE_CLOSED: "closed",
	}
	k := textKey("phase", "request, update or closed", func(s *processorv1.Summary) string { return named[s.GetPhase()] })
	k.read = func(text string, _ bool) (value, bool) {
		return value{text: literal(text)}, text == "request" || text == "update" || text == "closed"
	}
	return k.lowered()
}
