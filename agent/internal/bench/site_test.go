package bench

import (
	"context"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/sidelight/sidelight/agent/internal/exchange"
	"github.com/sidelight/sidelight/agent/internal/probe"
	"github.com/sidelight/sidelight/agent/internal/ship"
	"github.com/sidelight/sidelight/agent/internal/stream"
	"github.com/sidelight/sidelight/agent/internal/workload"
	"github.com/sidelight/sidelight/internal/losses"
	"github.com/sidelight/sidelight/internal/rpc"
	"github.com/sidelight/sidelight/internal/testkit"
	"github.com/sidelight/sidelight/internal/testkit/testpki"
	aggregatorv1 "github.com/sidelight/sidelight/proto/gen/sidelight/aggregator/v1"
	policyv1 "github.com/sidelight/sidelight/proto/gen/sidelight/policy/v1"
	statusv1 "github.com/sidelight/sidelight/proto/gen/sidelight/status/v1"
	trafficv1 "github.com/sidelight/sidelight/proto/gen/sidelight/traffic/v1"
)

// site is an agent from its ring's events on, and what it sends to.
type site struct {
	table   *stream.Table
	shipper *ship.Shipper
	losses  *losses.Losses
	shop    *workload.Workload
	clients []client
	made    uint64
	event   probe.Event
	clock   uint64
	end     func() came
	stop    func()
}

// client is one kept connection.
type client struct {
	key           probe.ConnKey
	local, remote netip.AddrPort
	seq, lost     [2]uint32
}

func newSite(t testing.TB, connections, rate int, change func(*ship.Config)) *site {
	t.Helper()
	ca := testpki.New(t)
	s := &site{losses: losses.NewLosses(nil, "agent"), shop: workload.New(&trafficv1.Workload{
		Cluster: "standalone", Node: "shop-1", Service: "shop", Process: &trafficv1.Process{
			Pid: 4711, Executable: "/usr/sbin/nginx", Unit: "nginx.service", Cgroup: "/system.slice/nginx.service"}})}
	address, end := start(t, ca, rate)
	s.end = end
	conn, err := rpc.Dial(rpc.ClientConfig{Address: address}, rpc.ClientDeps{TLS: ca.Source(t, "agent"), Server: "aggregator", Extra: ship.DialOptions()})
	require.NoError(t, err)
	cfg := ship.DefaultConfig()
	change(&cfg)
	s.shipper = ship.New(cfg, ship.Deps{
		Log: testkit.Quiet(), Client: aggregatorv1.NewMirrorServiceClient(conn), Losses: s.losses,
		Hello: &aggregatorv1.Hello{Node: "shop-1", BootId: boot, StartedAt: timestamppb.Now()}, Mono: probe.Monotonic,
		Added: func() uint64 { return s.table.Oldest(probe.Monotonic()) }, Status: func() *statusv1.PartStatus { return &statusv1.PartStatus{} },
		Policy: func(*policyv1.AgentPolicy) {},
	})
	builder := exchange.New(exchange.Config{BootID: boot}, s.shipper.Take)
	s.table = stream.NewTable(stream.DefaultConfig(), stream.Deps{Builder: builder, Losses: s.losses, Workload: func(uint32) *workload.Workload { return s.shop }})
	s.clients = newClients(connections)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.shipper.Run(ctx) }()
	s.stop = func() {
		cancel()
		require.NoError(t, <-ended)
		require.NoError(t, conn.Close())
	}
	require.Eventually(t, s.shipper.Connected, 10*time.Second, time.Millisecond)
	return s
}

func newClients(connections int) (list []client) {
	for i := range connections {
		list = append(list, client{
			key: probe.ConnKey{Sock: uint64(i + 1), Start: 1}, local: netip.MustParseAddrPort("10.0.0.1:443"),
			remote: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}), 40000),
		})
	}
	return list
}

const boot = "3ae2e4f6-5c1f-4d5d-9a3c-1f0c7a4a9b11"

// request is a GET with 15 headers, as a browser sends it; answer is the head that is copied of its answer.
var (
	request = []byte("GET /products/00000000?color=green&size=42 HTTP/1.1\r\n" +
		"Host: shop.example.org\r\n" +
		"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36\r\n" +
		"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n" +
		"Accept-Language: en-GB,en;q=0.5\r\nAccept-Encoding: gzip, deflate, br, zstd\r\nConnection: keep-alive\r\n" +
		"Cookie: session=0123456789abcdef0123456789abcdef; theme=dark\r\nReferer: https://shop.example.org/products\r\n" +
		"Upgrade-Insecure-Requests: 1\r\nSec-Fetch-Dest: document\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Site: same-origin\r\n" +
		"Sec-Fetch-User: ?1\r\nPriority: u=0, i\r\nCache-Control: max-age=0\r\n\r\n")
	answer = []byte("HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Fri, 27 Nov 2026 12:00:00 GMT\r\nContent-Type: application/json\r\n" +
		"Content-Length: 2\r\nConnection: keep-alive\r\nCache-Control: no-store\r\n\r\nok")
)

// number makes each request one of its own.
func number(n uint64) []byte {
	digits := request[len("GET /products/"):][:8]
	for i := len(digits) - 1; i >= 0; i-- {
		digits[i] = byte('0' + n%10)
		n /= 10
	}
	return request
}

// pass is one request and its answer on the next connection.
func (s *site) pass(mono uint64) {
	s.asks(mono, true)
	s.answers(mono, true)
}

// asks is a request; one that is not seen was dropped by the ring.
func (s *site) asks(mono uint64, seen bool) {
	s.made++
	s.comes(probe.In, number(s.made), mono, seen)
}

func (s *site) answers(mono uint64, seen bool) {
	s.comes(probe.Out, answer, mono, seen)
}

func (s *site) comes(dir probe.Direction, data []byte, mono uint64, seen bool) {
	c := &s.clients[s.made%uint64(len(s.clients))]
	if seen {
		s.event = probe.Event{Conn: c.key, Dir: dir, Flags: probe.FlagAccepted | probe.FlagStart, Seq: c.seq[dir], Len: uint32(len(data)), Data: data,
			Lost: c.lost[dir], Mono: mono, Tgid: 4711, Local: c.local, Remote: c.remote}
		s.table.Handle(&s.event)
	} else {
		c.lost[dir] += uint32(len(data))
	}
	c.seq[dir] += uint32(len(data))
}

// settled waits until all that was made is acknowledged or lost.
func (s *site) settled(t testing.TB) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); s.shop.Acknowledged.Load()+s.shop.Lost.Load() < s.shop.Exchanges.Load(); <-time.After(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d exchanges are settled", s.shop.Acknowledged.Load()+s.shop.Lost.Load(), s.shop.Exchanges.Load())
		}
	}
}

// used is the processor time of this process, all threads, user and system.
func used(t testing.TB) time.Duration {
	t.Helper()
	var u syscall.Rusage
	require.NoError(t, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// switches is how often a thread of this process has waited for something: on a quiet machine each costs more than an exchange.
func switches(t testing.TB) float64 {
	t.Helper()
	var u syscall.Rusage
	require.NoError(t, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return float64(u.Nvcsw)
}

func (s *site) lost(place, reason string) int64 {
	for _, loss := range s.losses.Snapshot() {
		if loss.Place == place && loss.Reason == reason {
			return loss.Count
		}
	}
	return 0
}
