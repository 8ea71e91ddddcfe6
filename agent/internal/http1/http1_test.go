package http1

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	trafficv1 "github.com/sidelight/sidelight/proto/gen/sidelight/traffic/v1"
)

// recorder keeps every request that was started.
type recorder struct{ requests []*Request }

func (r *recorder) RequestStarted(q *Request) { r.requests = append(r.requests, q) }
func (r *recorder) RequestChanged(*Request)   {}

// feed gives data to a parser, and reads on behind each request that may end HTTP: the answer was no upgrade.
func (p *RequestParser) feed(data []byte) {
	for data = p.Feed(data); len(data) > 0; data = p.Feed(data) {
		p.Continue()
	}
}

func parseRequests(pieces ...string) ([]*Request, *RequestParser) {
	var r recorder
	p := NewRequestParser(DefaultLimits(), &r, false)
	for _, piece := range pieces {
		p.feed([]byte(piece))
	}
	return r.requests, p
}

func (m *message) text() string {
	var b strings.Builder
	for _, s := range m.Body {
		b.Write(s.Data)
	}
	return b.String()
}

func TestHeadersAreKeptAsTheyStood(t *testing.T) {
	t.Parallel()
	got, _ := parseRequests("GET / HTTP/1.1\r\nB: 1\r\na: 2\r\nB:3\r\nEmpty:\r\nRaw: \xff\xfe\r\nFold: a\r\n\tb\r\n\r\n")
	var list []string
	for _, h := range got[0].Headers {
		list = append(list, string(h.Name)+"="+string(h.Value))
	}
	require.Equal(t, []string{"B=1", "a=2", "B=3", "Empty=", "Raw=\xff\xfe", "Fold=a b"}, list)
}

func TestGaps(t *testing.T) {
	t.Parallel()
	budget := trafficv1.GapReason_GAP_REASON_BUDGET
	t.Run("in a body of known length the next request follows", func(t *testing.T) {
		t.Parallel()
		var r recorder
		p := NewRequestParser(DefaultLimits(), &r, false)
		p.Feed([]byte("POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\nabc"))
		p.Skip(4, budget)
		p.Feed([]byte("hijGET /2 HTTP/1.1\r\n\r\n"))
		require.Len(t, r.requests, 2)
		require.Equal(t, []Segment{{0, []byte("abc")}, {7, []byte("hij")}}, r.requests[0].Body)
		require.Equal(t, []Gap{{false, 3, 4, budget}}, r.requests[0].Gaps)
		require.True(t, r.requests[0].Complete)
		require.True(t, r.requests[1].Complete)
	})
	t.Run("beyond the length all is lost", func(t *testing.T) {
		t.Parallel()
		var r recorder
		p := NewRequestParser(DefaultLimits(), &r, false)
		p.Feed([]byte("POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\n"))
		p.Skip(11, budget)
		p.Feed([]byte("GET /planted HTTP/1.1\r\n\r\n"))
		require.Len(t, r.requests, 1)
		require.False(t, r.requests[0].Complete)
		p.Resync()
		p.Feed([]byte("GET /3 HTTP/1.1\r\n\r\n"))
		require.True(t, r.requests[1].Resumed)
	})
	t.Run("inside one chunk the framing is still known", func(t *testing.T) {
		t.Parallel()
		var r recorder
		p := NewRequestParser(DefaultLimits(), &r, false)
		p.Feed([]byte("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nA\r\nabc"))
		p.Skip(7, budget)
		p.Feed([]byte("\r\n0\r\n\r\n"))
		require.True(t, r.requests[0].Complete)
		require.Equal(t, uint64(10), r.requests[0].BodySize)
	})
	t.Run("over a chunk's end nothing is", func(t *testing.T) {
		t.Parallel()
		var r recorder
		p := NewRequestParser(DefaultLimits(), &r, false)
		p.Feed([]byte("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab"))
		p.Skip(9, budget)
		p.Feed([]byte("GET /planted HTTP/1.1\r\n\r\n"))
		require.Len(t, r.requests, 1)
		require.True(t, p.IsLost())
	})
	t.Run("in a head", func(t *testing.T) {
		t.Parallel()
		var r recorder
		p := NewRequestParser(DefaultLimits(), &r, false)
		p.Feed([]byte("GET / HTTP/1.1\r\nA: b"))
		p.Skip(5, budget)
		p.Feed([]byte("\r\n\r\n"))
		require.False(t, r.requests[0].HeadDone)
		require.True(t, r.requests[0].Gaps[0].InHead)
	})
}

func TestHugeHeads(t *testing.T) {
	t.Parallel()
	got, p := parseRequests("GET / HTTP/1.1\r\nA: " + strings.Repeat("x", 200<<10) + "\r\nContent-Length: 1\r\n\r\nyGET /2 HTTP/1.1\r\n\r\n")
	require.Len(t, got, 2, "framing is read beyond what is kept")
	require.Contains(t, got[0].Anomalies, trafficv1.Anomaly_ANOMALY_HEADERS_TOO_LARGE)
	require.NotEmpty(t, got[0].Gaps, "what was not kept is a gap")
	require.False(t, p.IsLost())

	got, p = parseRequests("GET / HTTP/1.1\r\n" + strings.Repeat("A: "+strings.Repeat("x", 1000)+"\r\n", 2000))
	require.Len(t, got, 1)
	require.True(t, p.IsLost())
	require.Less(t, cap(got[0].Head), 100<<10)
}

type answers struct {
	method []byte
	heads  []*Response
	ended  []*Response
}

func (a *answers) NextMethod() []byte        { return a.method }
func (a *answers) ResponseHead(r *Response)  { a.heads = append(a.heads, r) }
func (a *answers) ResponseEnded(r *Response) { a.ended = append(a.ended, r) }

// A body until close is over when the connection is; a lost response ends where the next begins.
func TestResponseEnds(t *testing.T) {
	t.Parallel()
	a := &answers{}
	p := NewResponseParser(DefaultLimits(), a, false)
	p.Feed([]byte("HTTP/1.0 200 OK\r\n\r\nabc"))
	p.Close()
	require.Len(t, a.ended, 1)
	require.True(t, a.ended[0].Complete)

	a = &answers{}
	p = NewResponseParser(DefaultLimits(), a, false)
	p.Feed([]byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab"))
	p.Skip(100, trafficv1.GapReason_GAP_REASON_BUDGET)
	require.Len(t, a.ended, 1)
	require.True(t, p.IsLost())
	p.Resync([]byte("not a response"))
	require.True(t, p.IsLost())
	p.Resync([]byte("HTTP/1.1 404 "))
	require.False(t, p.IsLost())
}

// The body of a response is counted, whatever of it is seen: no sender makes it take memory.
func TestResponseBodyIsCounted(t *testing.T) {
	t.Parallel()
	for _, framing := range []string{"Content-Length: 100000\r\n", "Transfer-Encoding: chunked\r\n", ""} {
		a := &answers{}
		p := NewResponseParser(DefaultLimits(), a, false)
		p.Feed([]byte("HTTP/1.1 200 OK\r\n" + framing + "\r\n"))
		if strings.HasSuffix(framing, "chunked\r\n") {
			p.Feed([]byte("fffff\r\n"))
		}
		before := p.Memory()
		for i := range 1000 {
			p.Feed([]byte("0123456789"))
			p.Skip(20, []trafficv1.GapReason{trafficv1.GapReason_GAP_REASON_BUDGET, trafficv1.GapReason_GAP_REASON_RING_FULL}[i%2])
		}
		require.Equal(t, before, p.Memory())
		require.Len(t, a.heads, 1)
		require.Equal(t, uint64(30_000), a.heads[0].BodySize)
		require.Empty(t, a.heads[0].Gaps)
	}
}

// Eight bytes at a time are as one by one.
func TestTokenLength(t *testing.T) {
	t.Parallel()
	slow := func(b []byte) int {
		for i, c := range b {
			if !tokenChars[c] {
				return i
			}
		}
		return len(b)
	}
	for size := range 20 {
		for _, filler := range []byte("aZ-m0_~") {
			b := bytes.Repeat([]byte{filler}, size)
			require.Equal(t, size, tokenLength(b))
			for place := range b {
				for c := range 256 {
					b[place] = byte(c)
					if place+1 < size {
						// What stands behind the end must not matter.
						b[place+1] = byte(255 - c)
					}
					if want, got := slow(b), tokenLength(b); want != got {
						require.Equal(t, want, got, "%q", b)
					}
				}
				b = bytes.Repeat([]byte{filler}, size)
			}
		}
	}
}

func BenchmarkRequest(b *testing.B) {
	wire := []byte("GET /products/4711?color=green&size=42 HTTP/1.1\r\nHost: shop.example.org\r\n")
	for i := range 13 {
		wire = fmt.Appendf(wire, "X-Header-%d: some value of a usual length %d\r\n", i, i)
	}
	wire = append(wire, "\r\n"...)
	var r recorder
	p := NewRequestParser(DefaultLimits(), &r, false)
	b.ReportAllocs()
	for b.Loop() {
		r.requests = r.requests[:0]
		p.Feed(wire)
	}
}
