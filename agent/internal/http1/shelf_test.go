package http1

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	trafficv1 "github.com/sidelight/sidelight/proto/gen/sidelight/traffic/v1"
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

// Nothing of a message is left in its memory: every field is set here, and empty when it comes back.
func TestShelfIsBlank(t *testing.T) {
	t.Parallel()
	used := message{
		Minor: 1, Head: []byte("a"), Headers: []Header{{}}, Trailers: []Header{{}}, Body: []Segment{{}}, BodySize: 1, Gaps: []Gap{{}},
		Anomalies: []trafficv1.Anomaly{1}, HeadDone: true, Complete: true, kept: 1, room: 1, heads: 1, counted: true,
	}
	request := &Request{used, []byte("a"), []byte("a"), 1, true, true, true}
	response := &Response{used, 1}
	var each func(v reflect.Value, check func(field reflect.Value, name string))
	each = func(v reflect.Value, check func(field reflect.Value, name string)) {
		for i := range v.NumField() {
			if v.Type().Field(i).Type == reflect.TypeFor[message]() {
				each(v.Field(i), check)
				continue
			}
			check(v.Field(i), v.Type().Field(i).Name)
		}
	}
	var s Shelf
	for _, m := range []any{request, response} {
		each(reflect.ValueOf(m).Elem(), func(field reflect.Value, name string) {
			require.False(t, field.IsZero(), "%s is not set here", name)
		})
	}
	s.PutRequest(request)
	s.PutResponse(response)
	s.Clear()
	require.Same(t, request, s.request())
	require.Same(t, response, s.response())
	for _, m := range []any{request, response} {
		each(reflect.ValueOf(m).Elem(), func(field reflect.Value, name string) {
			if field.Kind() == reflect.Slice && field.Len() == 0 {
				return
			}
			require.True(t, field.IsZero(), "%s is of the message before", name)
		})
	}
}
