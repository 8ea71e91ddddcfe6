package table

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// answerWithin bounds one request.
const answerWithin = 10 * time.Second

// Sender keeps one connection to nginx alive, as a client would.
type Sender struct {
	Address string
	// Host is what requests name; default: the address.
	Host string
	// Dial is optional.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)

	conn   net.Conn
	reader *bufio.Reader
}

// Send writes one request and reads its answer. The status is 0 when nginx closed without one.
func (s *Sender) Send(ctx context.Context, p Request) (status int, err error) {
	reused := s.conn != nil
	status, err = s.try(ctx, p)
	// A server may close an idle connection at any moment; only then is a second try no second request.
	if reused && errors.Is(err, io.EOF) {
		return s.try(ctx, p)
	}
	return status, err
}

func (s *Sender) try(ctx context.Context, p Request) (int, error) {
	if s.conn == nil {
		conn, err := s.dial(ctx)
		if err != nil {
			return 0, fmt.Errorf("connecting to nginx: %w", err)
		}
		s.conn, s.reader = conn, bufio.NewReader(conn)
	}
	if err := s.conn.SetDeadline(time.Now().Add(answerWithin)); err != nil {
		return 0, fmt.Errorf("sending to nginx: %w", err)
	}
	if _, err := s.conn.Write(p.wire(cmp.Or(s.Host, s.Address))); err != nil {
		s.Close()
		return 0, fmt.Errorf("sending to nginx: %w", err)
	}
	answer, err := http.ReadResponse(s.reader, &http.Request{Method: p.Request.Method})
	if err != nil {
		s.Close()
		return 0, fmt.Errorf("reading nginx's answer: %w", err)
	}
	_, err = io.Copy(io.Discard, answer.Body)
	_ = answer.Body.Close()
	if err != nil || answer.Close {
		s.Close()
	}
	return answer.StatusCode, nil
}

func (s *Sender) dial(ctx context.Context) (net.Conn, error) {
	if s.Dial != nil {
		return s.Dial(ctx, "tcp", s.Address)
	}
	return (&net.Dialer{Timeout: answerWithin}).DialContext(ctx, "tcp", s.Address)
}

// Close ends the connection.
func (s *Sender) Close() {
	if s.conn != nil {
		_ = s.conn.Close()
		s.conn = nil
	}
}
