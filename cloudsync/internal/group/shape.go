package group

import (
	"strings"
)

// Shape replaces the segments of a path that look like values, so that an attack on every order is one attack. Literals
// stay, and so does what only the attacker made up: it is what the attack looked like.
func Shape(path string) string {
	segments := strings.Split(path, "/")
	for i, s := range segments {
		if kind := kindOf(s); kind != "" {
			segments[i] = kind
		}
	}
	return strings.Join(segments, "/")
}

func kindOf(s string) string {
	digits, hex, letters, others := 0, 0, 0, 0
	for _, c := range s {
		switch {
		case c >= '0' && c <= '9':
			digits++
			hex++
		case c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F':
			hex++
			letters++
		case c >= 'g' && c <= 'z' || c >= 'G' && c <= 'Z':
			letters++
		default:
			others++
		}
	}
	n := len(s)
	switch {
	case n == 0:
		return ""
	case digits == n:
		return "{int}"
	case n == 36 && hex == 32 && strings.Count(s, "-") == 4:
		return "{uuid}"
	case hex == n && n >= 12 && digits > 0:
		return "{hex}"
	case others == strings.Count(s, "_")+strings.Count(s, "-") && n >= 12 && digits >= 2 && letters >= 2:
		return "{id}"
	}
	return ""
}
