package clientaddr

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	trafficv1 "github.com/sidelight/sidelight/proto/gen/sidelight/traffic/v1"

	"github.com/sidelight/sidelight/internal/config"
)

func trusted(t testing.TB, ranges ...string) config.CIDRs {
	t.Helper()
	var list config.CIDRs
	for _, text := range ranges {
		list = append(list, netip.MustParsePrefix(text))
	}
	return list
}

func resolver(t testing.TB, ranges ...string) *Resolver {
	t.Helper()
	r, err := New(trusted(t, ranges...), Headers())
	require.NoError(t, err)
	return r
}

func exchange(peer string, lines ...string) *trafficv1.Exchange {
	x := &trafficv1.Exchange{Request: &trafficv1.Request{}, Connection: &trafficv1.Connection{}}
	if peer != "" {
		x.Connection.Peer = &trafficv1.SocketAddress{Ip: netip.MustParseAddr(peer).AsSlice(), Port: 4711}
	}
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		x.Request.Headers = append(x.Request.Headers, &trafficv1.Header{Name: []byte(name), Value: []byte(value)})
	}
	return x
}

const (
	byPeer      = trafficv1.Client_SOURCE_PEER
	byXFF       = trafficv1.Client_SOURCE_X_FORWARDED_FOR
	byRealIP    = trafficv1.Client_SOURCE_X_REAL_IP
	byForwarded = trafficv1.Client_SOURCE_FORWARDED
)

func TestResolve(t *testing.T) {
	t.Parallel()
	many := strings.Repeat("10.0.0.9, ", 5000)
	for name, c := range map[string]struct {
		peer   string
		lines  []string
		want   string
		source trafficv1.Client_Source
		chain  string
	}{
		"no header":                              {"10.0.0.1", nil, "10.0.0.1", byPeer, "10.0.0.1"},
		"a stranger's header counts for nothing": {"203.0.113.9", []string{"X-Forwarded-For: 1.1.1.1", "X-Real-IP: 2.2.2.2", "Forwarded: for=3.3.3.3"}, "203.0.113.9", byPeer, "203.0.113.9"},
		"one proxy":                              {"10.0.0.1", []string{"X-Forwarded-For: 198.51.100.7"}, "198.51.100.7", byXFF, "10.0.0.1 198.51.100.7"},
		"two proxies":                            {"10.0.0.1", []string{"X-Forwarded-For: 198.51.100.7, 10.0.0.2"}, "198.51.100.7", byXFF, "10.0.0.1 10.0.0.2 198.51.100.7"},
		"what the client wrote before":           {"10.0.0.1", []string{"X-Forwarded-For: 127.0.0.1, 10.0.0.66, 198.51.100.7, 10.0.0.2"}, "198.51.100.7", byXFF, "10.0.0.1 10.0.0.2 198.51.100.7"},
		"lines are one list":                     {"10.0.0.1", []string{"x-forwarded-for: 1.2.3.4", "X-FORWARDED-FOR: 198.51.100.7"}, "198.51.100.7", byXFF, "10.0.0.1 198.51.100.7"},
		"all trusted: the farthest":              {"10.0.0.1", []string{"X-Forwarded-For: 10.0.0.3, 10.0.0.2"}, "10.0.0.3", byXFF, "10.0.0.1 10.0.0.2 10.0.0.3"},
		"junk ends the walk":                     {"10.0.0.1", []string{"X-Forwarded-For: 1.1.1.1, unknown, 10.0.0.2"}, "10.0.0.2", byXFF, "10.0.0.1 10.0.0.2"},
		"only junk":                              {"10.0.0.1", []string{"X-Forwarded-For: ' or 1=1--"}, "10.0.0.1", byPeer, "10.0.0.1"},
		"empty":                                  {"10.0.0.1", []string{"X-Forwarded-For: "}, "10.0.0.1", byPeer, "10.0.0.1"},
		"empty elements":                         {"10.0.0.1", []string{"X-Forwarded-For: 198.51.100.7,, ,"}, "198.51.100.7", byXFF, "10.0.0.1 198.51.100.7"},
		"port":                                   {"10.0.0.1", []string{"X-Forwarded-For: 198.51.100.7:1234"}, "198.51.100.7", byXFF, "10.0.0.1 198.51.100.7"},
		"bad port":                               {"10.0.0.1", []string{"X-Forwarded-For: 198.51.100.7:12x4"}, "10.0.0.1", byPeer, "10.0.0.1"},
		"two ports":                              {"10.0.0.1", []string{"X-Forwarded-For: 198.51.100.7:1:2"}, "10.0.0.1", byPeer, "10.0.0.1"},
		"IPv6":                                   {"10.0.0.1", []string{"X-Forwarded-For: 2001:db8::1"}, "2001:db8::1", byXFF, "10.0.0.1 2001:db8::1"},
		"IPv6 in brackets":                       {"10.0.0.1", []string{"X-Forwarded-For: [2001:DB8:0::1]"}, "2001:db8::1", byXFF, "10.0.0.1 2001:db8::1"},
		"IPv6 in brackets with port":             {"fd00::1", []string{"X-Forwarded-For: [2001:db8::1]:443"}, "2001:db8::1", byXFF, "fd00::1 2001:db8::1"},
		"IPv6 in half a bracket":                 {"10.0.0.1", []string{"X-Forwarded-For: [2001:db8::1"}, "10.0.0.1", byPeer, "10.0.0.1"},
		"IPv4 in brackets":                       {"10.0.0.1", []string{"X-Forwarded-For: [198.51.100.7]"}, "10.0.0.1", byPeer, "10.0.0.1"},
		"mapped IPv4 is IPv4":                    {"::ffff:10.0.0.1", []string{"X-Forwarded-For: 198.51.100.7, ::ffff:10.0.0.2"}, "198.51.100.7", byXFF, "10.0.0.1 10.0.0.2 198.51.100.7"},
		"a zone hides no trusted address":        {"10.0.0.1", []string{"X-Forwarded-For: 198.51.100.7, fd00::2%eth0"}, "198.51.100.7", byXFF, "10.0.0.1 fd00::2 198.51.100.7"},
		"leading zeros are no address":           {"10.0.0.1", []string{"X-Forwarded-For: 198.051.100.007"}, "10.0.0.1", byPeer, "10.0.0.1"},
		"real ip":                                {"10.0.0.1", []string{"X-Real-IP: 198.51.100.7"}, "198.51.100.7", byRealIP, "10.0.0.1 198.51.100.7"},
		"real ip twice":                          {"10.0.0.1", []string{"X-Real-IP: 198.51.100.7", "x-real-ip: 1.1.1.1"}, "10.0.0.1", byPeer, "10.0.0.1"},
		"real ip is no list":                     {"10.0.0.1", []string{"X-Real-IP: 198.51.100.7, 1.1.1.1"}, "10.0.0.1", byPeer, "10.0.0.1"},
		"forwarded-for over the others":          {"10.0.0.1", []string{"X-Real-IP: 1.1.1.1", "Forwarded: for=2.2.2.2", "X-Forwarded-For: 198.51.100.7"}, "198.51.100.7", byXFF, "10.0.0.1 198.51.100.7"},
		"forwarded":                              {"10.0.0.1", []string{`Forwarded: for=1.1.1.1, For="[2001:db8::1]:4711";proto=https;by=10.0.0.9`}, "2001:db8::1", byForwarded, "10.0.0.1 2001:db8::1"},
		"forwarded over two proxies":             {"10.0.0.1", []string{"Forwarded: for=198.51.100.7;host=a, for=10.0.0.2"}, "198.51.100.7", byForwarded, "10.0.0.1 10.0.0.2 198.51.100.7"},
		"forwarded, hidden":                      {"10.0.0.1", []string{"Forwarded: for=1.1.1.1, for=_secret"}, "10.0.0.1", byPeer, "10.0.0.1"},
		"forwarded, hidden port":                 {"10.0.0.1", []string{`Forwarded: for="198.51.100.7:_x"`}, "198.51.100.7", byForwarded, "10.0.0.1 198.51.100.7"},
		"forwarded without for":                  {"10.0.0.1", []string{"Forwarded: for=1.1.1.1, proto=https"}, "10.0.0.1", byPeer, "10.0.0.1"},
		"forwarded with two for":                 {"10.0.0.1", []string{"Forwarded: for=1.1.1.1;for=2.2.2.2"}, "10.0.0.1", byPeer, "10.0.0.1"},
		"a client's open quote hides nothing":    {"10.0.0.1", []string{`Forwarded: for="1.1.1.1`, `Forwarded: for=198.51.100.7`}, "198.51.100.7", byForwarded, "10.0.0.1 198.51.100.7"},
		"a quote means nothing in the other":     {"10.0.0.1", []string{`X-Forwarded-For: "1.1.1.1, 198.51.100.7`}, "198.51.100.7", byXFF, "10.0.0.1 198.51.100.7"},
		"an open quote at the end":               {"10.0.0.1", []string{`Forwarded: for=1.1.1.1, for="10.0.0.2`}, "10.0.0.1", byPeer, "10.0.0.1"},
		"an escaped quote":                       {"10.0.0.1", []string{`Forwarded: for=198.51.100.7;host="a\", for=1.1.1.1"`}, "198.51.100.7", byForwarded, "10.0.0.1 198.51.100.7"},
		"a comma in quotes":                      {"10.0.0.1", []string{`Forwarded: for=198.51.100.7;host="a, for=1.1.1.1"`}, "198.51.100.7", byForwarded, "10.0.0.1 198.51.100.7"},
		"a very long list":                       {"10.0.0.1", []string{"X-Forwarded-For: 1.1.1.1, " + many + "198.51.100.7"}, "198.51.100.7", byXFF, "10.0.0.1 198.51.100.7"},
		"no peer":                                {"", []string{"X-Forwarded-For: 1.1.1.1"}, "", trafficv1.Client_SOURCE_UNSPECIFIED, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := resolver(t, "10.0.0.0/8", "fd00::/8").Resolve(exchange(c.peer, c.lines...))
			require.Equal(t, c.want, got.GetAddress())
			require.Equal(t, c.source, got.GetSource())
			require.Equal(t, c.chain, strings.Join(got.GetChain(), " "))
		})
	}
}

func TestTrustedFillerIsBounded(t *testing.T) {
	t.Parallel()
	x := exchange("10.0.0.1", "X-Forwarded-For: 1.1.1.1, "+strings.Repeat("10.0.0.9, ", 100)+"10.0.0.2")
	require.Len(t, resolver(t, "10.0.0.0/8").Resolve(x).GetChain(), maxHops)
}

func TestAnUnknownValueEndsTheWalk(t *testing.T) {
	t.Parallel()
	x := exchange("10.0.0.1", "x-forwarded-for: 1.1.1.1", "x-forwarded-for: ")
	x.Request.Headers[1].Unknown = true
	require.Equal(t, "10.0.0.1", resolver(t, "10.0.0.0/8").Resolve(x).GetAddress())
}

func TestProxyProtocol(t *testing.T) {
	t.Parallel()
	x := exchange("10.0.0.1", "X-Forwarded-For: 1.1.1.1")
	x.Connection.Proxy = &trafficv1.ProxyProtocol{Source: &trafficv1.SocketAddress{Ip: []byte{203, 0, 113, 5}}}
	r := resolver(t, "10.0.0.0/8")
	got := r.Resolve(x)
	require.Equal(t, "203.0.113.5", got.GetAddress(), "the header is a stranger's")
	require.Equal(t, trafficv1.Client_SOURCE_PROXY_PROTOCOL, got.GetSource())
	x.Connection.Proxy.Source.Ip = []byte{10, 0, 0, 7}
	got = r.Resolve(x)
	require.Equal(t, []string{"10.0.0.1", "10.0.0.7", "1.1.1.1"}, got.GetChain())
}

// FuzzResolve holds what must be true of any header: no panic, a bounded chain that begins at the peer, every hop but
// the last trusted.
func FuzzResolve(f *testing.F) {
	for _, seed := range []string{
		"1.1.1.1, 10.0.0.2", "[::1]:80", "[::ffff:10.0.0.2]", `for="[2001:db8::1]:4711";by=_x, for=_hidden`, "unknown", ",,,", `"`, `for="\`, "10.0.0.2:99999",
		"fe80::1%25eth0", "[[::1]]", "::", "1.2.3.4:_x", "for==1.1.1.1", "10.0.0.2\x00",
	} {
		f.Add("X-Forwarded-For", seed)
		f.Add("Forwarded", seed)
		f.Add("X-Real-IP", seed)
	}
	ranges := trusted(f, "10.0.0.0/8", "fd00::/8")
	resolver := resolver(f, "10.0.0.0/8", "fd00::/8")
	f.Fuzz(func(t *testing.T, name, value string) {
		x := exchange("10.0.0.1")
		x.Request.Headers = []*trafficv1.Header{{Name: []byte(name), Value: []byte(value)}, {Name: []byte(name), Value: []byte(value)}}
		got := resolver.Resolve(x)
		chain := got.GetChain()
		require.NotEmpty(t, chain)
		require.LessOrEqual(t, len(chain), maxHops)
		require.Equal(t, "10.0.0.1", chain[0])
		require.Equal(t, got.GetAddress(), chain[len(chain)-1])
		for i, hop := range chain {
			address, err := netip.ParseAddr(hop)
			require.NoError(t, err)
			if i < len(chain)-1 {
				require.True(t, ranges.Contains(address), "%s vouched for the next hop", hop)
			}
		}
		// A stranger's headers say nothing.
		x.Connection.Peer.Ip = []byte{203, 0, 113, 9}
		require.Equal(t, "203.0.113.9", resolver.Resolve(x).GetAddress())
	})
}

func BenchmarkResolve(b *testing.B) {
	x := exchange("10.0.0.1", "Host: shop", "User-Agent: x", "Accept: */*", "X-Forwarded-For: 198.51.100.7, 10.0.0.2")
	r := resolver(b, "10.0.0.0/8")
	b.ReportAllocs()
	for b.Loop() {
		r.Resolve(x)
	}
}
