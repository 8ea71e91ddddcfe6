package decode

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/sidelight/sidelight/processor/internal/secret"
	"github.com/sidelight/sidelight/processor/internal/transform"
)

// Location is the kind of place that a point names.
type Location uint8

// Locations. Those that end in Name hold the name of a value, not the value.
const (
	Path Location = iota + 1
	Query
	QueryName
	Header
	HeaderName
	Cookie
	CookieName
	Form
	FormName
	JSON
	JSONName
	Multipart
	MultipartName
	FileName
	FileContent
	XML
	Body
	RequestLine
)

// Part is one of the byte strings that a request consists of.
type Part uint8

// Parts of a request.
const (
	PartTarget Part = iota + 1
	PartHeaderName
	PartHeaderValue
	PartBody
	PartMethod
)

// Range is bytes [Start, End) of a part; Header is the index of the header it is in.
type Range struct {
	Part       Part
	Header     int
	Start, End int
}

// Kind is what a JSON value was before it became text.
type Kind uint8

// Kinds of values.
const (
	KindText Kind = iota
	KindNumber
	KindBool
	KindNull
	KindObject
	KindArray
	KindBinary
)

// Point is one place in a request, with its value.
type Point struct {
	// Name is what hits and people call it: "path", "query.q", "body.json.items[0].id".
	Name     string
	Location Location
	// Param is the name within the location: "q", "items[0].id".
	Param string
	Raw   Range
	// Value is decoded. Steps lead from the raw bytes to it.
	Value []byte
	Steps []string
	Kind  Kind

	frame int32
}

var (
	stepsPercent = []string{transform.Percent}
	stepsForm    = []string{transform.Form}
	stepsJSON    = []string{transform.JSONString}
)

// newPoint decodes raw by steps; steps that change nothing are left out.
func newPoint(name string, loc Location, param string, at Range, raw []byte, steps []string) Point {
	p := Point{Name: name, Location: loc, Param: param, Raw: at, Value: raw}
	t, ok := transform.ApplyAll(steps, transform.Plain(raw))
	if ok && !same(t.Data, raw) {
		p.Value, p.Steps = t.Data, steps
	}
	return p
}

// same tells whether a transformation handed its input back.
func same(a, b []byte) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
}

// RawBytes gives the bytes of a range.
func (r *Request) RawBytes(at Range) []byte {
	var part []byte
	switch at.Part {
	case PartTarget:
		part = r.Target
	case PartHeaderName:
		part = r.Headers[at.Header].GetName()
	case PartHeaderValue:
		part = r.Headers[at.Header].GetValue()
	case PartBody:
		part = r.Body
	case PartMethod:
		part = r.Method
	}
	if at.Start < 0 || at.End > len(part) || at.Start > at.End {
		return nil
	}
	return part[at.Start:at.End]
}

// Text gives the decoded value with its origin, for a match that has to be found again in the raw bytes.
func (r *Request) Text(p Point) transform.Text {
	t, _ := transform.ApplyAll(p.Steps, transform.Plain(r.RawBytes(p.Raw)))
	return t
}

// maxName keeps a hostile name from growing a point without bound.
const maxName = 128

// Label is how a name from the wire is written in a point's name.
func Label(b []byte) string { return label(b) }

// WholePoint gives the point of a whole part, and makes it if there is none: only a match that lies in no smaller point needs it.
func (r *Request) WholePoint(name string, part Part, length int) int {
	for i, p := range r.Points {
		if p.Name == name {
			return i
		}
	}
	loc := Body
	if part == PartTarget {
		loc = RequestLine
	}
	at := Range{Part: part, End: length}
	r.Points = append(r.Points, Point{Name: name, Location: loc, Raw: at, Value: r.RawBytes(at)})
	return len(r.Points) - 1
}

// label makes bytes fit for a name: valid UTF-8 without control characters, bounded.
func label(b []byte) string {
	cut := len(b) > maxName
	if cut {
		b = b[:maxName]
	}
	for n, run := range secret.Runs(b) {
		// Names are shown wherever points are, so a credential that stands in the place of a name is none.
		if n == 0 {
			b = slices.Clone(b)
		}
		for i := run[0]; i < run[1]; i++ {
			b[i] = '*'
		}
	}
	clean := utf8.Valid(b)
	for _, c := range b {
		clean = clean && c >= ' ' && c != 0x7f
	}
	s := string(b)
	if !clean {
		s = strings.Map(func(c rune) rune {
			if c < ' ' || c == 0x7f {
				return utf8.RuneError
			}
			return c
		}, strings.ToValidUTF8(s, "\uFFFD"))
	}
	if cut {
		s += "…"
	}
	return s
}
