package coraza

import (
	"strings"

	"github.com/corazawaf/coraza/v3/types"

	"github.com/sidelight/sidelight/processor/internal/decode"
	"github.com/sidelight/sidelight/processor/internal/transform"
)

// source is one reading of a variable: a point and the text that the rule may have seen there.
type source struct {
	point int
	text  transform.Text
	// whole: the text is a whole part of the request, and a smaller point may hold the match.
	whole bool
	// within: what stands around the point in text belongs to other points, and a match there is not one of this point.
	within bool
}

// sources gives the readings of a match's variable, the likeliest first.
func (l *locator) sources(d types.MatchData) []source {
	key := d.Key()
	switch d.Variable().Name() {
	case "ARGS", "ARGS_GET", "ARGS_POST":
		return l.orBody(l.named(key, decode.Query, decode.Form, decode.JSON, decode.Multipart))
	case "ARGS_NAMES", "ARGS_GET_NAMES", "ARGS_POST_NAMES":
		return l.orBody(append(l.named(key, decode.QueryName, decode.FormName, decode.MultipartName), l.jsonKeys(key)...))
	case "REQUEST_COOKIES":
		return l.named(key, decode.Cookie)
	case "REQUEST_COOKIES_NAMES":
		return l.named(key, decode.CookieName)
	case "REQUEST_HEADERS":
		return l.headers(key)
	case "REQUEST_HEADERS_NAMES":
		return l.headerNames(key)
	case "REQUEST_FILENAME", "REQUEST_BASENAME":
		return l.path("", "")
	case "TX":
		if strings.EqualFold(key, "sidelight_path") {
			return l.path("/", "/")
		}
		return nil
	case "REQUEST_URI", "REQUEST_URI_RAW":
		return l.part("target", decode.PartTarget, len(l.r.Target), "", "")
	case "REQUEST_LINE":
		return l.part("target", decode.PartTarget, len(l.r.Target), string(l.r.Method)+" ", " "+version(l.r.Protocol))
	case "QUERY_STRING":
		return l.query()
	case "REQUEST_BODY", "MULTIPART_PART_HEADERS":
		return l.part("body", decode.PartBody, len(l.r.Body), "", "")
	case "FILES":
		return l.all(decode.FileName)
	case "FILES_NAMES":
		return l.all(decode.MultipartName)
	case "XML", "REQUEST_XML":
		return l.all(decode.XML)
	default:
		return nil
	}
}

func (l *locator) add(out []source, i int) []source {
	return append(out, source{point: i, text: l.r.Text(l.r.Points[i])})
}

// named gives the points of some locations whose name is a key.
func (l *locator) named(key string, where ...decode.Location) []source {
	var out []source
	label := decode.Label([]byte(key))
	for i, p := range l.r.Points {
		for _, w := range where {
			if p.Location != w {
				continue
			}
			if w == decode.JSON && l.r.FlatKey(p) == key || w != decode.JSON && p.Param == label {
				out = l.add(out, i)
			}
		}
	}
	return out
}

// jsonKeys gives the keys on the way to the leaf that Coraza calls by a flat name. Each stands within that name, which is
// what the rule saw; the innermost comes first.
func (l *locator) jsonKeys(flat string) []source {
	if l.r.Kind != decode.BodyJSON {
		return nil
	}
	if out, ok := l.keys[flat]; ok {
		return out
	}
	var out []source
	for _, p := range l.r.Points {
		if p.Location != decode.JSON || l.r.FlatKey(p) != flat {
			continue
		}
		for _, k := range l.r.KeyPoints(p) {
			text := transform.Wrapped(flat[:k.Start], l.r.Text(l.r.Points[k.Point]), flat[k.End:])
			out = append(out, source{point: k.Point, text: text, within: true})
		}
		break
	}
	l.keys[flat] = out
	return out
}

func (l *locator) headers(key string) []source {
	var out []source
	for i, p := range l.r.Points {
		if p.Location == decode.Header && strings.EqualFold(p.Param, key) {
			out = append(out, source{point: i, text: l.r.Text(p), whole: true})
		}
	}
	return out
}

func (l *locator) headerNames(key string) []source {
	for i, h := range l.r.Headers {
		if strings.EqualFold(string(h.GetName()), key) {
			return l.add(nil, l.r.HeaderNamePoint(i))
		}
	}
	return nil
}

// path gives the path decoded, and raw: Coraza leaves one undecoded that is not valid.
func (l *locator) path(prefix, suffix string) []source {
	for i, p := range l.r.Points {
		if p.Location == decode.Path {
			raw := transform.Plain(l.r.RawBytes(p.Raw))
			return []source{
				{point: i, text: transform.Wrapped(prefix, l.r.Text(p), suffix)},
				{point: i, text: transform.Wrapped(prefix, raw, suffix)},
			}
		}
	}
	return nil
}

// part gives a whole part of the request as one point.
func (l *locator) part(name string, part decode.Part, n int, prefix, suffix string) []source {
	i := l.r.WholePoint(name, part, n)
	return []source{{point: i, text: transform.Wrapped(prefix, l.r.Text(l.r.Points[i]), suffix), whole: true}}
}

func (l *locator) query() []source {
	out := l.part("target", decode.PartTarget, len(l.r.Target), "", "")
	out[0].text = out[0].text.Slice(l.r.QueryStart, l.r.QueryStart+len(l.r.Query))
	return out
}

// orBody falls back to the body: Coraza reads one of an unknown type as a form.
func (l *locator) orBody(found []source) []source {
	if len(found) > 0 || len(l.r.Body) == 0 {
		return found
	}
	return l.part("body", decode.PartBody, len(l.r.Body), "", "")
}

func (l *locator) all(where decode.Location) []source {
	var out []source
	for i, p := range l.r.Points {
		if p.Location == where {
			out = l.add(out, i)
		}
	}
	return out
}
