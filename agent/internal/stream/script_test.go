package stream

import (
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/sidelight/sidelight/agent/internal/probe"
)

// script is a conversation with a server that does what RFC 9112 says, and a client, or a whole crowd behind a proxy, that
// sends what an attacker wants.
type script struct {
	rng *rand.Rand
	// requests are the true ones.
	requests []*truth
	moves    []move
	seq      [2]uint32
	planted  int
	// calm: most requests are as most clients send them.
	calm bool
	// tunnelled: the conversation ends in a tunnel.
	tunnelled bool
}

// truth is what the server reads.
type truth struct {
	method, target, headers string
	seq                     uint32
	size                    int
	body, trailers          string
	// whole: what its framing says has one reading.
	expect bool
}

// move is what one call of the server moves.
type move struct {
	dir  probe.Direction
	data string
}

func (s *script) chance(percent int) bool { return s.rng.IntN(100) < percent }

func pick[T any](s *script, list ...T) T { return list[s.rng.IntN(len(list))] }

// plant is text that a parser out of step would take for a message.
func (s *script) plant() string {
	s.planted++
	line := fmt.Sprintf("%s /planted-%d HTTP/1.%d\r\n", pick(s, "GET", "POST", "DELETE", "HEAD"), s.planted, s.rng.IntN(2))
	head := line + "Host: shop\r\n"
	switch s.rng.IntN(14) {
	case 0:
		return head + "Content-Length: 40\r\n\r\n"
	case 1:
		return head + "Transfer-Encoding: chunked\r\n\r\n"
	case 2:
		return "0\r\n\r\n" + head + "\r\n"
	case 3:
		return "\r\n0\r\n\r\n" + head + "\r\n"
	case 4:
		return "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" + head + "\r\n"
	case 5:
		return "\r\n\r\n" + head + "\r\n"
	case 6:
		return head + "X: "
	case 7:
		return head + "\r\n" + head + "\r\n"
	case 8:
		return "\n" + strings.ReplaceAll(head, "\r", "") + "\n"
	default:
		return head + "\r\n"
	}
}

func (s *script) plants() string {
	var b strings.Builder
	for range 1 + s.rng.IntN(3) {
		if s.chance(25) {
			b.WriteString(strings.Repeat("x", s.rng.IntN(60)))
		}
		b.WriteString(s.plant())
	}
	return b.String()
}

// lookalike is the body of an answer that a parser out of step would take for answers.
func (s *script) lookalike() string {
	if s.calm && s.chance(98) {
		return "plain text"
	}
	var b strings.Builder
	for range s.rng.IntN(4) {
		b.WriteString(pick(s, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 204 No Content\r\n\r\n",
			"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\n", "plain text"))
	}
	return b.String()
}

// request writes a true request and gives the moves that bring it: the head, or pieces, and the body.
func (s *script) request() (t *truth, moves []string) {
	n := len(s.requests)
	t = &truth{method: pick(s, "GET", "GET", "POST", "PUT", "HEAD"), target: fmt.Sprintf("/true-%d?%x", n, s.rng.Uint32()), seq: s.seq[probe.In]}
	t.headers = "Host: shop\r\n"
	if s.chance(20) {
		t.headers += "X-Planted: GET /planted-in-header HTTP/1.1\r\n"
	}
	body := ""
	var pieces []string
	switch s.rng.IntN(6) {
	case 0, 1: // a length
		if t.body = s.plants(); s.chance(10) {
			t.body = ""
		}
		t.headers += fmt.Sprintf("Content-Length: %d\r\n", len(t.body))
		pieces = s.pieces(t.body)
	case 2, 3: // chunks
		t.headers += "Transfer-Encoding: chunked\r\n"
		for range s.rng.IntN(4) {
			data := s.plants()
			t.body += data
			body += fmt.Sprintf("%x%s\r\n%s\r\n", len(data), pick(s, "", "", ";a=b", " ;x"), data)
		}
		body += "0\r\n"
		if s.chance(20) {
			t.trailers = "X-Sum: 1"
			body += t.trailers + "\r\n"
		}
		pieces = s.pieces(body + "\r\n")
	}
	if s.chance(8) {
		t.headers += "Expect: 100-continue\r\n"
		t.expect = true
	}
	if s.calm && s.chance(97) {
		t.headers, t.body, t.trailers, t.expect, pieces = "Host: shop\r\n", "", "", false, nil
		if t.method = pick(s, "GET", "POST"); t.method == "POST" {
			t.body = pick(s, "", "a=1", "GET /planted-"+strings.Repeat("x", s.rng.IntN(20)))
			t.headers += fmt.Sprintf("Content-Length: %d\r\n", len(t.body))
			pieces = s.pieces(t.body)
		}
	}
	s.requests = append(s.requests, t)
	return t, append([]string{fmt.Sprintf("%s %s HTTP/1.1\r\n%s\r\n", t.method, t.target, t.headers)}, pieces...)
}

// pieces cuts text where an attacker would: before a request line, and anywhere.
func (s *script) pieces(text string) (list []string) {
	for text != "" {
		n := 1 + s.rng.IntN(len(text))
		if i := strings.Index(text[1:], "/planted"); i > 8 && s.chance(60) {
			n = 1 + strings.LastIndexByte(text[:i], '\n')
		}
		if s.chance(40) {
			n = len(text)
		}
		n = max(n, 1)
		list, text = append(list, text[:n]), text[n:]
	}
	return list
}

// response answers a request; last ones may go on until the connection is closed.
func (s *script) response(t *truth) (moves []string, last bool) {
	text := pick(s, "HTTP/1.1 200 OK\r\n", "HTTP/1.1 413 Too Large\r\n", "HTTP/1.1 404 Not Found\r\n")
	body := s.lookalike()
	none := t.method == "HEAD"
	switch s.rng.IntN(12) {
	case 0:
		return []string{pick(s, "HTTP/1.1 204 No Content\r\n\r\n", "HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\n")}, false
	case 1, 2, 3:
		wire := ""
		for range s.rng.IntN(3) {
			if body != "" {
				wire += fmt.Sprintf("%x\r\n%s\r\n", len(body), body)
			}
		}
		text, body = text+"Transfer-Encoding: chunked\r\n\r\n", wire+"0\r\n\r\n"
	case 4:
		if s.calm && !none {
			return s.response(t)
		}
		text, last = text+"\r\n", !none
	default:
		text += fmt.Sprintf("Content-Length: %d\r\n\r\n", len(body))
	}
	if none {
		body = ""
	}
	if s.chance(50) {
		return s.pieces(text + body), last
	}
	return append([]string{text}, s.pieces(body)...), last
}

func (s *script) add(dir probe.Direction, text string) {
	if text == "" {
		return
	}
	s.moves = append(s.moves, move{dir, text})
	s.seq[dir] += uint32(len(text))
}

// newScript writes a conversation.
func newScript(seed uint64, long bool) *script {
	s := &script{rng: rand.New(rand.NewPCG(seed, 4)), seq: [2]uint32{0xffffff00, 0xfffffff0}}
	early, together := pick(s, 0, 0, 30, 70), pick(s, 0, 0, 20, 50)
	rounds := 1 + s.rng.IntN(12)
	if long {
		rounds, together = 60, pick(s, 0, 0, 5)
	}
	for i := range rounds {
		s.calm = long && i > 3
		if !s.round(early, together) {
			return s
		}
	}
	if s.chance(25) {
		s.tunnel()
	}
	return s
}

// round is some requests that are sent without waiting, and their answers.
func (s *script) round(early, together int) bool {
	group := 1
	for s.chance(together) && group < 6 {
		group++
	}
	var answers [][]string
	goesOn := true
	for i := range group {
		t, moves := s.request()
		from := s.seq[probe.In]
		t.seq = from
		joined := i < group-1 && s.chance(60)
		// Two requests, or a head and the next one's, in one call.
		if joined && len(moves) == 1 {
			next, more := s.request()
			next.seq = from + uint32(len(moves[0]))
			s.add(probe.In, moves[0]+more[0])
			t.size = len(moves[0])
			answers = append(answers, s.plain(t), nil)
			for _, m := range more[1:] {
				s.add(probe.In, m)
			}
			next.size = len(strings.Join(more, ""))
			answers[len(answers)-1] = s.plain(next)
			continue
		}
		t.size = len(strings.Join(moves, ""))
		response, last := s.response(t)
		if last && i < group-1 {
			response, last = s.plain(t), false
		}
		goesOn = goesOn && !last
		for j, m := range moves {
			s.add(probe.In, m)
			if j == 0 && t.expect && len(answers) == 0 {
				s.add(probe.Out, "HTTP/1.1 100 Continue\r\n\r\n")
			}
			// Early answers, when it is this one's turn, whole or in part.
			for len(response) > 0 && len(answers) == 0 && j < len(moves)-1 && s.chance(early) {
				s.add(probe.Out, response[0])
				response = response[1:]
			}
		}
		answers = append(answers, response)
	}
	for _, response := range answers {
		for _, m := range response {
			s.add(probe.Out, m)
		}
	}
	return goesOn
}

func (s *script) plain(t *truth) []string {
	for {
		if moves, last := s.response(t); !last {
			return moves
		}
	}
}

// tunnel ends the conversation: what follows looks like one, and is none.
func (s *script) tunnel() {
	s.tunnelled = true
	t := &truth{method: "GET", target: "/chat", headers: "Host: shop\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n", seq: s.seq[probe.In]}
	answer := "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"
	if s.chance(50) {
		t.method, t.target, t.headers = "CONNECT", "shop:80", "Host: shop\r\n"
		answer = "HTTP/1.1 200 Connected\r\n\r\n"
	}
	s.requests = append(s.requests, t)
	head := fmt.Sprintf("%s %s HTTP/1.1\r\n%s\r\n", t.method, t.target, t.headers)
	t.size = len(head)
	if s.chance(40) {
		head += s.plants()
	}
	s.add(probe.In, head)
	if s.chance(30) {
		s.add(probe.In, s.plants())
	}
	s.add(probe.Out, answer)
	for range s.rng.IntN(40) {
		s.add(probe.In, s.plant())
		s.add(probe.Out, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
	}
}
