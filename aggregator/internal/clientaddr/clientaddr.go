// Package clientaddr finds out who sent a request, as far as trusted proxies say.
package clientaddr

import (
	"fmt"
	"net/netip"
	"slices"
	"sync/atomic"

	trafficv1 "github.com/sidelight/sidelight/proto/gen/sidelight/traffic/v1"

	"github.com/sidelight/sidelight/internal/config"
)

// maxHops bounds the walk: a longer chain is nobody's real path.
const maxHops = 32

// Resolver knows whose words about a client count, and which.
type Resolver struct {
	own     config.CIDRs
	headers []source
	// trusted is its own ranges and those that it was told of.
	trusted atomic.Pointer[config.CIDRs]
}

// New makes a resolver. Without trusted ranges, or without headers, every client is its peer. Of the headers, the first that
// is present decides.
func New(trusted config.CIDRs, headers []string) (*Resolver, error) {
	r := &Resolver{own: trusted}
	for _, name := range headers {
		of, err := sourceOf(name)
		if err != nil {
			return nil, err
		}
		if slices.Contains(r.headers, of) {
			return nil, fmt.Errorf("%q stands twice", name)
		}
		r.headers = append(r.headers, of)
	}
	r.Trust(nil)
	return r, nil
}

// Trust sets the ranges that are trusted beside its own; exchanges on their way are not waited for.
func (r *Resolver) Trust(more config.CIDRs) {
	all := slices.Concat(r.own, more)
	r.trusted.Store(&all)
}

// Resolve starts at the peer and goes one hop further as long as the hop that said so is trusted. It ends at the first
// address that is not trusted: everything behind it is that stranger's own claim. It also ends at a hop that named no
// address, with the last one known.
//
// Proxies set one header and pass the others through, so a client could set those: the first of the configured ones that is
// present decides, and one that no proxy sets should not be among them.
func (r *Resolver) Resolve(x *trafficv1.Exchange) *trafficv1.Client {
	connection := x.GetConnection()
	peer, ok := fromBytes(connection.GetPeer())
	if !ok {
		// Without a peer nobody vouches for a header.
		return &trafficv1.Client{}
	}
	w := walk{address: peer, source: trafficv1.Client_SOURCE_PEER, chain: []string{peer.String()}}
	// The agent takes a PROXY header from configured addresses only.
	if told, ok := fromBytes(connection.GetProxy().GetSource()); ok {
		w.step(told, trafficv1.Client_SOURCE_PROXY_PROTOCOL)
	}
	trusted := *r.trusted.Load()
	if !trusted.Contains(w.address) {
		return w.client()
	}
	hops, by := r.hops(x.GetRequest().GetHeaders())
	for _, hop := range hops {
		if !trusted.Contains(w.address) || len(w.chain) >= maxHops {
			break
		}
		address, ok := parseAddress(hop)
		if !ok {
			break
		}
		w.step(address, by)
	}
	return w.client()
}

type walk struct {
	address netip.Addr
	source  trafficv1.Client_Source
	chain   []string
}

func (w *walk) step(to netip.Addr, source trafficv1.Client_Source) {
	w.address, w.source = to, source
	w.chain = append(w.chain, to.String())
}

func (w *walk) client() *trafficv1.Client {
	return &trafficv1.Client{Address: w.address.String(), Source: w.source, Chain: w.chain}
}

func fromBytes(a *trafficv1.SocketAddress) (netip.Addr, bool) {
	address, ok := netip.AddrFromSlice(a.GetIp())
	return address.Unmap(), ok
}
