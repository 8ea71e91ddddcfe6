package http1

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	trafficv1 "github.com/sidelight/sidelight/proto/gen/sidelight/traffic/v1"
)

// splits calls f with the text whole, at every byte, and cut in two and three at every place.
func splits(text string, f func(pieces []string)) {
	f([]string{text})
	var bytes []string
	for i := range len(text) {
		bytes = append(bytes, text[i:i+1])
	}
	f(bytes)
	for i := 1; i < len(text); i++ {
		f([]string{text[:i], text[i:]})
		for j := i + 1; j < len(text); j++ {
			f([]string{text[:i], text[i:j], text[j:]})
		}
	}
}

// show writes down all that is known of a message, so that two sights of it can be compared.
func (m *message) show() string {
	var b strings.Builder
	for _, h := range m.Headers {
		fmt.Fprintf(&b, "|%s=%s", h.Name, h.Value)
	}
	fmt.Fprintf(&b, " %q %d %q", m.text(), m.BodySize, m.Trailers)
	anomalies := slices.Clone(m.Anomalies)
	slices.Sort(anomalies)
	for _, a := range anomalies {
		b.WriteString(" " + strings.TrimPrefix(a.String(), "ANOMALY_"))
	}
	fmt.Fprintf(&b, " head=%t complete=%t %q %v", m.HeadDone, m.Complete, m.Head, m.Gaps)
	return b.String()
}

func showAll(list []*Request) (out []string) {
	for _, r := range list {
		out = append(out, fmt.Sprintf("%s %s @%d tunnel=%t plain=%t %s", r.Method, r.Target, r.Offset, r.Tunnel, r.Plain, r.show()))
	}
	return out
}

const second = "GET /2 HTTP/1.1\r\n\r\n"

// What the client sent is what the request holds, however it came; and where its end cannot be known, nothing follows.
func TestRequests(t *testing.T) {
	t.Parallel()
	post := func(headers, rest string) string { return "POST / HTTP/1.1\r\n" + headers + "\r\n" + rest }
	chunked := func(rest string) string { return post("Transfer-Encoding: chunked\r\n", rest) }
	tests := map[string]struct {
		wire string
		// want is "line|body|anomalies" of each request; a "…" behind it: its end is not known.
		want []string
		lost bool
	}{
		"plain":                 {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", []string{"GET /||"}, false},
		"pipelined":             {"GET /1 HTTP/1.1\r\n\r\nGET /2 HTTP/1.0\r\n\r\n", []string{"GET /1||", "GET /2||"}, false},
		"absolute form":         {"GET http://a/b?c HTTP/1.1\r\nHost: a\r\n\r\n" + second, []string{"GET http://a/b?c||", "GET /2||"}, false},
		"asterisk":              {"OPTIONS * HTTP/1.1\r\n\r\n", []string{"OPTIONS *||"}, false},
		"connect, refused":      {"CONNECT a:1 HTTP/1.1\r\n\r\n" + second, []string{"CONNECT a:1||", "GET /2||"}, false},
		"upgrade, refused":      {"GET / HTTP/1.1\r\nUpgrade: h2c\r\n\r\n" + second, []string{"GET /||", "GET /2||"}, false},
		"odd target":            {"GET /a b?<'\"> HTTP/1.1\r\n\r\n", []string{"GET /a b?<'\">||"}, false},
		"bytes beyond ASCII":    {"GET /\xff\xfe HTTP/1.1\r\nA: \x80\r\n\r\n", []string{"GET /\xff\xfe||"}, false},
		"blank lines first":     {"\r\n\r\n" + second, []string{"GET /2||"}, false},
		"too many blank lines":  {"\r\n\r\n\r\n\r\n\r\n" + second, nil, true},
		"blank lines between":   {second + "\r\n" + second, []string{"GET /2||", "GET /2||"}, false},
		"bare LF":               {"GET / HTTP/1.1\nHost: a\n\n" + second, []string{"GET /||BARE_LF", "GET /2||"}, false},
		"bare LF at the end":    {"GET / HTTP/1.1\r\nHost: a\r\n\n" + second, []string{"GET /||BARE_LF", "GET /2||"}, false},
		"bare CR":               {"GET / HTTP/1.1\r\nA: b\rContent-Length: 5\r\n\r\n" + second, []string{"GET /||BAD_HEADER", "GET /2||"}, false},
		"bare CR at the end":    {"GET / HTTP/1.1\r\nA: b\r\r\n\r\n" + second, []string{"GET /||BAD_HEADER", "GET /2||"}, false},
		"CR in the line":        {"GET /\r HTTP/1.1\r\n\r\n", []string{"GET /\r||BAD_HEADER"}, false},
		"NUL":                   {"GET / HTTP/1.1\r\nA: \x00\r\n\r\n", []string{"GET /||NUL"}, false},
		"fold":                  {"GET / HTTP/1.1\r\nA: b\r\n c\r\n\td\r\n\r\n", []string{"GET /||OBS_FOLD"}, false},
		"fold of nothing":       {"GET / HTTP/1.1\r\n A: b\r\n\r\n", []string{"GET /||OBS_FOLD"}, false},
		"space before colon":    {"GET / HTTP/1.1\r\nA : b\r\n\r\n", []string{"GET /||SPACE_BEFORE_COLON"}, false},
		"no colon":              {"GET / HTTP/1.1\r\nA\r\n: b\r\n\r\n", []string{"GET /||BAD_HEADER"}, false},
		"no token":              {"GET / HTTP/1.1\r\nA(: b\r\n\r\n", []string{"GET /||BAD_HEADER"}, false},
		"rubbish":               {"\x16\x03\x01 hello\r\n", nil, true},
		"another protocol":      {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", nil, true},
		"HTTP/0.9":              {"GET /\r\n" + second, nil, true},
		"tabs":                  {"GET\t/\tHTTP/1.1\r\n\r\n" + second, nil, true},
		"rubbish hides nothing": {"rubbish\r\nGET /planted HTTP/1.1\r\n\r\n", nil, true},

		"length":                    {post("Content-Length: 5\r\n", "hello"+second), []string{"POST /|hello|", "GET /2||"}, false},
		"planted in a body":         {post("Content-Length: 23\r\n", "GET /planted HTTP/1.1\r\n"), []string{"POST /|GET /planted HTTP/1.1\r\n|"}, false},
		"length 0":                  {post("Content-Length: 0\r\n", second), []string{"POST /||", "GET /2||"}, false},
		"length with zeros":         {post("Content-Length: 0000000000000000000000001\r\n", "x"+second), []string{"POST /|x|", "GET /2||"}, false},
		"length with a sign":        {post("Content-Length: +1\r\n", "x"+second), []string{"POST /||BAD_CONTENT_LENGTH…"}, true},
		"length in hex":             {post("Content-Length: 0x1\r\n", "x"+second), []string{"POST /||BAD_CONTENT_LENGTH…"}, true},
		"length below 0":            {post("Content-Length: -1\r\n", second), []string{"POST /||BAD_CONTENT_LENGTH…"}, true},
		"length empty":              {post("Content-Length:\r\n", second), []string{"POST /||BAD_CONTENT_LENGTH…"}, true},
		"length beyond 63 bits":     {post("Content-Length: 9223372036854775808\r\n", second), []string{"POST /||BAD_CONTENT_LENGTH…"}, true},
		"length as a list":          {post("Content-Length: 1, 1\r\n", "x"+second), []string{"POST /||BAD_CONTENT_LENGTH…"}, true},
		"same length twice":         {post("Content-Length: 1\r\nContent-Length: 1\r\n", "x"), []string{"POST /|x|DUPLICATE_CONTENT_LENGTH"}, false},
		"two lengths":               {post("Content-Length: 1\r\nContent-Length: 2\r\n", "x"+second), []string{"POST /||DUPLICATE_CONTENT_LENGTH…"}, true},
		"one good, one bad":         {post("Content-Length: 1\r\nContent-Length: x\r\n", "x"+second), []string{"POST /||BAD_CONTENT_LENGTH…"}, true},
		"length before a space":     {post("Content-Length : 1\r\n", "x"+second), []string{"POST /||SPACE_BEFORE_COLON…"}, true},
		"length in a fold":          {post("Content-Length:\r\n 1\r\n", "x"+second), []string{"POST /|x|OBS_FOLD", "GET /2||"}, false},
		"length and a fold":         {post("Content-Length: 1\r\n 1\r\n", "x"+second), []string{"POST /||OBS_FOLD BAD_CONTENT_LENGTH…"}, true},
		"length and chunked":        {post("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"+second), []string{"POST /||CONTENT_LENGTH_AND_TRANSFER_ENCODING", "GET /2||"}, false},
		"chunked and length":        {post("Transfer-Encoding: chunked\r\nContent-Length: 3\r\n", "0\r\n\r\n"+second), []string{"POST /||CONTENT_LENGTH_AND_TRANSFER_ENCODING", "GET /2||"}, false},
		"chunked in other letters":  {post("transfer-ENCODING: ChunkeD \r\n", "0\r\n\r\n"+second), []string{"POST /||", "GET /2||"}, false},
		"unknown coding":            {post("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n"+second), []string{"POST /||BAD_TRANSFER_ENCODING…"}, true},
		"coding and length":         {post("Transfer-Encoding: identity\r\nContent-Length: 1\r\n", "x"+second), []string{"POST /||CONTENT_LENGTH_AND_TRANSFER_ENCODING BAD_TRANSFER_ENCODING…"}, true},
		"chunked, then identity":    {post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", "0\r\n\r\n"+second), []string{"POST /||BAD_TRANSFER_ENCODING…"}, true},
		"chunked twice":             {post("Transfer-Encoding: chunked, chunked\r\n", "0\r\n\r\n"+second), []string{"POST /||BAD_TRANSFER_ENCODING…"}, true},
		"gzip, then chunked":        {post("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n"+second), []string{"POST /||BAD_TRANSFER_ENCODING", "GET /2||"}, false},
		"chunked with a parameter":  {post("Transfer-Encoding: chunked;a=b\r\n", "0\r\n\r\n"+second), []string{"POST /||BAD_TRANSFER_ENCODING…"}, true},
		"chunked behind a tab":      {post("Transfer-Encoding:\tchunked\r\n", "0\r\n\r\n"+second), []string{"POST /||", "GET /2||"}, false},
		"chunked behind odd blanks": {post("Transfer-Encoding: \vchunked\r\n", "0\r\n\r\n"+second), []string{"POST /||BAD_TRANSFER_ENCODING…"}, true},
		"chunked in a fold":         {post("Transfer-Encoding:\r\n chunked\r\n", "0\r\n\r\n"+second), []string{"POST /||OBS_FOLD", "GET /2||"}, false},
		"chunked in HTTP/1.0":       {strings.Replace(chunked("0\r\n\r\n"+second), "1.1", "1.0", 1), []string{"POST /||BAD_TRANSFER_ENCODING…"}, true},

		"chunks":                   {chunked("3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n" + second), []string{"POST /|abcde|", "GET /2||"}, false},
		"extensions":               {chunked("3;a=b\r\nabc\r\n1 ; c=\"d\"\r\nd\r\n1\t\r\ne\r\n0;x\r\n\r\n" + second), []string{"POST /|abcde|", "GET /2||"}, false},
		"trailers":                 {chunked("1\r\na\r\n0\r\nX: y\r\nZ:\r\n\r\n" + second), []string{"POST /|a|", "GET /2||"}, false},
		"bad trailer":              {chunked("0\r\nX y\r\n\r\n" + second), []string{"POST /||BAD_HEADER", "GET /2||"}, false},
		"zeros":                    {chunked("00000000000000000000003\r\nabc\r\n000\r\n\r\n" + second), []string{"POST /|abc|", "GET /2||"}, false},
		"capitals":                 {chunked("A\r\n0123456789\r\n0\r\n\r\n"), []string{"POST /|0123456789|"}, false},
		"0x":                       {chunked("0x3\r\nabc\r\n0\r\n\r\n" + second), []string{"POST /||BAD_CHUNK…"}, true},
		"plus":                     {chunked("+3\r\nabc\r\n0\r\n\r\n" + second), []string{"POST /||BAD_CHUNK…"}, true},
		"minus":                    {chunked("-3\r\nabc\r\n0\r\n\r\n" + second), []string{"POST /||BAD_CHUNK…"}, true},
		"space first":              {chunked(" 3\r\nabc\r\n0\r\n\r\n" + second), []string{"POST /||BAD_CHUNK…"}, true},
		"two sizes":                {chunked("3 4\r\nabc\r\n0\r\n\r\n" + second), []string{"POST /||BAD_CHUNK…"}, true},
		"no size":                  {chunked("\r\nabc\r\n0\r\n\r\n" + second), []string{"POST /||BAD_CHUNK…"}, true},
		"only an extension":        {chunked(";a\r\nabc\r\n0\r\n\r\n" + second), []string{"POST /||BAD_CHUNK…"}, true},
		"overflow":                 {chunked("10000000000000003\r\nabc\r\n0\r\n\r\n" + second), []string{"POST /||BAD_CHUNK…"}, true},
		"overflow of the sign":     {chunked("ffffffffffffffff\r\nabc\r\n0\r\n\r\n" + second), []string{"POST /||BAD_CHUNK…"}, true},
		"letters":                  {chunked("zz\r\n" + second), []string{"POST /||BAD_CHUNK…"}, true},
		"chunk too short":          {chunked("4\r\nabc\r\n0\r\n\r\n" + second), []string{"POST /|abc\r|BARE_LF BAD_CHUNK…"}, true},
		"chunk too long":           {chunked("2\r\nabc\r\n0\r\n\r\n" + second), []string{"POST /|ab|BAD_CHUNK…"}, true},
		"LF behind a size":         {chunked("3\nabc\r\n0\r\n\r\n" + second), []string{"POST /||BARE_LF BAD_CHUNK…"}, true},
		"LF in an extension":       {chunked("3;a\nGET /planted HTTP/1.1\r\nabc\r\n0\r\n\r\n"), []string{"POST /||BARE_LF BAD_CHUNK…"}, true},
		"LF behind a chunk":        {chunked("3\r\nabc\n0\r\n\r\n" + second), []string{"POST /|abc|BARE_LF BAD_CHUNK…"}, true},
		"CR in an extension":       {chunked("3;a\rb\r\nabc\r\n0\r\n\r\n" + second), []string{"POST /||BAD_CHUNK…"}, true},
		"LF behind the trailers":   {chunked("0\r\n\n" + second), []string{"POST /||BARE_LF", "GET /2||"}, false},
		"planted behind a chunk":   {chunked("zz\r\nGET /planted HTTP/1.1\r\n\r\n"), []string{"POST /||BAD_CHUNK…"}, true},
		"a body that is not whole": {chunked("5\r\nab"), []string{"POST /|ab|…"}, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			whole, _ := parseRequests(test.wire)
			var got []string
			for _, r := range whole {
				var anomalies []string
				list := slices.Clone(r.Anomalies)
				slices.Sort(list)
				for _, a := range list {
					anomalies = append(anomalies, strings.TrimPrefix(a.String(), "ANOMALY_"))
				}
				line := fmt.Sprintf("%s %s|%s|%s", r.Method, r.Target, r.text(), strings.Join(anomalies, " "))
				if !r.Complete {
					line += "…"
				}
				got = append(got, line)
				// Raw, as it stood.
				require.Equal(t, test.wire[r.Offset:][:len(r.Head)], string(r.Head))
				require.True(t, r.HeadDone)
			}
			require.Equal(t, test.want, got)
			want := showAll(whole)
			splits(test.wire, func(pieces []string) {
				list, p := parseRequests(pieces...)
				if got := showAll(list); !slices.Equal(want, got) || p.IsLost() != test.lost {
					require.Equal(t, want, got, "%q", pieces)
					require.Equal(t, test.lost, p.IsLost(), "%q", pieces)
				}
			})
		})
	}
}

// A megabyte of headers is framed, and what is kept of it is bounded.
func TestLargeHeads(t *testing.T) {
	t.Parallel()
	line := "A: " + strings.Repeat("x", 1000) + "\r\n"
	wire := "GET / HTTP/1.1\r\n" + strings.Repeat(line, 1000) + "Content-Length: 1\r\n\r\ny" + second
	for _, size := range []int{len(wire), 1, 1000, 16 << 10} {
		var pieces []string
		for piece := range slices.Chunk([]byte(wire), size) {
			pieces = append(pieces, string(piece))
		}
		got, p := parseRequests(pieces...)
		require.Len(t, got, 2)
		require.False(t, p.IsLost())
		require.Equal(t, "y", got[0].text())
		require.Equal(t, wire[:len(got[0].Head)], string(got[0].Head))
		require.Contains(t, got[0].Anomalies, trafficv1.Anomaly_ANOMALY_HEADERS_TOO_LARGE)
		require.Equal(t, uint64(strings.Index(wire, "\r\n\r\n")+4-len(got[0].Head)), got[0].Gaps[0].Length)
		require.Less(t, got[0].Memory(), 300<<10)
	}
	got, _ := parseRequests("GET / HTTP/1.1\r\n"+strings.Repeat("A:\r\n", 50_000), "\r\n"+second)
	require.Len(t, got, 2)
	require.Len(t, got[0].Headers, maxHeaders)
}

func (a *answers) show() (out []string) {
	for _, r := range a.heads {
		out = append(out, fmt.Sprintf("%d %s ended=%t", r.Status, r.show(), slices.Contains(a.ended, r)))
	}
	return out
}

func parseResponses(method string, pieces ...string) (*answers, *ResponseParser) {
	a := &answers{method: []byte(method)}
	p := NewResponseParser(DefaultLimits(), a, false)
	for _, piece := range pieces {
		p.Feed([]byte(piece))
	}
	return a, p
}

func TestResponses(t *testing.T) {
	t.Parallel()
	next := "HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n"
	tests := map[string]struct {
		method, wire string
		// want is "status size" of each; a "…" behind it: it goes on.
		want []string
		lost bool
	}{
		"length":                      {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc" + next, []string{"200 3", "404 0"}, false},
		"look-alike in a body":        {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 19\r\n\r\nHTTP/1.1 500 No\r\n\r\n" + next, []string{"200 19", "404 0"}, false},
		"continue is none":            {"POST", "HTTP/1.1 100 Continue\r\n\r\n" + next, []string{"404 0"}, false},
		"interim ones":                {"GET", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 P\r\nContent-Length: 5\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + next, []string{"404 0"}, false},
		"head has no body":            {"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + next, []string{"200 0", "200 0", "404 0"}, false},
		"not modified":                {"GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n\r\n" + next, []string{"304 0", "404 0"}, false},
		"no content":                  {"GET", "HTTP/1.1 204 No Content\r\nContent-Length: 3\r\n\r\n" + next, []string{"204 0", "404 0"}, false},
		"no content, with content":    {"GET", "HTTP/1.1 204 No Content\r\n\r\nabc" + next, []string{"204 0"}, true},
		"chunked":                     {"GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x\r\nabc\r\n0\r\nA: b\r\n\r\n" + next, []string{"200 3", "404 0"}, false},
		"chunked and length":          {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n" + next, []string{"200 3", "404 0"}, false},
		"bad chunk":                   {"GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n" + next, []string{"200 0"}, true},
		"until close":                 {"GET", "HTTP/1.0 200 OK\r\n\r\n" + next, []string{"200 38…"}, false},
		"bad length":                  {"GET", "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n" + next, []string{"200 38…"}, false},
		"two lengths":                 {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n" + next, []string{"200 38…"}, false},
		"chunked in HTTP/1.0":         {"GET", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + next, []string{"200 38…"}, false},
		"upgrade":                     {"GET", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", []string{"101 0"}, false},
		"tunnel":                      {"CONNECT", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", []string{"200 0"}, false},
		"no tunnel":                   {"CONNECT", "HTTP/1.1 403 No\r\nContent-Length: 1\r\n\r\nx" + next, []string{"403 1", "404 0"}, false},
		"status without text":         {"GET", "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", []string{"200 0"}, false},
		"bare LF":                     {"GET", "HTTP/1.1 200 OK\nContent-Length: 0\n\n" + next, []string{"200 0", "404 0"}, false},
		"blank lines between":         {"GET", next + "\r\n" + next, []string{"404 0", "404 0"}, false},
		"no response":                 {"GET", "hello\r\n" + next, nil, true},
		"no response, without an end": {"GET", "<html>", nil, true},
		"no status":                   {"GET", "HTTP/1.1 2x0 OK\r\n\r\n", nil, true},
		"status below 100":            {"GET", "HTTP/1.1 099 OK\r\n\r\n", nil, true},
		"HTTP/2":                      {"GET", "HTTP/2 200 OK\r\n\r\n", nil, true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			whole, p := parseResponses(test.method, test.wire)
			var got []string
			for _, r := range whole.heads {
				line := fmt.Sprintf("%d %d", r.Status, r.BodySize)
				if !slices.Contains(whole.ended, r) {
					line += "…"
				}
				got = append(got, line)
			}
			require.Equal(t, test.want, got)
			require.Equal(t, test.lost, p.IsLost())
			splits(test.wire, func(pieces []string) {
				a, p := parseResponses(test.method, pieces...)
				if !slices.Equal(whole.show(), a.show()) || p.IsLost() != test.lost {
					require.Equal(t, whole.show(), a.show(), "%q", pieces)
					require.Equal(t, test.lost, p.IsLost(), "%q", pieces)
				}
			})
		})
	}
}
