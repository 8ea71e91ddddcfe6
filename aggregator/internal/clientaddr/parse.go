package clientaddr

import (
	"net/netip"
	"strings"

	trafficv1 "github.com/sidelight/sidelight/proto/gen/sidelight/traffic/v1"
)

// maxHeader bounds what is looked at, from the end: the nearest hops stand there.
const maxHeader = 4096

// headers gives the hops that the deciding header names, nearest first. A value that is not known stands as a hop
// without an address, so that the walk ends there.
func headers(list []*trafficv1.Header) ([]string, trafficv1.Client_Source) {
	var forwardedFor, forwarded, realIP []string
	for _, h := range list {
		name := h.GetName()
		var into *[]string
		switch {
		case equalFold(name, "x-forwarded-for"):
			into = &forwardedFor
		case equalFold(name, "forwarded"):
			into = &forwarded
		case equalFold(name, "x-real-ip"):
			into = &realIP
		default:
			continue
		}
		value := string(h.GetValue())
		if h.GetUnknown() {
			value = "unknown"
		}
		*into = append(*into, value)
	}
	switch {
	case len(forwardedFor) > 0:
		return elements(tail(forwardedFor), ',', false), trafficv1.Client_SOURCE_X_FORWARDED_FOR
	case len(forwarded) > 0:
		var hops []string
		for _, element := range elements(tail(forwarded), ',', true) {
			hops = append(hops, forParameter(element))
		}
		return hops, trafficv1.Client_SOURCE_FORWARDED
	case len(realIP) == 1:
		return realIP, trafficv1.Client_SOURCE_X_REAL_IP
	}
	// Two X-Real-IP contradict each other: one of them is the client's.
	return nil, trafficv1.Client_SOURCE_UNSPECIFIED
}

// tail joins the lines of one header as RFC 9110 does, and keeps its end.
func tail(lines []string) string {
	joined := strings.Join(lines, ",")
	if len(joined) <= maxHeader {
		return joined
	}
	joined = joined[len(joined)-maxHeader:]
	// The cut may have halved an address into another one that is valid.
	if at := strings.IndexByte(joined, ','); at >= 0 {
		return "unknown" + joined[at:]
	}
	return "unknown"
}

// elements takes a list apart, last element first, leaving quoted texts whole and empty elements out. It reads from the
// end, where the nearest proxy wrote: a quote that a client left open further to the left then hides nothing.
func elements(list string, separator byte, quotes bool) []string {
	var out []string
	quoted, end := false, len(list)
	for i := len(list) - 1; i >= -1; i-- {
		switch {
		case i >= 0 && quotes && list[i] == '"' && !escaped(list, i):
			quoted = !quoted
		case i < 0 || list[i] == separator && !quoted:
			if element := strings.Trim(list[i+1:end], " \t"); element != "" {
				out = append(out, element)
			}
			end = i
		}
	}
	return out
}

// escaped tells whether an odd number of backslashes stands before the byte.
func escaped(text string, at int) bool {
	n := 0
	for at--; at >= 0 && text[at] == '\\'; at-- {
		n++
	}
	return n%2 == 1
}

// forParameter gives the one for= of an element of Forwarded (RFC 7239), "" if there is none, or two that contradict.
func forParameter(element string) string {
	found := ""
	for _, pair := range elements(element, ';', true) {
		name, value, ok := strings.Cut(pair, "=")
		if !ok || !strings.EqualFold(strings.TrimSpace(name), "for") {
			continue
		}
		if found != "" {
			return ""
		}
		found = strings.Trim(value, " \t")
		if unquoted, ok := strings.CutPrefix(found, `"`); ok {
			// A backslash stands in no address: what holds one is refused by the parser.
			found = strings.TrimSuffix(unquoted, `"`)
		}
	}
	return found
}

// parseAddress reads "192.0.2.1", "192.0.2.1:80", "2001:db8::1", "[2001:db8::1]" and "[2001:db8::1]:80". The port may
// be hidden, as RFC 7239 allows.
func parseAddress(text string) (netip.Addr, bool) {
	host := text
	if inner, ok := strings.CutPrefix(text, "["); ok {
		end := strings.IndexByte(inner, ']')
		if end < 0 || !strings.Contains(inner[:end], ":") || !isPort(inner[end+1:]) {
			return netip.Addr{}, false
		}
		host = inner[:end]
	} else if at := strings.IndexByte(text, ':'); at >= 0 && strings.Contains(text[:at], ".") && !strings.Contains(text[at+1:], ":") {
		if !isPort(text[at:]) {
			return netip.Addr{}, false
		}
		host = text[:at]
	}
	address, err := netip.ParseAddr(host)
	if err != nil {
		return netip.Addr{}, false
	}
	// A zone means something on the sender's host alone, and would hide the address from the trusted ranges.
	return address.WithZone("").Unmap(), true
}

// isPort accepts nothing, ":80" and ":_hidden".
func isPort(text string) bool {
	if text == "" {
		return true
	}
	digits, ok := strings.CutPrefix(text, ":")
	if !ok || digits == "" || len(digits) > 64 {
		return false
	}
	if digits[0] == '_' {
		return true
	}
	return len(digits) <= 5 && strings.Trim(digits, "0123456789") == ""
}

// equalFold compares a header's name without a copy; want is lower case.
func equalFold(name []byte, want string) bool {
	if len(name) != len(want) {
		return false
	}
	for i := range name {
		c := name[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != want[i] {
			return false
		}
	}
	return true
}
