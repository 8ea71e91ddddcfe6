package decode

import (
	"strconv"
	"strings"
)

// frame is one step of a path into a JSON document: a key, or an index of an array. Frames share their parents.
type frame struct {
	parent int32
	// index is -1 for a key.
	index int32
	// Range of the key in the body, without its quotes.
	start, end int32
	key        string
}

const noFrame = int32(-1)

// json reads a document leaf by leaf. Duplicate keys are kept: what two parsers may read in two ways is what an attacker sends.
func (d *decoder) json(body []byte) {
	t := jsonReader{d: d, in: body}
	t.space()
	if t.value(noFrame, 0) {
		t.space()
		if t.at == len(body) {
			return
		}
	}
	if !d.stopped {
		d.missed("body is not valid JSON")
		// What follows the error could hold anything, so all of it is one more point.
		d.raw("body", Body, body)
	}
}

type jsonReader struct {
	d  *decoder
	in []byte
	at int
}

func (t *jsonReader) space() {
	for t.at < len(t.in) {
		switch t.in[t.at] {
		case ' ', '\t', '\n', '\r':
			t.at++
		default:
			return
		}
	}
}

// next says which byte is next, 0 at the end.
func (t *jsonReader) next() byte {
	if t.at < len(t.in) {
		return t.in[t.at]
	}
	return 0
}

// value reads one value; at is its place in the document. False: stop.
func (t *jsonReader) value(at int32, depth int) bool {
	if depth > t.d.limits.Depth {
		return t.d.stop("overlimit: depth")
	}
	switch c := t.next(); {
	case c == '{':
		return t.object(at, depth)
	case c == '[':
		return t.array(at, depth)
	case c == '"':
		start, end, ok := t.str()
		return ok && t.leaf(at, start, end, KindText)
	case c == '-' || c >= '0' && c <= '9':
		start := t.at
		return t.number() && t.leaf(at, start, t.at, KindNumber)
	default:
		return t.word(at, "true", KindBool) || t.word(at, "false", KindBool) || t.word(at, "null", KindNull)
	}
}

func (t *jsonReader) word(at int32, word string, kind Kind) bool {
	if !strings.HasPrefix(string(t.in[t.at:min(len(t.in), t.at+len(word))]), word) {
		return false
	}
	start := t.at
	t.at += len(word)
	return t.leaf(at, start, t.at, kind)
}

func (t *jsonReader) object(at int32, depth int) bool {
	start := t.at
	t.at++
	t.space()
	if t.next() == '}' {
		t.at++
		return t.leaf(at, start, t.at, KindObject)
	}
	for {
		if t.next() != '"' {
			return false
		}
		ks, ke, ok := t.str()
		if !ok {
			return false
		}
		t.space()
		if t.next() != ':' {
			return false
		}
		t.at++
		t.space()
		key := newPoint("", JSONName, "", Range{}, t.in[ks:ke], stepsJSON).Value
		if !t.value(t.push(frame{parent: at, index: -1, start: int32(ks), end: int32(ke), key: string(key)}), depth+1) {
			return false
		}
		t.space()
		switch t.next() {
		case ',':
			t.at++
			t.space()
		case '}':
			t.at++
			return true
		default:
			return false
		}
	}
}

func (t *jsonReader) array(at int32, depth int) bool {
	start := t.at
	t.at++
	t.space()
	if t.next() == ']' {
		t.at++
		return t.leaf(at, start, t.at, KindArray)
	}
	for i := int32(0); ; i++ {
		if !t.value(t.push(frame{parent: at, index: i}), depth+1) {
			return false
		}
		t.space()
		switch t.next() {
		case ',':
			t.at++
			t.space()
		case ']':
			t.at++
			return true
		default:
			return false
		}
	}
}

func (t *jsonReader) push(f frame) int32 {
	t.d.req.frames = append(t.d.req.frames, f)
	return int32(len(t.d.req.frames) - 1)
}

// str reads a string and gives the range between its quotes.
func (t *jsonReader) str() (start, end int, ok bool) {
	t.at++
	start = t.at
	for t.at < len(t.in) {
		switch c := t.in[t.at]; {
		case c == '"':
			t.at++
			return start, t.at - 1, true
		case c < ' ':
			return 0, 0, false
		case c == '\\':
			n := t.escape()
			if n == 0 {
				return 0, 0, false
			}
			t.at += n
		default:
			t.at++
		}
	}
	return 0, 0, false
}

// escape gives the length of the escape at the reader, 0 if it is none.
func (t *jsonReader) escape() int {
	rest := t.in[t.at:]
	switch {
	case len(rest) < 2:
		return 0
	case strings.IndexByte(`"\/bfnrt`, rest[1]) >= 0:
		return 2
	case rest[1] != 'u' || len(rest) < 6:
		return 0
	}
	for _, c := range rest[2:6] {
		if (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'f') {
			return 0
		}
	}
	return 6
}

func (t *jsonReader) digits() bool {
	start := t.at
	for c := t.next(); c >= '0' && c <= '9'; c = t.next() {
		t.at++
	}
	return t.at > start
}

func (t *jsonReader) number() bool {
	if t.next() == '-' {
		t.at++
	}
	if t.next() == '0' {
		t.at++
	} else if !t.digits() {
		return false
	}
	if t.next() == '.' {
		t.at++
		if !t.digits() {
			return false
		}
	}
	if c := t.next(); c == 'e' || c == 'E' {
		t.at++
		if c := t.next(); c == '+' || c == '-' {
			t.at++
		}
		return t.digits()
	}
	return true
}

func (t *jsonReader) leaf(at int32, start, end int, kind Kind) bool {
	steps := stepsJSON
	if kind != KindText {
		steps = nil
	}
	param := t.d.req.path(at)
	p := newPoint(join("body.json", param), JSON, param, Range{Part: PartBody, Start: start, End: end}, t.in[start:end], steps)
	p.Kind, p.frame = kind, at+1
	return t.d.add(p)
}

func join(prefix, param string) string {
	if param == "" || param[0] == '[' {
		return prefix + param
	}
	return prefix + "." + param
}

// maxPath keeps deep documents with long keys from multiplying: beyond it, a path stops growing.
const maxPath = 256

// path writes "items[0].id". A key that would be misread stands quoted in brackets.
func (r *Request) path(at int32) string {
	if at == noFrame {
		return ""
	}
	f := r.frames[at]
	parent := r.path(f.parent)
	if len(parent) > maxPath {
		return parent
	}
	if f.index >= 0 {
		return parent + "[" + strconv.Itoa(int(f.index)) + "]"
	}
	key := label([]byte(f.key))
	if key == "" || strings.ContainsAny(key, `.[]"`) {
		return parent + "[" + strconv.Quote(key) + "]"
	}
	if parent == "" {
		return key
	}
	return parent + "." + key
}
