// Package render makes hostile text safe to show, one function per sink. Attack text is written to be misread.
package render

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Terminal shows every character that could move the cursor, change colours, reorder or hide text as an escape, and every
// byte that is no UTF-8 as \xNN.
func Terminal(text string) string { return escaped(text, "") }

// escaped replaces what is not plainly printable; `also` lists printable characters to escape too.
func escaped(text, also string) string {
	var b strings.Builder
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRuneInString(text[i:])
		switch {
		case r == utf8.RuneError && size <= 1:
			fmt.Fprintf(&b, `\x%02x`, text[i])
		case strings.ContainsRune(also, r):
			fmt.Fprintf(&b, `\u%04x`, r)
		case r == ' ' || unicode.IsPrint(r) && !invisible(r):
			b.WriteRune(r)
		case r < 0x100:
			fmt.Fprintf(&b, `\x%02x`, r)
		default:
			fmt.Fprintf(&b, `\u{%x}`, r)
		}
		i += size
	}
	return b.String()
}

// invisible finds characters that count as printable and are not to be seen, or that reorder what is.
func invisible(r rune) bool {
	return unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Bidi_Control, r) || unicode.Is(unicode.Variation_Selector, r) ||
		r == 0x115f || r == 0x1160 || r == 0x3164 || r == 0xffa0
}

// JSONSafe makes valid UTF-8 out of any bytes: what is none becomes \xNN. Quoting is the encoder's work.
func JSONSafe(text string) string {
	if utf8.ValidString(text) {
		return text
	}
	var b strings.Builder
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRuneInString(text[i:])
		if r == utf8.RuneError && size <= 1 {
			fmt.Fprintf(&b, `\x%02x`, text[i])
		} else {
			b.WriteRune(r)
		}
		i += size
	}
	return b.String()
}

// CSV gives one quoted field. Text that a spreadsheet would take for a formula gets an apostrophe before it.
func CSV(text string) string {
	text = escaped(text, "")
	if bare := strings.TrimLeft(text, " "); bare != "" && strings.IndexByte("=+-@|%", bare[0]) >= 0 {
		text = "'" + text
	}
	return `"` + strings.ReplaceAll(text, `"`, `""`) + `"`
}

// Shell gives one word of a POSIX shell. Bytes that could disturb a terminal on the way are written as $'\xNN'.
func Shell(text string) string {
	if text != "" && strings.Trim(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:=@%+,") == "" {
		return text
	}
	if Terminal(text) == text {
		return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
	}
	var b strings.Builder
	b.WriteString("$'")
	for i := range len(text) {
		switch c := text[i]; {
		case c == '\'' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c >= 0x20 && c < 0x7f:
			b.WriteByte(c)
		default:
			// Three octal digits end by themselves; \x would swallow a hex digit that follows.
			fmt.Fprintf(&b, `\%03o`, c)
		}
	}
	b.WriteString("'")
	return b.String()
}
