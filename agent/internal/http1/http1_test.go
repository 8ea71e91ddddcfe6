package http1

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	trafficv1 "github.com/sidelight/sidelight/proto/gen/sidelight/traffic/v1"
)

// recorder keeps every request that was started.
type recorder struct{ requests []*Request }

func (r *recorder) RequestStarted(q *Request) { r.requests = append(r.requests, q) }
func (r *recorder) RequestChanged(*Request)   {}

func parseRequests(pieces ...string) ([]*Request, *RequestParser) {
	var r recorder
	p := NewRequestParser(DefaultLimits(), &r, false)
	for _, piece := range pieces {
		p.Feed([]byte(piece))
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

func TestRequests(t *testing.T) {
	t.Parallel()
	type want struct {
		line      string
		body      string
		complete  bool
		anomalies []trafficv1.Anomaly
	}
	tests := map[string]struct {
		wire string
		want []want
		lost bool
	}{
		"plain":                       {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", []want{{"GET /", "", true, nil}}, false},
		"pipelined":                   {"GET /1 HTTP/1.1\r\n\r\nGET /2 HTTP/1.0\r\n\r\n", []want{{"GET /1", "", true, nil}, {"GET /2", "", true, nil}}, false},
		"length":                      {"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhelloGET /2 HTTP/1.1\r\n\r\n", []want{{"POST /", "hello", true, nil}, {"GET /2", "", true, nil}}, false},
		"chunked":                     {"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n2\r\nde\r\n0\r\nX: y\r\n\r\nGET /2 HTTP/1.1\r\n\r\n", []want{{"POST /", "abcde", true, nil}, {"GET /2", "", true, nil}}, false},
		"planted in a body":           {"POST / HTTP/1.1\r\nContent-Length: 23\r\n\r\nGET /planted HTTP/1.1\r\n", []want{{"POST /", "GET /planted HTTP/1.1\r\n", true, nil}}, false},
		"odd target":                  {"GET /a b?<'\"> HTTP/1.1\r\n\r\n", []want{{"GET /a b?<'\">", "", true, nil}}, false},
		"blank lines first":           {"\r\n\r\nGET / HTTP/1.1\r\n\r\n", []want{{"GET /", "", true, nil}}, false},
		"bare LF":                     {"GET / HTTP/1.1\nHost: a\n\n", []want{{"GET /", "", true, []trafficv1.Anomaly{trafficv1.Anomaly_ANOMALY_BARE_LF}}}, false},
		"fold":                        {"GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n", []want{{"GET /", "", true, []trafficv1.Anomaly{trafficv1.Anomaly_ANOMALY_OBS_FOLD}}}, false},
		"space before colon":          {"GET / HTTP/1.1\r\nA : b\r\n\r\n", []want{{"GET /", "", true, []trafficv1.Anomaly{trafficv1.Anomaly_ANOMALY_SPACE_BEFORE_COLON}}}, false},
		"same length twice":           {"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx", []want{{"POST /", "x", true, []trafficv1.Anomaly{trafficv1.Anomaly_ANOMALY_DUPLICATE_CONTENT_LENGTH}}}, false},
		"length and chunked":          {"POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", []want{{"POST /", "", true, []trafficv1.Anomaly{trafficv1.Anomaly_ANOMALY_CONTENT_LENGTH_AND_TRANSFER_ENCODING}}}, false},
		"unknown coding":              {"POST / HTTP/1.1\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\nGET /planted HTTP/1.1\r\n\r\n", []want{{"POST /", "", false, []trafficv1.Anomaly{trafficv1.Anomaly_ANOMALY_BAD_TRANSFER_ENCODING}}}, true},
		"bad length":                  {"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\nGET /planted HTTP/1.1\r\n\r\n", []want{{"POST /", "", false, []trafficv1.Anomaly{trafficv1.Anomaly_ANOMALY_BAD_CONTENT_LENGTH}}}, true},
		"bad chunk":                   {"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nGET /planted HTTP/1.1\r\n\r\n", []want{{"POST /", "", false, []trafficv1.Anomaly{trafficv1.Anomaly_ANOMALY_BAD_CHUNK}}}, true},
		"rubbish":                     {"\x16\x03\x01 hello\r\n", nil, true},
		"another protocol":            {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", nil, true},
		"rubbish hides nothing later": {"rubbish\r\nGET /planted HTTP/1.1\r\n\r\n", nil, true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// Whole, byte by byte, and in threes: the pieces never matter.
			for _, size := range []int{len(test.wire), 1, 3} {
				var pieces []string
				for piece := range slices.Chunk([]byte(test.wire), size) {
					pieces = append(pieces, string(piece))
				}
				got, p := parseRequests(pieces...)
				require.Len(t, got, len(test.want))
				for i, w := range test.want {
					require.Equal(t, w.line, string(got[i].Method)+" "+string(got[i].Target))
					require.Equal(t, w.body, got[i].text())
					require.Equal(t, w.complete, got[i].Complete)
					require.Equal(t, w.anomalies, got[i].Anomalies)
				}
				require.Equal(t, test.lost, p.IsLost())
			}
		})
	}
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
	require.Less(t, cap(got[0].arena), 100<<10)
}

type answers struct {
	method []byte
	heads  []*Response
	ended  []*Response
}

func (a *answers) NextMethod() []byte        { return a.method }
func (a *answers) ResponseHead(r *Response)  { a.heads = append(a.heads, r) }
func (a *answers) ResponseEnded(r *Response) { a.ended = append(a.ended, r) }

func TestResponses(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		method, wire string
		statuses     []int
		ended        int
		size         uint64
	}{
		"length":              {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcHTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n", []int{200, 404}, 2, 3},
		"continue is none":    {"POST", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n", []int{201}, 1, 0},
		"early hints":         {"GET", "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", []int{200}, 1, 0},
		"head has no body":    {"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", []int{200, 200}, 2, 0},
		"not modified":        {"GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n\r\n", []int{304}, 1, 0},
		"chunked":             {"GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n", []int{200, 204}, 2, 3},
		"until close":         {"GET", "HTTP/1.0 200 OK\r\n\r\nabc", []int{200}, 0, 3},
		"upgrade":             {"GET", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n", []int{101}, 1, 0},
		"tunnel":              {"CONNECT", "HTTP/1.1 200 OK\r\n\r\n", []int{200}, 1, 0},
		"status without text": {"GET", "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", []int{200}, 1, 0},
		"no response":         {"GET", "hello\r\n", nil, 0, 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, size := range []int{len(test.wire), 1} {
				a := &answers{method: []byte(test.method)}
				p := NewResponseParser(DefaultLimits(), a, false)
				for piece := range slices.Chunk([]byte(test.wire), size) {
					p.Feed(piece)
				}
				var statuses []int
				for _, r := range a.heads {
					statuses = append(statuses, r.Status)
				}
				require.Equal(t, test.statuses, statuses)
				require.Len(t, a.ended, test.ended)
				if len(a.heads) > 0 {
					require.Equal(t, test.size, a.heads[0].BodySize)
				}
			}
		})
	}
}

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

// Whatever net/http reads as a request, we read as the same one.
func FuzzRequestAgainstNetHTTP(f *testing.F) {
	for _, seed := range []string{
		"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "POST /x?y=z HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
		"GET / HTTP/1.0\n\n", "PUT /a HTTP/1.1\r\nHost: a\r\nX: y\r\n z\r\n\r\n", "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
		"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n",
	} {
		f.Add([]byte(seed), 1)
	}
	f.Fuzz(func(t *testing.T, wire []byte, size int) {
		if size <= 0 {
			size = len(wire) + 1
		}
		var pieces []string
		for piece := range slices.Chunk(wire, size) {
			pieces = append(pieces, string(piece))
		}
		got, _ := parseRequests(pieces...)
		want, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(wire)))
		if err != nil || want.ProtoMajor != 1 || bytes.HasPrefix(wire, []byte("PRI ")) {
			return
		}
		body, err := io.ReadAll(want.Body)
		if err != nil || len(want.Header) > 1000 {
			if errors.Is(err, io.ErrUnexpectedEOF) && len(got) == 0 {
				t.Fatalf("net/http began a request, we did not")
			}
			return
		}
		require.NotEmpty(t, got, "net/http reads %q", wire)
		require.Equal(t, want.Method, string(got[0].Method))
		require.Equal(t, want.RequestURI, string(got[0].Target))
		if !got[0].Lost() {
			require.Equal(t, string(body), got[0].text())
			require.True(t, got[0].Complete)
		}
	})
}

func FuzzResponse(f *testing.F) {
	f.Add([]byte("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"), uint16(4))
	f.Add([]byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"), uint16(60))
	f.Fuzz(func(t *testing.T, wire []byte, gap uint16) {
		a := &answers{}
		p := NewResponseParser(DefaultLimits(), a, false)
		cut := min(int(gap), len(wire))
		p.Feed(wire[:cut])
		p.Skip(uint64(gap), trafficv1.GapReason_GAP_REASON_BUDGET)
		p.Feed(wire[cut:])
		p.Close()
		require.LessOrEqual(t, len(a.ended), len(a.heads)+1)
	})
}

// Gaps anywhere: no panic, bounded memory, and no request that was planted behind one.
func FuzzRequestGaps(f *testing.F) {
	f.Add([]byte("POST / HTTP/1.1\r\nContent-Length: 30\r\n\r\nabc"), []byte("GET /planted HTTP/1.1\r\n\r\n"), uint32(4))
	f.Fuzz(func(t *testing.T, before, after []byte, gap uint32) {
		var r recorder
		p := NewRequestParser(DefaultLimits(), &r, false)
		p.Feed(before)
		lost := p.IsLost()
		n := len(r.requests)
		p.Skip(uint64(gap), trafficv1.GapReason_GAP_REASON_RING_FULL)
		p.Feed(after)
		if lost {
			require.Len(t, r.requests, n)
		}
	})
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
