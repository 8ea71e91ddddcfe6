package agent

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	trafficv1 "github.com/sidelight/sidelight/proto/gen/sidelight/traffic/v1"
)

// programs are the real servers whose TLS must be seen.
var programs = map[string]starter{
	"nginx":                        startNginx,
	"nginx, OpenSSL 1.1.1, chroot": inRoot("bullseye"),
	"nginx, OpenSSL 3.5, chroot":   inRoot("trixie"),
	"nginx, musl, chroot":          inMusl("/lib"),
	"nginx, musl, plain, chroot":   inMusl("/opt/plain"),
	"nginx, own prefix":            ownPrefix,
	"nginx, library replaced":      replaced,
	"haproxy":                      startHAProxy,
	"python":                       python("sync"),
	"python, signals":              python("signals"),
	"python, asyncio":              python("asyncio"),
}

func plainBackend(t *testing.T) string {
	t.Helper()
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, "hello")
	}))
	t.Cleanup(backend.Close)
	return strings.TrimPrefix(backend.URL, "http://")
}

// mirror runs an agent that mirrors a program.
func mirror(t *testing.T, p *program) *site {
	t.Helper()
	requireBPF(t)
	s := &site{aggregator: &aggregator{came: make(chan struct{}, 1)}, address: p.address}
	s.filters = append(s.filters, p.filter)
	s.run(t)
	s.hooked(t)
	return s
}

// hooked waits until every mirrored process has a library with probes.
func (s *site) hooked(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool {
		list := s.agent.status().GetCoverage()
		for _, c := range list {
			if len(c.GetTls()) == 0 || !c.GetTls()[0].GetHooked() {
				return false
			}
		}
		return len(list) > 0
	}, 10*time.Second, 10*time.Millisecond, "coverage: %v", s.agent.status().GetCoverage())
}

// client is one connection, and what was sent on it.
type client struct {
	conn   net.Conn
	reader *bufio.Reader
	port   uint32
}

func dialTLS(t *testing.T, address string) *client {
	t.Helper()
	c, err := tryTLS(address)
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.conn.Close() })
	return c
}

func dialPlain(t *testing.T, address string) *client {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(60*time.Second)))
	return &client{conn, bufio.NewReader(conn), uint32(portOf(t, conn.LocalAddr().String()))}
}

func tryTLS(address string) (*client, error) {
	conn, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		return nil, err
	}
	return &client{conn, bufio.NewReader(conn), uint32(conn.LocalAddr().(*net.TCPAddr).Port)}, conn.SetDeadline(time.Now().Add(5 * time.Minute))
}

// ask sends one request, in pieces if asked to, and reads its answer.
func (c *client) ask(raw string, pieces ...int) error {
	for _, n := range pieces {
		if _, err := io.WriteString(c.conn, raw[:n]); err != nil {
			return err
		}
		raw = raw[n:]
	}
	if _, err := io.WriteString(c.conn, raw); err != nil {
		return err
	}
	answer, err := http.ReadResponse(c.reader, nil)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, answer.Body)
	return err
}

// asSent puts the request of an exchange together again as it stood on the wire, but for chunks.
func asSent(e *trafficv1.Exchange) string {
	r := e.GetRequest()
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\n", r.GetMethod(), r.GetTarget())
	for _, h := range r.GetHeaders() {
		fmt.Fprintf(&b, "%s: %s\r\n", h.GetName(), h.GetValue())
	}
	b.WriteString("\r\n" + body(e))
	return b.String()
}

// whole is the last revision that holds the request: where the machine is slow there is one from before its end.
func whole(list []*trafficv1.Exchange) *trafficv1.Exchange {
	content := list[len(list)-1].GetContentRevision()
	for _, e := range list {
		if e.GetRevision() == content {
			return e
		}
	}
	return list[0]
}

// What a client sends is what the exchange holds, byte for byte, on the connection that it was sent on.
func TestTLS(t *testing.T) {
	for name, start := range programs {
		t.Run(name, func(t *testing.T) {
			requireBPF(t)
			p := start(t)
			s := mirror(t, p)
			sent := &sentList{}
			t.Run("kept connection", func(t *testing.T) { keptConnection(t, p, sent) })
			t.Run("many connections", func(t *testing.T) { manyConnections(t, p, sent) })
			require.False(t, t.Failed(), "what was not sent will not come")
			for target, one := range sent.all {
				list := s.aggregator.await(t, target)
				last := list[len(list)-1]
				require.Equal(t, one.raw, asSent(whole(list)), "%s", target)
				require.Equal(t, one.port, last.GetConnection().GetPeer().GetPort(), "%s came on another connection", target)
				require.Equal(t, "https", last.GetRequest().GetScheme())
				require.Equal(t, "openssl", last.GetConnection().GetTls().GetStack())
				require.Equal(t, uint32(200), last.GetResponse().GetStatus())
				require.True(t, last.GetRequest().GetBodyComplete())
				require.False(t, last.GetResumed())
				require.Empty(t, last.GetGaps())
			}
			stats := s.agent.probe.Stats()
			require.Zero(t, stats.TLSMismatches)
			require.Zero(t, stats.TLSUnplacedBytes)
			require.Zero(t, stats.RingFullBytes)
			require.Len(t, s.aggregator.targets(), len(sent.all), "and nothing else")
		})
	}
}

// targets are those of all exchanges that came.
func (a *aggregator) targets() map[string]bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	all := map[string]bool{}
	for _, e := range a.exchanges {
		all[string(e.GetRequest().GetTarget())] = true
	}
	return all
}

type sentList struct {
	mu  sync.Mutex
	all map[string]sentRequest
}

type sentRequest struct {
	raw  string
	port uint32
}

// make gives a request of its own, to be known by its target.
func (l *sentList) make(port uint32, bodySize int) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.all == nil {
		l.all = map[string]sentRequest{}
	}
	target := fmt.Sprintf("/r%d?q=%%27%d", len(l.all), rand.IntN(1000))
	raw := fmt.Sprintf("GET %s HTTP/1.1\r\nHost: localhost\r\nX-Case: As It Is\r\n\r\n", target)
	if bodySize > 0 {
		payload := strings.Repeat("0123456789abcdef", bodySize/16+1)[:bodySize]
		raw = fmt.Sprintf("POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s", target, bodySize, payload)
	}
	l.all[target] = sentRequest{raw, port}
	return raw
}

func keptConnection(t *testing.T, p *program, sent *sentList) {
	c := dialTLS(t, p.address)
	for _, size := range []int{0, 10, 0, 1000, 16_000, 40_000, 0} {
		require.NoError(t, c.ask(sent.make(c.port, size)))
	}
	// In pieces, each a record of its own.
	require.NoError(t, c.ask(sent.make(c.port, 500), 1, 2, 30, 70))
}

// manyConnections makes descriptors and addresses of sessions be used again and again.
func manyConnections(t *testing.T, p *program, sent *sentList) {
	var group sync.WaitGroup
	errs := make(chan error, 1000)
	for range 8 {
		group.Go(func() {
			for range 12 {
				c, err := tryTLS(p.address)
				if err != nil {
					errs <- err
					return
				}
				for i := range 3 {
					if err := c.ask(sent.make(c.port, 300*i)); err != nil {
						errs <- err
					}
				}
				_ = c.conn.Close()
			}
		})
	}
	group.Wait()
	close(errs)
	for err := range errs {
		require.NoError(t, err)
	}
}
