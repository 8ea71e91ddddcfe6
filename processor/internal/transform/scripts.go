package transform

import (
	"strings"
	"unicode/utf8"
)

const (
	escapeLetters = "abfnrtv"
	escapeValues  = "\a\b\f\n\r\t\v"
)

// octal reads up to three octal digits at d[i:].
func octal(d []byte, i int) (value, digits int) {
	for digits < 3 && i+digits < len(d) && d[i+digits] >= '0' && d[i+digits] <= '7' {
		value = value<<3 | int(d[i+digits]-'0')
		digits++
	}
	return value, digits
}

// jsEscape decodes the escape that begins at d[i] and says how many bytes it has.
func jsEscape(d []byte, i int) (byte, int) {
	if i+2 < len(d) && d[i+1] == 'u' && d[i+2] == '{' {
		if v, n := hexRun(d, i+3, 6); n > 0 && i+3+n < len(d) && d[i+3+n] == '}' {
			if v >= 0xff01 && v <= 0xff5e {
				v += 0x20
			}
			return byte(v), n + 4
		}
	}
	if v, ok := hexExact(d, i+2, 4); ok && d[i+1] == 'u' {
		low := byte(v)
		if v>>8 == 0xff && low > 0 && low < 0x5f {
			low += 0x20
		}
		return low, 6
	}
	if v, ok := hexExact(d, i+2, 2); ok && d[i+1] == 'x' {
		return byte(v), 4
	}
	if v, n := octal(d, i+1); n > 0 {
		if n == 3 && d[i+1] > '3' {
			v, n = v>>3, 2
		}
		return byte(v), n + 1
	}
	if k := strings.IndexByte(escapeLetters, d[i+1]); k >= 0 {
		return escapeValues[k], 2
	}
	return d[i+1], 2
}

func jsDecode(t Text) Text {
	b, d := newBuilder(t, 0), t.Data
	for i := 0; i < len(d); {
		if d[i] != '\\' || i+1 >= len(d) {
			b.keep(i)
			i++
			continue
		}
		c, n := jsEscape(d, i)
		b.put(c, i, i+n)
		i += n
	}
	return b.text()
}

func cssDecode(t Text) Text {
	b, d := newBuilder(t, 0), t.Data
	for i := 0; i < len(d); {
		if d[i] != '\\' {
			b.keep(i)
			i++
			continue
		}
		start := i
		i++
		if i >= len(d) {
			break
		}
		v, n := hexRun(d, i, 6)
		switch {
		case n > 0:
			i += n
			if i < len(d) && strings.IndexByte(" \f\n\t\r\v", d[i]) >= 0 {
				i++
			}
			if v == 0 {
				v = utf8.RuneError
			}
			if v >= 0xff01 && v <= 0xff5e {
				v -= 0xfee0
			}
			b.puts(string(v), start, i)
		case d[i] == '\n':
			i++
		default:
			b.put(d[i], start, i+1)
			i++
		}
	}
	return b.text()
}

func escapeSeqDecode(t Text) Text {
	b, d := newBuilder(t, 0), t.Data
	for i := 0; i < len(d); {
		if d[i] != '\\' || i+1 >= len(d) {
			b.keep(i)
			i++
			continue
		}
		c, n := d[i+1], 2
		if k := strings.IndexByte(escapeLetters, c); k >= 0 {
			c = escapeValues[k]
		} else if v, ok := hexExact(d, i+2, 2); ok && (c == 'x' || c == 'X') {
			c, n = byte(v), 4
		} else if v, digits := octal(d, i+1); digits > 0 {
			c, n = byte(v), digits+1
		}
		b.put(c, i, i+n)
		i += n
	}
	return b.text()
}
