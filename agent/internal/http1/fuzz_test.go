package http1

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"net/textproto"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	trafficv1 "github.com/sidelight/sidelight/proto/gen/sidelight/traffic/v1"
)

// Where net/http and we differ, and why. Beyond this list, what net/http reads is what we read.
//
// We read on where it refuses; attacks do all of these, and most servers take some:
//   - blank lines before a request or response; blanks in a target, and targets that are no URL;
//   - header lines without a colon, with names that are no token, or with a blank before the colon: noted, not read as framing;
//   - a first header line that begins with a blank; blanks between a chunk's size and its extensions; long chunk sizes with
//     leading zeros; chunks with much more extension than data;
//   - codings of the registry before "chunked"; a length beside chunks that is no number.
//
// It reads on where we stop, because servers differ there, and a parser that picks one reading can be fooled:
//   - HTTP/1.0 with Transfer-Encoding, which it ignores (tenWithCoding);
//   - Content-Length or Transfer-Encoding with a blank before the colon, which it takes for another header (blankName).
//
// It reads what is not HTTP/1 to us: other major versions, "PRI", methods of more than 64 letters, statuses below 100,
// several blanks before a status.
func tenWithCoding(m *message) bool {
	return m.Minor == 0 && slices.ContainsFunc(m.Headers, func(h Header) bool { return bytes.EqualFold(h.Name, []byte("Transfer-Encoding")) })
}

func blankName(h http.Header) bool {
	for name := range h {
		if name = strings.TrimRight(name, " "); strings.EqualFold(name, "Content-Length") || strings.EqualFold(name, "Transfer-Encoding") {
			return true
		}
	}
	return false
}

// offsetReader tells how far a bufio.Reader has come.
type offsetReader struct {
	*bufio.Reader
	source *bytes.Reader
}

func newOffsetReader(wire []byte) *offsetReader {
	source := bytes.NewReader(wire)
	return &offsetReader{bufio.NewReader(source), source}
}

func (r *offsetReader) offset(wire []byte) int { return len(wire) - r.source.Len() - r.Buffered() }

// theirs compares headers with those of net/http: values in order, by canonical name.
func theirs(t *testing.T, ours []Header, want http.Header) {
	t.Helper()
	got := http.Header{}
	for _, h := range ours {
		name := textproto.CanonicalMIMEHeaderKey(string(h.Name))
		got[name] = append(got[name], strings.TrimRight(string(h.Value), " \t"))
	}
	for name, values := range want {
		switch name {
		case "Content-Length", "Transfer-Encoding", "Host", "Trailer", "Connection", "Pragma", "Cache-Control":
			// Taken out, or put in, by net/http.
			continue
		}
		if _, twin := want[name+" "]; twin || strings.TrimRight(name, " ") != name {
			// A name that ends in a blank: kept by net/http in some cases, and the same name for us, who note it.
			continue
		}
		var trimmed []string
		for _, v := range values {
			trimmed = append(trimmed, strings.TrimRight(v, " \t"))
		}
		require.Equal(t, trimmed, got[name], name)
	}
}

// Whatever net/http reads as requests, we read as the same ones, in any pieces.
func FuzzRequestAgainstNetHTTP(f *testing.F) {
	for _, seed := range []string{
		"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "POST /x?y=z HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET /2 HTTP/1.1\r\nHost: a\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nTrailer: X\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n00\r\nX: y\r\n\r\nGET / HTTP/1.0\r\n\r\n",
		"GET / HTTP/1.0\n\n", "PUT /a HTTP/1.1\r\nHost: a\r\nX: y\r\n z\r\n\r\n", "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
		"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\nGET / HTTP/1.1\r\n\r\n",
		"GET http://a/b HTTP/1.1\r\nHost: c\r\nUpgrade: h2c\r\n\r\nGET / HTTP/1.1\r\n\r\n",
		"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx", "POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"POST / HTTP/1.1\r\nContent-Length:\r\n 3\r\n\r\nabc", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"GET / HTTP/1.1\r\nA: b\rc\r\nB: \x00\r\n\r\n",
	} {
		f.Add([]byte(seed), 1)
		f.Add([]byte(seed), 0)
	}
	f.Fuzz(func(t *testing.T, wire []byte, size int) {
		if size <= 0 {
			size = len(wire) + 1
		}
		whole, _ := parseRequests(string(wire))
		var pieces []string
		for piece := range slices.Chunk(wire, size) {
			pieces = append(pieces, string(piece))
		}
		got, _ := parseRequests(pieces...)
		require.Equal(t, showAll(whole), showAll(got), "pieces of %d", size)
		for _, r := range got {
			require.Equal(t, string(wire[r.Offset:][:len(r.Head)]), string(r.Head))
		}
		for reader := newOffsetReader(wire); ; {
			begin := reader.offset(wire)
			want, err := http.ReadRequest(reader.Reader)
			if err != nil || want.ProtoMajor != 1 || want.Method == "PRI" || len(want.Method) > maxMethod {
				return
			}
			require.NotEmpty(t, got, "net/http reads one more of %q", wire)
			r := got[0]
			got = got[1:]
			require.Equal(t, uint64(begin), r.Offset)
			require.Equal(t, want.Method, string(r.Method))
			require.Equal(t, want.RequestURI, string(r.Target))
			require.Equal(t, want.ProtoMinor, int(r.Minor))
			theirs(t, r.Headers, want.Header)
			body, err := io.ReadAll(want.Body)
			if tenWithCoding(&r.message) || blankName(want.Header) && !r.Complete {
				require.False(t, r.Complete)
				return
			}
			if err != nil {
				return
			}
			require.Equal(t, string(body), r.text())
			require.True(t, r.Complete)
			theirs(t, r.Trailers, want.Trailer)
		}
	})
}

// Whatever net/http reads as responses, we read as the same ones, in any pieces.
func FuzzResponseAgainstNetHTTP(f *testing.F) {
	for _, seed := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcHTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n", "HTTP/1.0 200 OK\r\n\r\nabc",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x\r\nabc\r\n0\r\nA: b\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
		"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n\r\nHTTP/1.1 200\r\n\r\n",
		"HTTP/1.1 200 OK\nContent-Length: 1\nContent-Length: 1\n\nx", "HTTP/1.1 101 Switching Protocols\r\n\r\nabc",
		"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	} {
		f.Add([]byte(seed), 1, "GET")
		f.Add([]byte(seed), 0, "HEAD")
		f.Add([]byte(seed), 7, "CONNECT")
	}
	f.Fuzz(func(t *testing.T, wire []byte, size int, method string) {
		if size <= 0 {
			size = len(wire) + 1
		}
		whole, _ := parseResponses(method, string(wire))
		var pieces []string
		for piece := range slices.Chunk(wire, size) {
			pieces = append(pieces, string(piece))
		}
		a, p := parseResponses(method, pieces...)
		require.Equal(t, whole.show(), a.show(), "pieces of %d", size)
		require.LessOrEqual(t, len(a.ended), len(a.heads))
		p.Close()
		got := a.heads
		for reader := newOffsetReader(wire); ; {
			want, err := http.ReadResponse(reader.Reader, &http.Request{Method: method})
			if err != nil || want.ProtoMajor != 1 || want.StatusCode < 100 || strings.HasPrefix(want.Status, " ") || oddStatus(wire, want) {
				return
			}
			if want.StatusCode < 200 && want.StatusCode != 101 {
				continue
			}
			require.NotEmpty(t, got, "net/http reads one more of %q", wire)
			r := got[0]
			got = got[1:]
			require.Equal(t, want.StatusCode, r.Status)
			theirs(t, r.Headers, want.Header)
			body, err := io.ReadAll(want.Body)
			if err != nil || tenWithCoding(&r.message) || blankName(want.Header) {
				return
			}
			switch {
			case want.StatusCode == 101, method == "CONNECT" && want.StatusCode/100 == 2:
				// What follows is no HTTP.
				return
			}
			require.Equal(t, uint64(len(body)), r.BodySize)
			require.True(t, r.Complete)
		}
	})
}

// oddStatus tells of lines that net/http reads and we do not: several blanks before a status.
func oddStatus(wire []byte, r *http.Response) bool {
	return !bytes.Contains(wire, []byte(r.Proto+" "+r.Status[:3]))
}

func FuzzResponse(f *testing.F) {
	f.Add([]byte("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"), uint16(4), false)
	f.Add([]byte("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nHTTHTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nHTTP/1.1 "), uint16(60), true)
	f.Add([]byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"), uint16(60), true)
	f.Fuzz(func(t *testing.T, wire []byte, gap uint16, wary bool) {
		a := &answers{}
		p := NewResponseParser(DefaultLimits(), a, false)
		p.Wary = wary
		cut := min(int(gap), len(wire))
		p.Feed(wire[:cut])
		p.Skip(uint64(gap), trafficv1.GapReason_GAP_REASON_BUDGET)
		p.Feed(wire[cut:])
		p.Close()
		require.LessOrEqual(t, len(a.ended), len(a.heads))
	})
}

// Gaps anywhere: no panic, no request behind a gap that was planted, and none that claims bytes it did not see.
func FuzzRequestGaps(f *testing.F) {
	f.Add([]byte("POST / HTTP/1.1\r\nContent-Length: 30\r\n\r\nabc"), []byte("GET /planted HTTP/1.1\r\n\r\n"), uint32(4))
	f.Add([]byte("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab"), []byte("\r\n0\r\n\r\nGET /2 HTTP/1.1\r\n\r\n"), uint32(3))
	f.Add([]byte("GET / HTTP/1.1\r\nA: b"), []byte("\r\n\r\nGET /planted HTTP/1.1\r\n\r\n"), uint32(3))
	f.Fuzz(func(t *testing.T, before, after []byte, gap uint32) {
		var r recorder
		p := NewRequestParser(DefaultLimits(), &r, false)
		p.feed(before)
		lost, idle := p.IsLost(), p.Idle()
		n := len(r.requests)
		if p.Paused() {
			p.Continue()
		}
		p.Skip(uint64(gap), trafficv1.GapReason_GAP_REASON_RING_FULL)
		p.feed(after)
		if lost || idle && gap > 0 {
			require.Len(t, r.requests, n)
		}
		for _, q := range r.requests {
			end := uint64(0)
			for _, s := range q.Body {
				require.GreaterOrEqual(t, s.Offset, end)
				end = s.Offset + uint64(len(s.Data))
			}
			require.LessOrEqual(t, end, q.BodySize)
		}
	})
}
