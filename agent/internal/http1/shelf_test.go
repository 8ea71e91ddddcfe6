package http1

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// shelver writes down what it is told of, and gives it up.
type shelver struct {
	shelf *Shelf
	said  []string
}

func (s *shelver) RequestStarted(*Request) {}
func (s *shelver) RequestChanged(r *Request) {
	if r.Complete || r.Lost() {
		s.said = append(s.said, fmt.Sprintf("%+v", *r))
		s.shelf.PutRequest(r)
	}
}
func (s *shelver) NextMethod() []byte     { return []byte("GET") }
func (s *shelver) ResponseHead(*Response) {}
func (s *shelver) ResponseEnded(r *Response) {
	s.said = append(s.said, fmt.Sprintf("%+v", *r))
	s.shelf.PutResponse(r)
}

// A message in the memory of another one is as one in memory of its own, whatever the other one was.
func TestShelf(t *testing.T) {
	t.Parallel()
	large := "X-Large: " + strings.Repeat("x", 2*shelvedHead) + "\r\n"
	requests := []string{
		"GET / HTTP/1.1\r\nHost: a\r\nA: 1\r\nB: 2\r\n\r\n", "GET /short HTTP/1.1\r\n\r\n", "POST /b HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc",
		"GET /folded HTTP/1.1\nA: 1\n 2\n\n", "POST /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nSum: 1\r\n\r\n",
		"GET /large HTTP/1.1\r\n" + large + "\r\n", "GET /odd HTTP/1.1\r\nA : \x00\r\n\r\n", "GET /last HTTP/1.0\r\nA: 1\r\n\r\n",
	}
	responses := []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nA: 1\r\n\r\nok", "HTTP/1.0 204 No Content\r\n\r\n", "HTTP/1.1 404 Not Found\r\n" + large + "Content-Length: 0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nSum: 1\r\n\r\n", "HTTP/1.1 500 Oh\nContent-Length: 1\n\nx",
	}
	for _, step := range []int{1 << 20, 1, 7} {
		kept, fresh := &shelver{shelf: &Shelf{}}, &shelver{shelf: &Shelf{}}
		for _, s := range []*shelver{kept, fresh} {
			limits := DefaultLimits()
			var in RequestParser
			var out ResponseParser
			var shelf *Shelf
			if s == kept {
				shelf = s.shelf
			}
			in.Init(&limits, shelf, s, false)
			out.Init(&limits, shelf, s, false)
			feed := func(text string, to func([]byte)) {
				for i := 0; i < len(text); i += step {
					to([]byte(text[i:min(i+step, len(text))]))
					s.shelf.Clear()
				}
			}
			for range 3 {
				for _, text := range requests {
					feed(text, func(b []byte) { require.Empty(t, in.Feed(b)) })
				}
				for _, text := range responses {
					feed(text, out.Feed)
				}
			}
			require.Len(t, s.said, 3*(len(requests)+len(responses)))
		}
		require.Equal(t, fresh.said, kept.said)
		require.NotEmpty(t, kept.shelf.requests)
		require.NotEmpty(t, kept.shelf.responses)
	}
}
