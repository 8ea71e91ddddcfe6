package group

import (
	"strings"
)

const (
	// maxSegments bounds a shape; what lies deeper is one segment of any kind.
	maxSegments = 24
	// maxLiteral is the longest segment that may be a name that a developer gave.
	maxLiteral = 48
	// anything stands for text that no developer wrote into a route.
	anything = "{text}"
)

// Shape replaces the segments of a path that look like values: numbers, identifiers, dates, and whatever holds bytes that
// names in routes do not have. Literals are kept. So one attack on many orders is one attack, whatever each payload is.
func Shape(path string) string {
	if path == "" {
		return "/"
	}
	var b strings.Builder
	b.Grow(len(path))
	count, last := 0, ""
	for segment := range strings.SplitSeq(strings.TrimPrefix(path, "/"), "/") {
		if count++; count > maxSegments {
			break
		}
		kind := typed(segment)
		// A payload may hold any number of slashes.
		if kind == anything && last == anything {
			continue
		}
		last = kind
		b.WriteByte('/')
		b.WriteString(kind)
	}
	if count > maxSegments && last != anything {
		b.WriteString("/" + anything)
	}
	return b.String()
}

// typed gives the placeholder of a segment, or the segment itself.
func typed(s string) string {
	switch {
	case s == "":
		return ""
	case isEmail(s):
		return "{email}"
	case s == "." || s == ".." || len(s) > maxLiteral || strings.Trim(s, unreserved) != "":
		return anything
	case isDigits(s):
		return "{int}"
	case isUUID(s):
		return "{uuid}"
	case isDate(s):
		return "{date}"
	case isHex(s) && (len(s) >= 16 || len(s) >= 8 && hasDigit(s) && hasLetter(s)):
		return "{hex}"
	case isDecimal(s):
		return "{number}"
	case isToken(s):
		return "{id}"
	}
	return s
}

const (
	digits     = "0123456789"
	hexDigits  = digits + "abcdefABCDEF"
	lower      = "abcdefghijklmnopqrstuvwxyz"
	letters    = lower + "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	unreserved = letters + digits + "-._~@:+!$"
)

func only(s, set string) bool { return strings.Trim(s, set) == "" }

func isDigits(s string) bool  { return only(s, digits) }
func isHex(s string) bool     { return only(s, hexDigits) }
func hasDigit(s string) bool  { return strings.ContainsAny(s, digits) }
func hasLetter(s string) bool { return strings.ContainsAny(s, letters) }

// isDecimal reads "3.14" and "-7".
func isDecimal(s string) bool {
	whole, fraction, found := strings.Cut(strings.TrimPrefix(s, "-"), ".")
	return whole != "" && isDigits(whole) && (!found || fraction != "" && isDigits(fraction))
}

func isUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		if dash := i == 8 || i == 13 || i == 18 || i == 23; dash != (s[i] == '-') {
			return false
		}
	}
	return isHex(strings.ReplaceAll(s, "-", ""))
}

func isDate(s string) bool {
	return len(s) == 10 && s[4] == '-' && s[7] == '-' && isDigits(s[:4]+s[5:7]+s[8:])
}

func isEmail(s string) bool {
	name, host, found := strings.Cut(s, "@")
	return found && name != "" && strings.Contains(host, ".") && only(s, unreserved)
}

// isToken takes what mixes letters and digits as no name does: "cus_9aXk2bQ" and "01J9Z3NDEKTSV4RRFFQ69G5FAV", not "v2",
// "oauth2" or "iso-8601".
func isToken(s string) bool {
	if at := strings.LastIndexByte(s, '_'); at >= 0 {
		s = s[at+1:]
	}
	if len(s) < 6 || !only(s, letters+digits) {
		return false
	}
	changes, digit := 0, false
	for i := range len(s) {
		d := '0' <= s[i] && s[i] <= '9'
		if i > 0 && d != digit {
			changes++
		}
		digit = d
	}
	return changes >= 3
}
