// Package clientaddr finds out who sent a request, as far as trusted proxies say.
package clientaddr

import (
	"net/netip"

	trafficv1 "github.com/sidelight/sidelight/proto/gen/sidelight/traffic/v1"

	"github.com/sidelight/sidelight/internal/config"
)

// maxHops bounds the walk: a longer chain is nobody's real path.
const maxHops = 32

// Resolver knows whose words about a client count.
type Resolver struct{ trusted config.CIDRs }

// New makes a resolver. Without trusted ranges every client is its peer.
func New(trusted config.CIDRs) *Resolver { return &Resolver{trusted} }

// Resolve starts at the peer and goes one hop further as long as the hop that said so is trusted. It ends at the first
// address that is not trusted: everything behind it is that stranger's own claim. It also ends at a hop that named no
// address, with the last one known.
//
// X-Forwarded-For decides where it is present, then Forwarded, then X-Real-IP: proxies append to the first and pass the
// others through, so a client could set them.
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
	if !r.trusted.Contains(w.address) {
		return w.client()
	}
	hops, source := headers(x.GetRequest().GetHeaders())
	for _, hop := range hops {
		if !r.trusted.Contains(w.address) || len(w.chain) >= maxHops {
			break
		}
		address, ok := parseAddress(hop)
		if !ok {
			break
		}
		w.step(address, source)
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
