package demo

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

const (
	// answerWithin bounds one request of the demo.
	answerWithin = 10 * time.Second
	senders      = 2
)

// sender keeps one connection to nginx alive, as a client would.
type sender struct {
	address string
	conn    net.Conn
	reader  *bufio.Reader
}

// send writes one request and reads its answer. The status is 0 when nginx closed without one.
func (s *sender) send(ctx context.Context, p planned) (status int, err error) {
	reused := s.conn != nil
	status, err = s.try(ctx, p)
	// A server may close an idle connection at any moment; only then is a second try no second request.
	if reused && errors.Is(err, io.EOF) {
		return s.try(ctx, p)
	}
	return status, err
}

func (s *sender) try(ctx context.Context, p planned) (int, error) {
	if s.conn == nil {
		conn, err := (&net.Dialer{Timeout: answerWithin}).DialContext(ctx, "tcp", s.address)
		if err != nil {
			return 0, fmt.Errorf("connecting to nginx: %w", err)
		}
		s.conn, s.reader = conn, bufio.NewReader(conn)
	}
	if err := s.conn.SetDeadline(time.Now().Add(answerWithin)); err != nil {
		return 0, fmt.Errorf("sending to nginx: %w", err)
	}
	if _, err := s.conn.Write(p.wire(s.address)); err != nil {
		s.close()
		return 0, fmt.Errorf("sending to nginx: %w", err)
	}
	answer, err := http.ReadResponse(s.reader, &http.Request{Method: p.request.Method})
	if err != nil {
		s.close()
		return 0, fmt.Errorf("reading nginx's answer: %w", err)
	}
	_, err = io.Copy(io.Discard, answer.Body)
	_ = answer.Body.Close()
	if err != nil || answer.Close {
		s.close()
	}
	return answer.StatusCode, nil
}

func (s *sender) close() {
	if s.conn != nil {
		_ = s.conn.Close()
		s.conn = nil
	}
}
