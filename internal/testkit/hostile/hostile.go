// Package hostile is the one corpus of text that is written to be misread, for the tests of every sink: terminal, JSON,
// CSV, shell, pages.
package hostile

import "strings"

// Corpus gives all of it.
func Corpus() []string {
	return []string{
		"", "plain", "ä ö 日本", "\x1b[31mred\x1b[0m", "\x1b]0;title\x07", "a\u202eb\u2066c", "zero\u200bwidth\ufeff", "nul\x00byte", "new\nline\r\n", "\u0085\u009b31m",
		"\xff\xfe\x80", "=1+1", "+cmd|' /C calc'!A0", "-2", "@x", " =x", "|x", "%0a", `"quoted"`, "it's", "`id`", "$(id)", "a;b&c", "\\", "~", "*", "-n", "!history",
		"tab\there", "\u2028line", "\u3164hidden", "e\u0301", strings.Repeat("x", 3000),
		`<script>window.pwned=1</script>`, `"><img src=x onerror=window.pwned=1>`, `<svg/onload=window.pwned=1>`, "javascript:window.pwned=1", "{{7*7}}${7*7}",
		"</textarea><script>window.pwned=1</script>", "&lt;b&gt;", "%3Cscript%3Ewindow.pwned=1%3C/script%3E",
	}
}
