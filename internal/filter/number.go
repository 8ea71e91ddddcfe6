package filter

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	processorv1 "github.com/sidelight/sidelight/proto/gen/sidelight/processor/v1"
)

func boolKey(name string, get func(*processorv1.Summary) bool) *key {
	return &key{
		name: name, want: "true or false", kind: Bool,
		read: func(text string, _ bool) (value, bool) {
			return value{yes: text == "true"}, text == "true" || text == "false"
		},
		match: func(s *processorv1.Summary, v *value) bool { return get(s) == v.yes },
		show:  func(v *value) string { return strconv.FormatBool(v.yes) },
	}
}

func clientKey() *key {
	return &key{
		name: "client", want: "an address or a CIDR, as 10.0.0.0/8", kind: Inet,
		read: func(text string, _ bool) (value, bool) {
			prefix, ok := readPrefix(text)
			return value{prefix: prefix}, ok
		},
		match: func(s *processorv1.Summary, v *value) bool { return v.prefix.Contains(client(s)) },
		show: func(v *value) string {
			if v.prefix.IsSingleIP() {
				return v.prefix.Addr().String()
			}
			return v.prefix.String()
		},
	}
}

// client is who sent the request: as far as trusted hops say, else the peer.
func client(s *processorv1.Summary) netip.Addr {
	if text := s.GetRequest().GetClient().GetAddress(); text != "" {
		// A wrong address is in no network.
		address, _ := netip.ParseAddr(text)
		return address.Unmap().WithZone("")
	}
	address, _ := netip.AddrFromSlice(s.GetRequest().GetPeer().GetIp())
	return address.Unmap()
}

func readPrefix(text string) (netip.Prefix, bool) {
	if !strings.Contains(text, "/") {
		address, err := netip.ParseAddr(text)
		if err != nil || address.Zone() != "" {
			return netip.Prefix{}, false
		}
		address = address.Unmap()
		return netip.PrefixFrom(address, address.BitLen()), true
	}
	prefix, err := netip.ParsePrefix(text)
	if err != nil {
		return netip.Prefix{}, false
	}
	// v4 in v6: addresses of clients are unmapped too.
	if prefix.Addr().Is4In6() {
		if prefix.Bits() < 96 {
			return netip.Prefix{}, false
		}
		prefix = netip.PrefixFrom(prefix.Addr().Unmap(), prefix.Bits()-96)
	}
	return prefix.Masked(), true
}

// noAnswer is the status of a request that was not answered yet.
const noAnswer = "none"

// highest is the last status that a range without an end takes in.
const highest = 999

func statusKey() *key {
	return &key{
		name: "status", want: "404, 4xx, 400..499, >=500, <400 or none", kind: Int,
		read: func(text string, _ bool) (value, bool) {
			low, high, ok := readStatus(text)
			return value{low: low, high: high}, ok
		},
		match: func(s *processorv1.Summary, v *value) bool {
			status := int64(s.GetRequest().GetStatus())
			return v.low <= status && status <= v.high
		},
		show: func(v *value) string { return showStatus(v.low, v.high) },
	}
}

// readStatus gives the range that is asked for. What was not answered is in none but its own.
func readStatus(text string) (low, high int64, ok bool) {
	text = lower(text)
	number := func(digits string) int64 {
		n, err := strconv.ParseUint(digits, 10, 16)
		if err != nil {
			ok = false
		}
		return int64(n)
	}
	ok = true
	from, to, isRange := strings.Cut(text, "..")
	switch {
	case text == noAnswer:
		return 0, 0, true
	case isRange:
		low, high = number(from), number(to)
	case len(text) == 3 && text[1:] == "xx":
		low = number(text[:1]) * 100
		high = low + 99
	case strings.HasPrefix(text, ">="):
		low, high = number(text[2:]), highest
	case strings.HasPrefix(text, ">"):
		low, high = number(text[1:])+1, highest
	case strings.HasPrefix(text, "<="):
		low, high = 1, number(text[2:])
	case strings.HasPrefix(text, "<"):
		low, high = 1, number(text[1:])-1
	default:
		low = number(text)
		high = low
	}
	return low, high, ok && 1 <= low && low <= high && high <= highest
}

func showStatus(low, high int64) string {
	switch {
	case high == 0:
		return noAnswer
	case low == high:
		return strconv.FormatInt(low, 10)
	case low%100 == 0 && high == low+99:
		return strconv.FormatInt(low/100, 10) + "xx"
	case high == highest:
		return ">=" + strconv.FormatInt(low, 10)
	case low == 1:
		return "<=" + strconv.FormatInt(high, 10)
	default:
		return fmt.Sprintf("%d..%d", low, high)
	}
}
