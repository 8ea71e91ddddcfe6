package observe

import (
	"context"
	"fmt"
	"net"
	"net/netip"
)

// lookup finds the addresses of a host.
type lookup func(ctx context.Context, host string) ([]netip.Addr, error)

func defaultLookup(ctx context.Context, host string) ([]netip.Addr, error) {
	return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
}

// behind finds the addresses that names ("host:port") stand for.
func behind(names []string, resolve lookup) func(context.Context) ([]string, error) {
	return func(ctx context.Context) ([]string, error) {
		var all []string
		for _, name := range names {
			host, port, err := net.SplitHostPort(name)
			if err != nil {
				return nil, fmt.Errorf("aggregator %q: want host:port", name)
			}
			if _, err := netip.ParseAddr(host); err == nil {
				all = append(all, name)
				continue
			}
			found, err := resolve(ctx, host)
			if err != nil {
				return nil, fmt.Errorf("finding aggregator %s: %w", name, err)
			}
			for _, ip := range oneFamily(found) {
				all = append(all, net.JoinHostPort(ip.String(), port))
			}
		}
		return all, nil
	}
}

// oneFamily keeps an aggregator with an address of each family from being watched twice.
func oneFamily(all []netip.Addr) []netip.Addr {
	var v4 []netip.Addr
	for _, ip := range all {
		if ip = ip.Unmap(); ip.Is4() {
			v4 = append(v4, ip)
		}
	}
	if len(v4) > 0 {
		return v4
	}
	return all
}
