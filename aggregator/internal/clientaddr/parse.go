package clientaddr

import (
	"fmt"
	"net/netip"
	"strings"

	trafficv1 "github.com/sidelight/sidelight/proto/gen/sidelight/traffic/v1"
)

// maxHeader bounds what is looked at, from the end: the nearest hops stand there.
const maxHeader = 4096

// source is a header that names hops.
type source struct {
	// name is in lower case.
	name string
	by   trafficv1.Client_Source
}

var sources = []source{
	{"x-forwarded-for", trafficv1.Client_SOURCE_X_FORWARDED_FOR},
	{"forwarded", trafficv1.Client_SOURCE_FORWARDED},
	{"x-real-ip", trafficv1.Client_SOURCE_X_REAL_IP},
}

// Headers are the names of all headers that can count, in the order of their usual precedence: proxies append to the first,
// and pass the others through.
func Headers() []string {
	names := make([]string, 0, len(sources))
	for _, s := range sources {
		names = append(names, s.name)
	}
	return names
}

func sourceOf(name string) (source, error) {
	for _, s := range sources {
		if strings.EqualFold(s.name, name) {
			return s, nil
		}
	}
	return source{}, fmt.Errorf("%q names no client: want some of %s", name, strings.Join(Headers(), ", "))
}

// hops gives the hops that the deciding header names, nearest first. A value that is not known stands as a hop without an
// address, so that the walk ends there.
func (r *Resolver) hops(list []*trafficv1.Header) ([]string, trafficv1.Client_Source) {
	for _, s := range r.headers {
		var lines []string
		for _, h := range list {
			switch {
			case !equalFold(h.GetName(), s.name):
			case h.GetUnknown():
				lines = append(lines, "unknown")
			default:
				lines = append(lines, string(h.GetValue()))
			}
		}
		if len(lines) == 0 {
			continue
		}
		return s.parse(lines), s.by
	}
	return nil, trafficv1.Client_SOURCE_UNSPECIFIED
}

func (s source) parse(lines []string) []string {
	switch s.by {
	case trafficv1.Client_SOURCE_X_REAL_IP:
		if len(lines) > 1 {
			// Two contradict each other: one of them is the client's.
			return nil
		}
		return lines
	case trafficv1.Client_SOURCE_FORWARDED:
		var hops []string
		for _, element := range elements(tail(lines), ',', true) {
			hops = append(hops, forParameter(element))
		}
		return hops
	default:
		return elements(tail(lines), ',', false)
	}
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
