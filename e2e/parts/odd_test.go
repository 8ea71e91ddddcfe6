package parts

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	detectionv1 "github.com/sidelight/sidelight/proto/gen/sidelight/detection/v1"
	processorv1 "github.com/sidelight/sidelight/proto/gen/sidelight/processor/v1"
	trafficv1 "github.com/sidelight/sidelight/proto/gen/sidelight/traffic/v1"
)

// listen opens a port within the namespace; it is served from wherever the test is.
func (n *namespace) listen(t testing.TB, address string) net.Listener {
	t.Helper()
	type result struct {
		listener net.Listener
		err      error
	}
	done := make(chan result, 1)
	go func() {
		runtime.LockOSThread() // the thread ends with this goroutine
		if err := unix.Setns(int(n.file.Fd()), unix.CLONE_NEWNET); err != nil {
			done <- result{err: err}
			return
		}
		listener, err := net.Listen("tcp", address)
		done <- result{listener, err}
	}()
	r := <-done
	require.NoError(t, r.err)
	return r.listener
}

// odd is a backend behind nginx whose answers take long, never end, or never come.
func (f *fleet) odd(slow time.Duration) {
	f.t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("/odd/slow", func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-time.After(slow):
		case <-r.Context().Done():
		}
		fmt.Fprintln(w, "at last")
	})
	mux.HandleFunc("/odd/killed", func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			_ = conn.Close()
		}
	})
	mux.HandleFunc("/odd/events", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for r.Context().Err() == nil {
			fmt.Fprint(w, "data: tick\n\n")
			_ = http.NewResponseController(w).Flush()
			select {
			case <-r.Context().Done():
			case <-time.After(200 * time.Millisecond):
			}
		}
	})
	mux.HandleFunc("/odd/upload", func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		fmt.Fprintln(w, n)
	})
	server := &http.Server{Handler: mux}
	listener := f.site.nginx.host.listen(f.t, "127.0.0.1:8082")
	go func() { _ = server.Serve(listener) }()
	f.t.Cleanup(func() { _ = server.Close() })
}

const sqli = "1'%20UNION%20SELECT%20password%20FROM%20users--%20"

// Each request has an attack; it is shown within 2 s of its bytes, and what comes of it is filled in when it is known.
func TestRevisions(t *testing.T) {
	slow := lasts(4*time.Second, 30*time.Second)
	f := newFleet(t, options{})
	f.odd(slow)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	w := f.watch(ctx, "")
	open := func() net.Conn {
		conn, err := f.network.hub.dial(ctx, "tcp", f.site.address())
		require.NoError(t, err)
		t.Cleanup(func() { _ = conn.Close() })
		return conn
	}
	head := func(id, method, target, more string) string {
		return fmt.Sprintf("%s %s HTTP/1.1\r\nHost: shop.example.org\r\nUser-Agent: Mozilla/5.0\r\nAccept: */*\r\ntraceparent: 00-%s-%s-01\r\n%s\r\n", method, target, id, id[:16], more)
	}
	query := func(id string) string { return "?" + attackPoint(id) + "=" + sqli }
	write := func(conn net.Conn, text string) { _, err := io.WriteString(conn, text); require.NoError(t, err) }
	answer := func(conn net.Conn) { _, _ = io.Copy(io.Discard, io.LimitReader(conn, 1)) }

	for _, tc := range []struct {
		name string
		// play sends the attack, calls sent with the last of its bytes, and ends the exchange.
		play    func(t *testing.T, id string, sent func())
		status  uint32
		reason  trafficv1.CloseReason
		outcome detectionv1.Outcome
		// size of the body, as far as it is known in the end; 0 = none.
		size uint64
	}{
		{"an answer that takes long", func(_ *testing.T, id string, sent func()) {
			conn := open()
			write(conn, head(id, "GET", "/odd/slow"+query(id), ""))
			sent()
			answer(conn)
		}, 200, trafficv1.CloseReason_CLOSE_REASON_ANSWERED, detectionv1.Outcome_OUTCOME_REACHED_APP, 0},
		{"a backend that it kills", func(_ *testing.T, id string, sent func()) {
			conn := open()
			write(conn, head(id, "GET", "/odd/killed"+query(id), ""))
			sent()
			answer(conn)
		}, 502, trafficv1.CloseReason_CLOSE_REASON_ANSWERED, detectionv1.Outcome_OUTCOME_APP_ERROR, 0},
		{"a connection that is dropped", func(_ *testing.T, id string, sent func()) {
			conn := open()
			write(conn, head(id, "GET", "/dropped"+query(id), ""))
			sent()
			answer(conn)
		}, 0, trafficv1.CloseReason_CLOSE_REASON_RESET, detectionv1.Outcome_OUTCOME_NO_ANSWER, 0},
		{"an endless chunked upload", func(t *testing.T, id string, sent func()) {
			conn := open()
			write(conn, head(id, "POST", "/odd/upload", "Content-Type: application/x-www-form-urlencoded\r\nTransfer-Encoding: chunked\r\n"))
			chunk := func(text string) { write(conn, fmt.Sprintf("%x\r\n%s\r\n", len(text), text)) }
			chunk("first=nothing&")
			<-time.After(1500 * time.Millisecond) // long after the first revision
			chunk(attackPoint(id) + "=" + sqli + "&")
			sent()
			for range 20 {
				chunk("more=" + strings.Repeat("x", 100) + "&")
				<-time.After(100 * time.Millisecond)
			}
			require.NoError(t, conn.Close())
		}, 0, trafficv1.CloseReason_CLOSE_REASON_RESET, detectionv1.Outcome_OUTCOME_NO_ANSWER, 0},
		{"a stream of events", func(t *testing.T, id string, sent func()) {
			conn := open()
			write(conn, head(id, "GET", "/odd/events"+query(id), ""))
			sent()
			until(t, 5*time.Second, "the status is known while the stream goes on", func() error {
				if _, all := w.of(id); len(all) == 0 || all[len(all)-1].GetRequest().GetStatus() != 200 {
					return errNotYet
				}
				return nil
			})
			require.NoError(t, conn.Close())
		}, 200, trafficv1.CloseReason_CLOSE_REASON_UNSPECIFIED, detectionv1.Outcome_OUTCOME_REACHED_APP, 0},
		{"a large upload", func(_ *testing.T, id string, sent func()) {
			conn := open()
			write(conn, head(id, "POST", "/odd/upload"+query(id), fmt.Sprintf("Content-Type: application/octet-stream\r\nContent-Length: %d\r\n", large)))
			sent()
			piece := strings.Repeat("0123456789abcdef", 4096)
			for n := 0; n < large; n += len(piece) {
				write(conn, piece)
			}
			answer(conn)
		}, 200, trafficv1.CloseReason_CLOSE_REASON_ANSWERED, detectionv1.Outcome_OUTCOME_REACHED_APP, large},
	} {
		t.Run(tc.name, func(t *testing.T) {
			id := nonce()
			played, sentAt := make(chan struct{}), make(chan time.Time, 1)
			go func() {
				defer close(played)
				tc.play(t, id, func() { sentAt <- time.Now() })
			}()
			from := <-sentAt
			until(t, 10*time.Second, "the hit is shown", func() error {
				if _, all := w.of(id); !hasHits(all) {
					return fmt.Errorf("%d revisions, none with a hit", len(all))
				}
				return nil
			})
			delay := time.Since(from)
			require.Less(t, delay, 2*time.Second, "from the attack's bytes to its hit")
			<-played
			var last *processorv1.Summary
			until(t, 10*time.Second, "it is closed", func() error {
				_, all := w.of(id)
				last = all[len(all)-1]
				if last.GetPhase() != trafficv1.Phase_PHASE_CLOSED {
					return fmt.Errorf("%s, status %d", last.GetPhase(), last.GetRequest().GetStatus())
				}
				return nil
			})
			require.Equal(t, tc.status, last.GetRequest().GetStatus())
			var hit *detectionv1.Hit
			until(t, 10*time.Second, "the outcome is in the journal", func() error {
				hit = f.hitAt(attackPoint(id))
				if hit.GetOutcome() != tc.outcome {
					return fmt.Errorf("%s", hit.GetOutcome())
				}
				return nil
			})
			require.Equal(t, tc.status, hit.GetRequest().GetStatus())
			if tc.size > 0 {
				require.Equal(t, tc.size, hit.GetRequest().GetBodySize())
			}
			t.Logf("shown %d ms after the attack's last byte", delay.Milliseconds())
		})
	}
}

// large is the size of an upload that is far over every budget.
const large = 100 << 20

func hasHits(all []*processorv1.Summary) bool {
	for _, s := range all {
		if len(s.GetHits()) > 0 {
			return true
		}
	}
	return false
}

// hitAt is the sample of the one attack at a point, nil without.
func (f *fleet) hitAt(point string) *detectionv1.Hit {
	f.t.Helper()
	for _, a := range f.journal() {
		if strings.HasSuffix(a.GetPoint(), point) && len(a.GetSamples()) > 0 {
			require.Equal(f.t, uint64(1), a.GetHitCount(), "counted more than once")
			return a.GetSamples()[0]
		}
	}
	return nil
}
