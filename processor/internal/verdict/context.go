package verdict

import (
	"bytes"
	"regexp"
	"strconv"
	"strings"

	"github.com/sidelight/sidelight/processor/internal/decode"
	"github.com/sidelight/sidelight/processor/internal/engine"
	"github.com/sidelight/sidelight/processor/internal/transform"
)

// match is one rule at one point, with what stands around it.
type match struct {
	rule  *engine.Rule
	where engine.Where
	point decode.Point
	// raw is the raw value at the point; value is decoded.
	raw, value []byte
}

// weigh looks at the value to tell an attack from what only resembles it.
func weigh(m match) grade {
	g := graded(m.rule.ID)
	if g.group == "" {
		// A rule of its own.
		g.group = strconv.FormatUint(uint64(m.rule.ID), 10)
	}
	switch m.rule.ID {
	case 921140, 921150:
		if m.point.Location == decode.Body {
			g.weight = none // Text of several lines, which the engine read as a form.
		}
	case 930100, 930110:
		g.weight = dots(m)
	case 930120:
		g.weight = fileInValue(m)
	case 930130, 930140:
		g.weight = fileInPath(m)
	case 921130:
		if !lineBreak.Match(m.value) {
			g.weight = weak // "HTTP/2" in a text; it splits nothing without a line break.
		}
	case 932130:
		g.weight = expression(m)
	case 932160:
		if !separated(m) {
			g.weight = fair
		}
	case 932230, 932235, 932250, 932260, 932340, 932370, 932380, 932120, 932125:
		g.weight = command(m)
	case 934110:
		if !metadata.MatchString(m.where.Text) {
			g.weight = fair // localhost is also what developers redirect to.
		}
	case 934100:
		if !strings.ContainsAny(m.where.Text, "([") {
			g.weight = weak // Named, not called.
		}
	case 934130:
		if !isName(m.point.Location) {
			g.weight = weak // The word alone means nothing; as a name it changes what the name does.
		}
	case 942290:
		if !operator.MatchString(m.where.Text) {
			g.weight = none // $filter and $top are how OData asks.
		} else if !isName(m.point.Location) {
			g.weight = weak
		}
	case 942100:
		g.weight = fingerprint(m.where.Text, m.value)
	case 944150:
		if !strings.Contains(strings.ToLower(m.where.Text+string(m.value)), "jndi:") {
			g.weight = weak
		}
	}
	return g
}

var (
	lineBreak = regexp.MustCompile(`[\r\n]|(?i)%0[ad]`)
	running   = regexp.MustCompile(`^\$\(\s*[A-Za-z/.]`)
	splitting = regexp.MustCompile(`[;|&\n]|\$\(|^\s*` + "`" + `|\S` + "`" + `\S`)
	plainName = regexp.MustCompile(`^\$\{[\w.-]+\}$`)
	metadata  = regexp.MustCompile(`(?i)169\.254\.|metadata|100\.100\.100\.200|fd00:ec2|192\.0\.0\.192|0xa9fe|2852039166`)
	operator  = regexp.MustCompile(`(?i)\$(?:ne|eq|gte?|lte?|n?in|regex|where|exists|n?or|and|not|elemmatch|expr|all|mod|type|function|accumulator)\b`)
	// behind is what follows a separator in a shell and hardly ever in prose: a command alone, or with an argument of a shell's kind.
	behind    = regexp.MustCompile(`^(?:[;|&\n\r\s]+[\w./-]+(?:\s*$|\s*[;|&` + "`" + `]|\s+(?:-\w|[/.$'"~<>*\d]|https?:))|[;|&\s]*(?:` + "`" + `|\$\(|[<>]\())`)
	parentDir = regexp.MustCompile(`(?:^|[/\\;])\.{2,3}[/\\;]|[/\\]\.\.$`)
)

func isName(l decode.Location) bool {
	switch l {
	case decode.QueryName, decode.FormName, decode.JSONName, decode.MultipartName, decode.CookieName:
		return true
	default:
		return false
	}
}

// matched gives the raw bytes of an exact match, else the engine's text.
func matched(m match) []byte {
	if m.where.Exact && m.where.End <= len(m.raw) {
		return m.raw[m.where.Start:m.where.End]
	}
	return []byte(m.where.Text)
}

// dots: one step up is what relative links do; two are not, nor is one whose bytes were hidden in the path.
func dots(m match) int {
	if n := len(parentDir.FindAll(m.value, 3)); n >= 2 || bytes.Count(m.value, []byte("../")) >= 2 || bytes.Count(m.value, []byte(`..\`)) >= 2 {
		return strong
	}
	if m.point.Location == decode.Path && bytes.ContainsAny(matched(m), "%\\") {
		return strong
	}
	if m.point.Location == decode.Path || m.point.Location == decode.Header {
		return weak
	}
	return fair
}

// fileInValue: a whole path of the operating system at the start of a value is one; a file name such as config.json, or a
// path within prose, may be talk about it.
func fileInValue(m match) int {
	name := strings.Trim(m.where.Text, `/\`)
	value := strings.ReplaceAll(strings.ToLower(string(m.value)), `\`, "/")
	k := strings.Index(value, strings.ToLower(name))
	if k < 0 {
		return fair
	}
	before, after := value[:k], value[k+len(name):]
	if wordByte(last(before)) || after != "" && !strings.ContainsRune("/\x00 \"'`;|&)%?#\r\n:,<", rune(after[0])) {
		return none // Part of a longer name.
	}
	if name == "tmp" || !strings.Contains(m.where.Text, "/") {
		return weak
	}
	if strings.Trim(before, "/.\"'=: \t") == "" || strings.HasSuffix(strings.TrimRight(before, "/."), ":") {
		return strong
	}
	if strings.ContainsAny(before, " \t\n") {
		return fair
	}
	return strong
}

// fileInPath: dot files are told apart from routes by their name, config.json is not.
func fileInPath(m match) int {
	text := m.where.Text
	if strings.HasPrefix(strings.TrimPrefix(text, "/"), ".") {
		return certain
	}
	if strings.Contains(strings.Trim(text, "/"), "/") {
		return strong
	}
	return weak
}

func last(s string) byte {
	if s == "" {
		return 0
	}
	return s[len(s)-1]
}

func wordByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-'
}

const separators = ";|&`$\n(<>"

// expression: $(command) runs something; ${name} is how templates and shells write a variable, and <( stands in formulas.
func expression(m match) int {
	text := matched(m)
	switch {
	case plainName.Match(text):
		return weak
	case running.Match(text):
		return strong
	default:
		return fair
	}
}

// separated tells whether something that ends a command, or begins another within it, stands before the match.
func separated(m match) bool {
	before := m.raw
	if m.where.Exact {
		before = m.raw[:m.where.Start]
	}
	return splitting.Match(decoded(m, before))
}

func decoded(m match, raw []byte) []byte {
	t, _ := transform.ApplyAll(m.point.Steps, transform.Plain(raw))
	return t.Data
}

// command: a word that is also a command is weak, and prose puts one behind a semicolon too; with an argument of a shell's
// kind it is what an injection looks like.
func command(m match) int {
	text := m.where.Text
	if text == "" || !strings.ContainsAny(text[:1], separators) || strings.HasPrefix(text, ";base64") {
		return weak
	}
	tail, before := []byte(text), m.value
	if m.where.Exact {
		tail, before = decoded(m, m.raw[m.where.Start:]), decoded(m, m.raw[:m.where.Start])
	}
	switch {
	case text[0] == '`' && markdown(before, tail):
		return weak
	case behind.Match(tail):
		return strong
	default:
		return fair
	}
}

// markdown: backticks around a word within a text are how people write code. A shell's stand at the start and end of a
// value, or in the middle of a word.
func markdown(before, tail []byte) bool {
	if len(bytes.TrimSpace(before)) == 0 {
		return !bytes.HasSuffix(bytes.TrimSpace(tail), []byte("`")) || bytes.Count(tail, []byte("`")) > 2
	}
	closing := bytes.Count(before, []byte("`"))%2 == 1
	return closing || !wordByte(before[len(before)-1])
}

// fingerprint grades what libinjection saw. One that begins with a string or a number broke out of a literal; one that begins
// with a bare word is often prose, and so is one whose first quote stands behind several words.
func fingerprint(f string, value []byte) int {
	switch {
	case f == "":
		return fair
	case f[0] == 's' && prose(value):
		return fair
	case f[0] == 's', f[0] == '1', strings.Contains(f, "UE"), strings.Contains(f, ";"):
		return strong
	case f[0] == 'n':
		return weak
	default:
		return fair
	}
}

// prose tells whether at least three words stand before the first quote.
func prose(value []byte) bool {
	k := bytes.IndexAny(value, `'"`)
	return k > 0 && len(bytes.Fields(value[:k])) >= 3
}
