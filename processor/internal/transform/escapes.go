package transform

import (
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/net/html"
)

func hexValue(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	default:
		return -1
	}
}

// hexRun reads up to n hex digits at d[i:] and says how many there were.
func hexRun(d []byte, i, n int) (value rune, digits int) {
	for digits < n && i+digits < len(d) {
		h := hexValue(d[i+digits])
		if h < 0 {
			break
		}
		value = value<<4 | rune(h)
		digits++
	}
	return value, digits
}

// hexExact reads exactly n hex digits at d[i:].
func hexExact(d []byte, i, n int) (rune, bool) {
	v, got := hexRun(d, i, n)
	return v, got == n
}

func percent(t Text) Text { return percentDecode(t, false) }

func form(t Text) Text { return percentDecode(t, true) }

func percentDecode(t Text, plus bool) Text {
	b, d := newBuilder(t, 0), t.Data
	for i := 0; i < len(d); {
		if v, ok := hexExact(d, i+1, 2); ok && d[i] == '%' {
			b.put(byte(v), i, i+3)
			i += 3
			continue
		}
		if plus && d[i] == '+' {
			b.put(' ', i, i+1)
		} else {
			b.keep(i)
		}
		i++
	}
	return b.text()
}

// bestFit maps the code points beyond Latin-1 that IIS folds to ASCII; only those that attacks use are listed, an
// unlisted one makes the result differ from the engine's, and then no range is claimed.
var bestFit = map[rune]byte{
	0x2215: '/', 0x2216: '\\', 0x2044: '/', 0x2032: '\'', 0x2018: '\'', 0x2019: '\'', 0x201c: '"', 0x201d: '"',
	0x2039: '<', 0x203a: '>', 0x3008: '<', 0x3009: '>', 0x2024: '.', 0x2010: '-', 0x2013: '-', 0x2014: '-',
}

func urlDecodeUni(t Text) Text {
	b, d := newBuilder(t, 0), t.Data
	for i := 0; i < len(d); {
		switch {
		case d[i] == '+':
			b.put(' ', i, i+1)
			i++
		case d[i] == '%' && i+1 < len(d) && (d[i+1] == 'u' || d[i+1] == 'U'):
			if v, ok := hexExact(d, i+2, 4); ok {
				b.put(foldUnicode(v), i, i+6)
				i += 6
				continue
			}
			b.keep(i)
			b.keep(i + 1)
			i += 2
		case d[i] == '%':
			if v, ok := hexExact(d, i+1, 2); ok {
				b.put(byte(v), i, i+3)
				i += 3
				continue
			}
			b.keep(i)
			i++
		default:
			b.keep(i)
			i++
		}
	}
	return b.text()
}

func foldUnicode(v rune) byte {
	if c, ok := bestFit[v]; ok {
		return c
	}
	low := byte(v)
	if v>>8 == 0xff && low > 0 && low < 0x5f {
		low += 0x20
	}
	return low
}

func utf8ToUnicode(t Text) Text {
	const digits = "0123456789abcdef"
	ascii := true
	for _, c := range t.Data {
		ascii = ascii && c < utf8.RuneSelf
	}
	if ascii {
		return t
	}
	b, d := newBuilder(t, 0), t.Data
	for i := 0; i < len(d); {
		r, size := utf8.DecodeRune(d[i:])
		if r < utf8.RuneSelf {
			b.keep(i)
			i++
			continue
		}
		text := ""
		for v := r; v > 0; v >>= 4 {
			text = string(digits[v&15]) + text
		}
		b.puts("%u"+strings.Repeat("0", max(0, 4-len(text)))+text, i, i+size)
		i += size
	}
	return b.text()
}

// jsonString decodes as encoding/json does, but keeps bytes that are not UTF-8.
func jsonString(t Text) Text {
	b, d := newBuilder(t, 0), t.Data
	for i := 0; i < len(d); {
		if d[i] != '\\' || i+1 >= len(d) {
			b.keep(i)
			i++
			continue
		}
		if d[i+1] != 'u' {
			c := d[i+1]
			if k := strings.IndexByte("bfnrt", c); k >= 0 {
				c = "\b\f\n\r\t"[k]
			}
			b.put(c, i, i+2)
			i += 2
			continue
		}
		r, ok := hexExact(d, i+2, 4)
		if !ok {
			b.keep(i)
			i++
			continue
		}
		size := 6
		if utf16.IsSurrogate(r) {
			low, ok := hexExact(d, i+8, 4)
			if ok && d[i+6] == '\\' && d[i+7] == 'u' && utf16.DecodeRune(r, low) != utf8.RuneError {
				r, size = utf16.DecodeRune(r, low), 12
			} else {
				r = utf8.RuneError
			}
		}
		b.puts(string(r), i, i+size)
		i += size
	}
	return b.text()
}

// htmlEntityDecode leans on the library: an entity never contains "&", so each stretch from one "&" to the next can be
// decoded by itself, and what the result has in common with the end of its stretch stood behind the entity.
func htmlEntityDecode(t Text) Text {
	b, d := newBuilder(t, 0), t.Data
	for i := 0; i < len(d); {
		if d[i] != '&' {
			b.keep(i)
			i++
			continue
		}
		end := i + 1
		for end < len(d) && d[end] != '&' {
			end++
		}
		out, same := html.UnescapeString(string(d[i:end])), 0
		for same < len(out) && same < end-i && out[len(out)-1-same] == d[end-1-same] {
			same++
		}
		b.puts(out[:len(out)-same], i, end-same)
		for k := end - same; k < end; k++ {
			b.keep(k)
		}
		i = end
	}
	return b.text()
}
