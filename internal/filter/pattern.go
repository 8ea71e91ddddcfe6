package filter

import "strings"

// pattern is text to compare with: its pieces, with anything between them. One piece is the very text.
type pattern struct{ pieces []string }

func literal(text string) pattern { return pattern{[]string{text}} }

// glob takes * for anything.
func glob(text string) pattern { return pattern{strings.Split(text, "*")} }

// exact tells whether it is a text without a wildcard, and which.
func (p pattern) exact() (string, bool) {
	if len(p.pieces) == 1 {
		return p.pieces[0], true
	}
	return "", false
}

// anywhere is the pattern wherever it stands in a text.
func (p pattern) anywhere() pattern {
	return pattern{append(append([]string{""}, p.pieces...), "")}
}

// then is the pattern, the text, and anything.
func (p pattern) then(text string) pattern {
	pieces := append([]string(nil), p.pieces...)
	pieces[len(pieces)-1] += text
	return pattern{append(pieces, "")}
}

// match compares; fold ignores the case of ASCII letters, and wants a pattern in lower case.
func (p pattern) match(s string, fold bool) bool {
	if len(p.pieces) == 0 {
		return false
	}
	first, last := p.pieces[0], p.pieces[len(p.pieces)-1]
	if len(p.pieces) == 1 {
		return len(s) == len(first) && starts(s, first, fold)
	}
	if len(s) < len(first)+len(last) || !starts(s, first, fold) || !starts(s[len(s)-len(last):], last, fold) {
		return false
	}
	s = s[len(first) : len(s)-len(last)]
	// The leftmost place of each piece leaves the most room for the next.
	for _, piece := range p.pieces[1 : len(p.pieces)-1] {
		at := index(s, piece, fold)
		if at < 0 {
			return false
		}
		s = s[at+len(piece):]
	}
	return true
}

func starts(s, prefix string, fold bool) bool {
	if !fold {
		return strings.HasPrefix(s, prefix)
	}
	if len(s) < len(prefix) {
		return false
	}
	for i := range len(prefix) {
		if lowerByte(s[i]) != prefix[i] {
			return false
		}
	}
	return true
}

func index(s, piece string, fold bool) int {
	if !fold {
		return strings.Index(s, piece)
	}
	for i := 0; i+len(piece) <= len(s); i++ {
		if starts(s[i:], piece, true) {
			return i
		}
	}
	return -1
}

func lowerByte(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// lower changes ASCII letters only, as the collation "C" of Postgres does.
func lower(text string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, text)
}
