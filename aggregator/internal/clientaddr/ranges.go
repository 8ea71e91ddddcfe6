package clientaddr

import (
	"fmt"
	"net/netip"

	"github.com/sidelight/sidelight/internal/config"
)

// maxRanges keeps the walk cheap: every hop is looked up in all of them.
const maxRanges = 1000

// ParseRanges reads ranges such as 10.0.0.0/8 and 2001:db8::1, which is a range of one.
func ParseRanges(texts []string) (config.CIDRs, error) {
	if len(texts) > maxRanges {
		return nil, fmt.Errorf("%d trusted ranges, want at most %d: join neighbours", len(texts), maxRanges)
	}
	list := make(config.CIDRs, 0, len(texts))
	for _, text := range texts {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			address, addressErr := netip.ParseAddr(text)
			if addressErr != nil || address.Zone() != "" {
				return nil, fmt.Errorf("trusted range %q is no address range: want one such as 10.0.0.0/8 or 2001:db8::/32", text)
			}
			prefix = netip.PrefixFrom(address, address.BitLen())
		}
		switch {
		case prefix.Addr().Is4In6():
			return nil, fmt.Errorf("trusted range %q maps IPv4: write it as IPv4", text)
		case prefix != prefix.Masked():
			return nil, fmt.Errorf("trusted range %q has bits set beyond its length: did you mean %s?", text, prefix.Masked())
		}
		list = append(list, prefix)
	}
	return list, nil
}
