package exchange

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/sidelight/sidelight/agent/internal/http1"
	"github.com/sidelight/sidelight/agent/internal/workload"
	trafficv1 "github.com/sidelight/sidelight/proto/gen/sidelight/traffic/v1"
)

// reference makes the message that a revision must be, without any care for time.
func reference(o *Open, content bool, phase trafficv1.Phase, reason trafficv1.CloseReason) *trafficv1.Exchange {
	r := o.request
	e := &trafficv1.Exchange{
		Id: referenceID(o.conn, o.conn.FirstSeq+uint32(r.Offset))[:16], Revision: o.revision, ContentRevision: o.contentRevision, Phase: phase,
		CloseReason: reason, Resumed: r.Resumed,
		Request: &trafficv1.Request{Method: r.Method, Target: r.Target, Scheme: "http", BodySize: r.BodySize, BodyComplete: r.Complete,
			Protocol: trafficv1.Protocol_PROTOCOL_HTTP11, Authority: referenceAuthority(r)},
		Connection: &trafficv1.Connection{
			Id: referenceID(o.conn, 0)[:8], Netns: o.conn.Netns, Tls: o.conn.TLS,
			Peer:  &trafficv1.SocketAddress{Ip: o.conn.Remote.Addr().Unmap().AsSlice(), Port: uint32(o.conn.Remote.Port())},
			Local: &trafficv1.SocketAddress{Ip: o.conn.Local.Addr().Unmap().AsSlice(), Port: uint32(o.conn.Local.Port())},
		},
		Times: &trafficv1.Times{RequestStartMonoNs: o.started},
	}
	if r.Minor == 0 {
		e.Request.Protocol = trafficv1.Protocol_PROTOCOL_HTTP10
	}
	if o.conn.TLS != nil {
		e.Request.Scheme = "https"
	}
	if content {
		e.Request.Headers, e.Request.Trailers, e.Request.Anomalies = referenceHeaders(r.Headers), referenceHeaders(r.Trailers), r.Anomalies
		for _, s := range r.Body {
			e.Request.Body = append(e.Request.Body, &trafficv1.BodySegment{Offset: s.Offset, Data: s.Data})
		}
		for _, h := range r.Headers {
			if bytes.EqualFold(h.Name, []byte("host")) {
				if bytes.Equal(h.Value, e.Request.Authority) {
					e.Request.Authority = nil
				}
				break
			}
		}
	}
	if o.answer != nil {
		e.Response = &trafficv1.Response{Status: uint32(o.answer.Status), Headers: referenceHeaders(o.answer.Headers), BodySize: o.answer.BodySize}
	}
	for _, g := range r.Gaps {
		part := trafficv1.Gap_PART_REQUEST_BODY
		if g.InHead {
			part = trafficv1.Gap_PART_REQUEST_HEAD
		}
		e.Gaps = append(e.Gaps, &trafficv1.Gap{Part: part, Offset: g.Offset, Length: g.Length, Reason: g.Reason})
	}
	if o.requestEnd != o.started {
		e.Times.RequestTookNs = uint64(max(int64(o.requestEnd-o.started), 1))
	}
	if o.responseStart != 0 {
		e.Times.ResponseAfterNs = uint64(max(int64(o.responseStart-o.started), 1))
	}
	return e
}

func referenceHeaders(list []http1.Header) []*trafficv1.Header {
	var out []*trafficv1.Header
	for _, h := range list {
		out = append(out, &trafficv1.Header{Name: h.Name, Value: h.Value})
	}
	return out
}

func referenceAuthority(r *http1.Request) []byte {
	if _, rest, found := bytes.Cut(r.Target, []byte("://")); found && r.Target[0] != '/' {
		if end := bytes.IndexAny(rest, "/?#"); end >= 0 {
			rest = rest[:end]
		}
		return rest
	}
	for _, h := range r.Headers {
		if bytes.EqualFold(h.Name, []byte("Host")) {
			return h.Value
		}
	}
	return nil
}

func referenceID(c *Connection, seq uint32) []byte {
	b := []byte("boot")
	b = binary.BigEndian.AppendUint32(b, c.Netns)
	b = append(b, c.Local.Addr().AsSlice()...)
	b = binary.BigEndian.AppendUint16(b, c.Local.Port())
	b = append(b, c.Remote.Addr().AsSlice()...)
	b = binary.BigEndian.AppendUint16(b, c.Remote.Port())
	b = binary.BigEndian.AppendUint32(b, seq)
	sum := sha256.Sum256(b)
	return sum[:]
}

// pair plays requests and answers of one connection into a builder, and compares each revision with the reference.
type pair struct {
	t        testing.TB
	builder  *Builder
	conn     *Connection
	requests *http1.RequestParser
	answers  *http1.ResponseParser
	open     []*Open
	now      uint64
	told     []*trafficv1.Exchange
}

func newPair(t testing.TB, conn *Connection) *pair {
	p := &pair{t: t, conn: conn, now: uint64(time.Hour)}
	p.builder = New(Config{BootID: "boot"}, p.emitted)
	limits := http1.Limits{HeadKept: 4 << 10, HeadSeen: 16 << 10, Body: 1 << 10}
	p.requests = http1.NewRequestParser(limits, p, false)
	p.answers = http1.NewResponseParser(limits, p, false)
	return p
}

// emitted checks a revision while its exchange is as it was when it was told.
func (p *pair) emitted(r *Revision) {
	var o *Open
	for _, one := range p.open {
		if one.id == r.ID {
			o = one
		}
	}
	require.NotNil(p.t, o)
	got, err := r.Message()
	require.NoError(p.t, err)
	want := reference(o, r.Content, got.GetPhase(), got.GetCloseReason())
	require.True(p.t, proto.Equal(want, got), "want %v\ngot  %v", want, got)
	want.Connection = nil
	require.Len(p.t, r.Wire, proto.Size(want), "as short as it can be")
	require.Equal(p.t, r.ID[:], got.GetId())
	require.Equal(p.t, []any{r.Number, r.Start, r.Last, r.Content}, []any{got.GetRevision(), got.GetTimes().GetRequestStartMonoNs(),
		got.GetPhase() == trafficv1.Phase_PHASE_CLOSED, got.GetRevision() == got.GetContentRevision()})
	body, heads := 0, 0
	for _, s := range got.GetRequest().GetBody() {
		body += len(s.GetData())
	}
	for _, h := range got.GetResponse().GetHeaders() {
		heads += len(h.GetName()) + len(h.GetValue()) + 4
	}
	require.Equal(p.t, []int{body, heads}, []int{r.Body, r.Heads})
	require.Same(p.t, p.conn.Workload, r.Workload)
	p.told = append(p.told, got)
}

func (p *pair) RequestStarted(r *http1.Request) {
	p.open = append(p.open, p.builder.Start(p.conn, r, p.now-1000, p.now))
}

func (p *pair) RequestChanged(r *http1.Request) {
	for _, o := range p.open {
		if o.Request() == r {
			o.Changed(p.now)
		}
	}
}

func (p *pair) NextMethod() []byte {
	if len(p.open) == 0 {
		return nil
	}
	return p.open[0].Request().Method
}

func (p *pair) ResponseHead(r *http1.Response) {
	if len(p.open) > 0 {
		p.open[0].Answered(r, p.now)
	}
}

func (p *pair) ResponseEnded(*http1.Response) {
	if len(p.open) > 0 && p.open[0].HasAnswer() {
		p.close(trafficv1.CloseReason_CLOSE_REASON_ANSWERED)
	}
}

func (p *pair) close(reason trafficv1.CloseReason) {
	p.open[0].Close(reason)
	p.open = p.open[1:]
}

func (p *pair) tick(d time.Duration) {
	p.now += uint64(d)
	p.builder.Tick(p.now)
}

func unencrypted() *Connection {
	return &Connection{Netns: 4026531840, Local: netip.MustParseAddrPort("10.0.0.1:80"), Remote: netip.MustParseAddrPort("10.0.0.2:4711"),
		FirstSeq: 0xfffffff0, Workload: workload.New(&trafficv1.Workload{Service: "shop"})}
}

func encrypted() *Connection {
	c := unencrypted()
	c.Local, c.Remote = netip.MustParseAddrPort("[2001:db8::1]:443"), netip.MustParseAddrPort("[::ffff:10.0.0.2]:4711")
	c.TLS = &trafficv1.Tls{Stack: "openssl", Version: "1.3", Alpn: "http/1.1", ServerName: "shop.example.org"}
	return c
}

const ok = "HTTP/1.1 200 OK\r\nServer: nginx\r\nContent-Length: 2\r\n\r\nok"

func TestWire(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		conn *Connection
		play func(*pair)
		want int // revisions
	}{
		"GET": {unencrypted(), func(p *pair) {
			p.requests.Feed([]byte("GET /a?b=c HTTP/1.1\r\nHost: shop\r\nAccept: */*\r\nhost: other\r\nEmpty:\r\n\r\n"))
			p.now += 5
			p.answers.Feed([]byte(ok))
		}, 1},
		"over TLS": {encrypted(), func(p *pair) {
			p.requests.Feed([]byte("GET / HTTP/1.0\r\nHost: shop\r\n\r\n"))
			p.answers.Feed([]byte(ok))
		}, 1},
		"absolute form, another host": {unencrypted(), func(p *pair) {
			p.requests.Feed([]byte("GET http://one/a HTTP/1.1\r\nHost: two\r\n\r\nGET http://two?b HTTP/1.1\r\nHost: two\r\n\r\n"))
			p.answers.Feed([]byte(ok + ok))
		}, 2},
		"no host": {unencrypted(), func(p *pair) { p.requests.Feed([]byte("GET /://x HTTP/1.1\r\n\r\n")); p.answers.Feed([]byte(ok)) }, 1},
		"body, later revisions without it": {unencrypted(), func(p *pair) {
			p.requests.Feed([]byte("POST /a HTTP/1.1\r\nHost: shop\r\nContent-Length: 300\r\n\r\n" + string(make([]byte, 300))))
			p.tick(time.Second)
			p.answers.Feed([]byte("HTTP/1.1 500 Oh\r\nTransfer-Encoding: chunked\r\n\r\n"))
			p.tick(2 * time.Second)
			p.answers.Feed([]byte("2\r\nno\r\n0\r\n\r\n"))
		}, 3},
		"gaps": {unencrypted(), func(p *pair) {
			p.requests.Feed([]byte("POST /a HTTP/1.1\r\nHost: shop\r\nContent-Length: 9000\r\n\r\n" + string(make([]byte, 700))))
			p.requests.Skip(200, trafficv1.GapReason_GAP_REASON_SHED)
			p.requests.Feed(make([]byte, 8100))
			p.tick(time.Second)
			p.answers.Feed([]byte(ok))
		}, 3},
		"anomalies and trailers": {unencrypted(), func(p *pair) {
			p.requests.Feed([]byte("POST /a HTTP/1.1\nHost : shop\r\nX: a\r\n b\r\n: bad\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n" +
				"3\r\nabc\r\n0\r\nTrailer: t\r\n\r\n"))
			p.answers.Feed([]byte(ok))
		}, 1},
		"reset": {unencrypted(), func(p *pair) {
			p.requests.Feed([]byte("GET / HTTP/1.1\r\nHost: shop\r\n"))
			p.close(trafficv1.CloseReason_CLOSE_REASON_RESET)
		}, 1},
		"times that change places": {unencrypted(), func(p *pair) {
			p.requests.Feed([]byte("GET / HTTP/1.1\r\n\r\n"))
			p.open[0].requestEnd, p.now = p.open[0].started-5, p.open[0].started
			p.answers.Feed([]byte(ok))
		}, 1},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPair(t, test.conn)
			test.play(p)
			require.Equal(t, test.want, len(p.told)) //nolint:testifylint // Len would print them all
			require.Empty(t, p.open)
			require.Zero(t, p.builder.Waiting())
		})
	}
}

// What is learned of TLS late is told from then on.
func TestConnectionLearnsTLS(t *testing.T) {
	t.Parallel()
	p := newPair(t, unencrypted())
	for _, tls := range []*trafficv1.Tls{nil, encrypted().TLS, {}} {
		p.conn.TLS = tls
		p.requests.Feed([]byte("GET / HTTP/1.1\r\n\r\n"))
		p.answers.Feed([]byte(ok))
		last := p.told[len(p.told)-1]
		require.True(t, proto.Equal(tls, last.GetConnection().GetTls()))
		require.Equal(t, tls != nil, last.GetRequest().GetScheme() == "https")
	}
	p.conn.TLS = &trafficv1.Tls{ServerName: "\xff"}
	p.open = append(p.open, p.builder.Start(p.conn, &http1.Request{}, 1, 1))
	p.builder.emit = func(r *Revision) {
		m, err := r.Message()
		require.NoError(t, err)
		require.NotNil(t, m.GetConnection().GetTls(), "a text that is none is left out")
	}
	p.close(trafficv1.CloseReason_CLOSE_REASON_RESET)
}

// Whatever the parsers make of bytes, in whatever pieces: what goes on the wire is what a message would be.
func FuzzWire(f *testing.F) {
	f.Add([]byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), []byte(ok), uint8(200), uint16(0), false)
	f.Add([]byte("POST http://b/ HTTP/1.0\r\nhost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nT: x\r\n\r\n"), []byte(ok), uint8(7), uint16(3), true)
	f.Add([]byte("POST / HTTP/1.1\r\nContent-Length: 4000\r\n\r\nabc"), []byte("HTTP/1.1 404 N\r\n\r\n"), uint8(30), uint16(900), false)
	for _, n := range []int{60, 119, 120, 121, 122, 123, 124, 125, 126, 127, 128, 300} {
		f.Add([]byte("GET / HTTP/1.1\r\nabc:"+strings.Repeat("x", n)+"\r\n"+strings.Repeat("y", n)+":b\r\n\r\n"), []byte(ok), uint8(255), uint16(0), false)
	}
	f.Add([]byte("GET / HTTP/1.1\nHost: a\n\nGET /2 HTTP/1.1\r\n\r\nGET /3"), []byte(ok+ok), uint8(11), uint16(70), true)
	f.Fuzz(func(t *testing.T, requests, answers []byte, piece uint8, skip uint16, tls bool) {
		conn := unencrypted()
		if tls {
			conn = encrypted()
		}
		p := newPair(t, conn)
		for len(requests) > 0 || len(answers) > 0 {
			n := min(len(requests), int(piece)+1)
			p.requests.Feed(requests[:n])
			requests = requests[n:]
			p.tick(time.Duration(skip) * time.Millisecond)
			p.requests.Skip(uint64(skip), trafficv1.GapReason(skip%8))
			n = min(len(answers), int(piece)+1)
			p.answers.Feed(answers[:n])
			answers = answers[n:]
			p.tick(time.Duration(piece) * 7 * time.Millisecond)
		}
		for len(p.open) > 0 {
			p.close(trafficv1.CloseReason(skip % 8))
		}
		require.Zero(t, p.builder.Waiting())
		for _, e := range p.told {
			require.NotEmpty(t, e.GetRequest().GetMethod())
		}
	})
}

func BenchmarkRevision(b *testing.B) {
	sink := 0
	builder := New(Config{BootID: "3ae2e4f6-5c1f-4d5d-9a3c-1f0c7a4a9b11"}, func(r *Revision) { sink += len(r.Wire) })
	r := &http1.Request{Method: []byte("GET"), Target: []byte("/products/4711?color=green&size=42")}
	for range 15 {
		r.Headers = append(r.Headers, http1.Header{Name: []byte("X-Header"), Value: []byte("some value of a usual length")})
	}
	answer := &http1.Response{Status: 200}
	answer.Headers = r.Headers[:6]
	conn := unencrypted()
	b.ReportAllocs()
	for n := uint64(1); b.Loop(); n++ {
		r.Offset += 600
		o := builder.Start(conn, r, n, n)
		o.Answered(answer, n)
		o.Close(trafficv1.CloseReason_CLOSE_REASON_ANSWERED)
	}
}
