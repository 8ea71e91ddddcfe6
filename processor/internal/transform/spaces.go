package transform

import (
	"unicode"
	"unicode/utf8"
)

func lowercase(t Text) Text {
	upper := false
	for _, c := range t.Data {
		upper = upper || c >= 'A' && c <= 'Z' || c >= utf8.RuneSelf
	}
	if !upper {
		return t
	}
	b, d := newBuilder(t, 0), t.Data
	for i := 0; i < len(d); {
		r, size := utf8.DecodeRune(d[i:])
		b.puts(string(unicode.ToLower(r)), i, i+size)
		i += size
	}
	return b.text()
}

func removeNulls(t Text) Text {
	b := newBuilder(t, 0)
	for i, c := range t.Data {
		if c != 0 {
			b.keep(i)
		}
	}
	return b.text()
}

func removeWhitespace(t Text) Text {
	b, d := newBuilder(t, 0), t.Data
	for i := 0; i < len(d); {
		r, size := utf8.DecodeRune(d[i:])
		if !unicode.IsSpace(r) {
			b.puts(string(r), i, i+size)
		}
		i += size
	}
	return b.text()
}

func compressWhitespace(t Text) Text {
	b, d := newBuilder(t, 0), t.Data
	in := false
	for i := 0; i < len(d); {
		r, size := utf8.DecodeRune(d[i:])
		space := r == ' ' || r >= '\t' && r <= '\r' || r == 0x85 || r == 0xa0 || d[i] == 0xa0
		if space && !in {
			b.put(' ', i, i+size)
		}
		if !space {
			for k := i; k < i+size; k++ {
				b.keep(k)
			}
		}
		in = space
		i += size
	}
	return b.text()
}

// cmdLine undoes what a shell ignores: quotes, carets, doubled blanks, blanks before "/" and "(".
func cmdLine(t Text) Text {
	b := newBuilder(t, 0)
	space := false
	for i, c := range t.Data {
		switch c {
		case '"', '\'', '\\', '^':
		case ' ', ',', ';', '\t', '\r', '\n':
			if !space {
				b.put(' ', i, i+1)
			}
			space = true
		case '/', '(':
			if space {
				b.drop()
			}
			space = false
			b.keep(i)
		default:
			if c >= 'A' && c <= 'Z' {
				c += 'a' - 'A'
			}
			b.put(c, i, i+1)
			space = false
		}
	}
	return b.text()
}

func replaceComments(t Text) Text {
	b, d := newBuilder(t, 0), t.Data
	pair := func(i int, x, y byte) bool { return d[i] == x && i+1 < len(d) && d[i+1] == y }
	for i := 0; i < len(d); {
		if !pair(i, '/', '*') {
			b.keep(i)
			i++
			continue
		}
		start := i
		for i += 2; i < len(d) && !pair(i, '*', '/'); i++ {
		}
		i = min(i+2, len(d))
		b.put(' ', start, i)
	}
	return b.text()
}

func removeCommentsChar(t Text) Text {
	b, d := newBuilder(t, 0), t.Data
	marks := []string{"/*", "*/", "<!--", "-->", "--", "#"}
next:
	for i := 0; i < len(d); {
		for _, m := range marks {
			if len(d)-i >= len(m) && string(d[i:i+len(m)]) == m {
				i += len(m)
				continue next
			}
		}
		b.keep(i)
		i++
	}
	return b.text()
}
