package filter

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds of a filter, far over what people write: it is matched against every summary.
const (
	maxLength = 2048
	maxDepth  = 32
	maxTerms  = 100
)

// Error says where a filter is wrong and what is allowed there.
type Error struct {
	// In characters, from 1; 0 = the filter as a whole.
	Column int
	Msg    string
}

func (e *Error) Error() string {
	if e.Column == 0 {
		return e.Msg
	}
	return fmt.Sprintf("column %d: %s", e.Column, e.Msg)
}

// Parse reads a filter. Empty text matches everything. An error is an *Error.
func Parse(text string) (*Filter, error) {
	if len(text) > maxLength {
		return nil, &Error{Msg: fmt.Sprintf("the filter has %d bytes: at most %d are allowed", len(text), maxLength)}
	}
	p := &parser{text: text}
	for i, r := range text {
		if unicode.IsControl(r) && !unicode.IsSpace(r) {
			return nil, p.errorAt(i, "a control character is not allowed")
		}
		if r == utf8.RuneError && !strings.HasPrefix(text[i:], string(utf8.RuneError)) {
			return nil, p.errorAt(i, "this is no UTF-8 text")
		}
	}
	if p.space(); p.end() {
		return &Filter{}, nil
	}
	root, err := p.or()
	if err != nil {
		return nil, err
	}
	if !p.end() {
		return nil, p.errorAt(p.at, "no parenthesis is open here")
	}
	f := &Filter{&root}
	// Some addresses are longer when they are written as all write them.
	if canonical := f.String(); len(canonical) > maxLength {
		return nil, &Error{Msg: fmt.Sprintf("the filter has %d bytes in its canonical form: at most %d are allowed", len(canonical), maxLength)}
	}
	return f, nil
}

// parser goes through the text once.
type parser struct {
	text         string
	at           int
	depth, terms int
}

func (p *parser) errorAt(at int, format string, args ...any) *Error {
	return &Error{Column: utf8.RuneCountInString(p.text[:at]) + 1, Msg: fmt.Sprintf(format, args...)}
}

func (p *parser) end() bool { return p.at == len(p.text) }

// next is the byte that comes, 0 at the end: no text holds that one.
func (p *parser) next() byte {
	if p.end() {
		return 0
	}
	return p.text[p.at]
}

func (p *parser) space() {
	p.at = len(p.text) - len(strings.TrimLeftFunc(p.text[p.at:], unicode.IsSpace))
}

// keyword takes an operator that stands as a word of its own.
func (p *parser) keyword(word string) bool {
	rest, found := strings.CutPrefix(p.text[p.at:], word)
	if !found || rest != "" && !delimits(rest) {
		return false
	}
	p.at += len(word)
	p.space()
	return true
}

// delimits tells whether a bare word ends before the text.
func delimits(text string) bool {
	r, _ := utf8.DecodeRuneInString(text)
	return unicode.IsSpace(r) || strings.ContainsRune(`()"`, r)
}

func (p *parser) or() (node, error) {
	var kids []node
	for {
		kid, err := p.and()
		if err != nil {
			return node{}, err
		}
		kids = append(kids, kid)
		if !p.keyword("OR") {
			return combine(opOr, kids), nil
		}
	}
}

func (p *parser) and() (node, error) {
	var kids []node
	for {
		kid, err := p.unary()
		if err != nil {
			return node{}, err
		}
		kids = append(kids, kid)
		p.space()
		if p.keyword("AND") {
			continue
		}
		if p.end() || p.next() == ')' || p.peek("OR") {
			return combine(opAnd, kids), nil
		}
	}
}

func (p *parser) peek(word string) bool {
	at := p.at
	found := p.keyword(word)
	p.at = at
	return found
}

// unary is a term, a group, or the negation of one.
func (p *parser) unary() (node, error) {
	if p.depth++; p.depth > maxDepth {
		return node{}, p.errorAt(p.at, "more than %d parentheses and negations in one another", maxDepth)
	}
	defer func() { p.depth-- }()
	start := p.at
	switch {
	case p.end() || p.next() == ')' || p.peek("OR") || p.peek("AND"):
		return node{}, p.errorAt(p.at, "want a term: key:value, a word, NOT or a group in parentheses")
	case p.keyword("NOT"):
		n, err := p.unary()
		return negate(n), err
	case p.next() == '-':
		p.at++
		if p.end() || p.next() != '(' && p.next() != '"' && delimits(p.text[p.at:]) {
			return node{}, p.errorAt(start, `"-" negates what follows it without a space; want a term there, or quotes around it`)
		}
		n, err := p.unary()
		return negate(n), err
	case p.next() == '(':
		p.at++
		p.space()
		n, err := p.or()
		if err != nil {
			return node{}, err
		}
		if p.next() != ')' {
			return node{}, p.errorAt(start, "this parenthesis is not closed")
		}
		p.at++
		return n, nil
	default:
		return p.term()
	}
}

// term is key:value,value or a word.
func (p *parser) term() (node, error) {
	start := p.at
	name, found := keyName(p.text[p.at:])
	if !found {
		text, quoted, err := p.value(false)
		if err != nil {
			return node{}, err
		}
		v, err := p.read(start, word, text, quoted)
		return node{key: word, values: []value{v}}, err
	}
	k := keys[strings.ToLower(name)]
	if k == nil {
		return node{}, p.errorAt(start, "unknown key %q; want one of %s, or quotes around a word with a colon", name, names())
	}
	n := node{key: k}
	p.at += len(name) + 1
	for {
		start = p.at
		text, quoted, err := p.value(true)
		if err != nil {
			return node{}, err
		}
		if text == "" && !quoted {
			return node{}, p.errorAt(start, "%s: wants a value: %s", k.name, k.want)
		}
		v, err := p.read(start, k, text, quoted)
		if err != nil {
			return node{}, err
		}
		n.values = append(n.values, v)
		if p.next() != ',' {
			return n, nil
		}
		p.at++
	}
}

// keyName finds the letters before a colon.
func keyName(text string) (string, bool) {
	end := strings.IndexFunc(text, func(r rune) bool { return r != '_' && !unicode.IsLetter(r) })
	if end <= 0 || text[end] != ':' {
		return "", false
	}
	return text[:end], true
}

func (p *parser) read(at int, k *key, text string, quoted bool) (value, error) {
	if p.terms++; p.terms > maxTerms {
		return value{}, p.errorAt(at, "more than %d values in one filter", maxTerms)
	}
	v, ok := k.read(text, quoted)
	if !ok {
		return value{}, p.errorAt(at, "%q is no value of %s; want %s", text, k.name, k.want)
	}
	return v, nil
}

// value takes a quoted or a bare one; commas part bare ones of a list.
func (p *parser) value(list bool) (text string, quoted bool, err error) {
	if p.next() == '"' {
		text, err = p.quoted(list)
		return text, true, err
	}
	start := p.at
	for !p.end() && !delimits(p.text[p.at:]) && (!list || p.next() != ',') {
		_, size := utf8.DecodeRuneInString(p.text[p.at:])
		p.at += size
	}
	if c := p.next(); c == '"' || c == '(' {
		return "", false, p.errorAt(p.at, "%q cannot stand within a value; put the whole value in quotes", c)
	}
	return p.text[start:p.at], false, nil
}

func (p *parser) quoted(list bool) (string, error) {
	start := p.at
	var b strings.Builder
	for p.at++; !p.end(); p.at++ {
		switch c := p.next(); c {
		case '"':
			p.at++
			after, _ := utf8.DecodeRuneInString(p.text[p.at:])
			if !p.end() && after != ')' && (!list || after != ',') && !unicode.IsSpace(after) {
				return "", p.errorAt(p.at, "want a space after the quoted value")
			}
			return b.String(), nil
		case '\\':
			p.at++
			if c := p.next(); c != '"' && c != '\\' {
				return "", p.errorAt(p.at-1, `a backslash in quotes stands before " or \ only`)
			}
			b.WriteByte(p.next())
		default:
			b.WriteByte(c)
		}
	}
	return "", p.errorAt(start, "these quotes are not closed")
}
