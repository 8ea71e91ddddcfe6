package agent

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	statusv1 "github.com/sidelight/sidelight/proto/gen/sidelight/status/v1"
	trafficv1 "github.com/sidelight/sidelight/proto/gen/sidelight/traffic/v1"
)

// events answers as a stream of server-sent events: small ones, or, for /many-events, more than the budget of a response.
func events(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no")
	payload := "tick"
	if r.URL.Path == "/many-events" {
		payload = strings.Repeat("tick", 500)
	}
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for range 25 {
		fmt.Fprintf(w, "data: %s\n\n", payload)
		_ = http.NewResponseController(w).Flush()
		select {
		case <-ticker.C:
		case <-r.Context().Done():
			return
		}
	}
}

// seen is one revision, and when it came.
type seen struct {
	*trafficv1.Exchange
	at time.Time
}

func (a *aggregator) seen(target string) []seen {
	a.mu.Lock()
	defer a.mu.Unlock()
	var list []seen
	for i, e := range a.exchanges {
		if string(e.GetRequest().GetTarget()) == target {
			list = append(list, seen{e, a.at[i]})
		}
	}
	return list
}

// until waits for the revision that it is about, and gives it.
func (a *aggregator) until(t *testing.T, target string, right func(*trafficv1.Exchange) bool) seen {
	t.Helper()
	var found seen
	require.Eventually(t, func() bool {
		for _, s := range a.seen(target) {
			if right(s.Exchange) {
				found = s
				return true
			}
		}
		return false
	}, 20*time.Second, 5*time.Millisecond, target)
	return found
}

func isClosed(e *trafficv1.Exchange) bool { return e.GetPhase() == trafficv1.Phase_PHASE_CLOSED }

func dial(t *testing.T, s *site) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", s.address)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func write(t *testing.T, w io.Writer, text string) {
	t.Helper()
	_, err := io.WriteString(w, text)
	require.NoError(t, err)
}

// What an attack's bytes may take until they are sent: the bar of the whole way is two seconds.
const soon = 1500 * time.Millisecond

func TestRevisions(t *testing.T) {
	s := newSite(t)
	t.Run("cases", func(t *testing.T) {
		for name, test := range map[string]func(*testing.T, *site){
			"answer after 3 s": answerLater, "backend dies": backendDies, "dropped": dropped, "endless upload": endlessUpload,
			"attack at the end of what is copied": slowUpload, "events": eventStream, "more events than the budget": manyEvents,
			"100 MB": largeUpload, "idle": idleBetween, "slow request line": slowLine,
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				test(t, s)
			})
		}
	})
	workerKilled(t, s)
	agentStops(t, s)
}

func answerLater(t *testing.T, s *site) {
	conn := dial(t, s)
	began := time.Now()
	write(t, conn, "GET /later HTTP/1.1\r\nHost: a\r\n\r\n")
	last := s.aggregator.until(t, "/later", isClosed)
	list := s.aggregator.seen("/later")
	require.Len(t, list, 2)
	require.Equal(t, trafficv1.Phase_PHASE_REQUEST, list[0].GetPhase())
	require.Nil(t, list[0].GetResponse())
	require.Less(t, list[0].at.Sub(began), time.Second)
	require.Equal(t, trafficv1.CloseReason_CLOSE_REASON_ANSWERED, last.GetCloseReason())
	require.Equal(t, uint32(200), last.GetResponse().GetStatus())
	require.Equal(t, []uint32{2, 1}, []uint32{last.GetRevision(), last.GetContentRevision()})
	require.Greater(t, last.at.Sub(began), 2900*time.Millisecond)
}

func backendDies(t *testing.T, s *site) {
	require.Equal(t, []int{502}, s.send(t, "GET /die HTTP/1.1\r\nHost: a\r\n\r\n"))
	last := s.aggregator.until(t, "/die", isClosed)
	require.Equal(t, trafficv1.CloseReason_CLOSE_REASON_ANSWERED, last.GetCloseReason())
	require.Equal(t, uint32(502), last.GetResponse().GetStatus())
}

func dropped(t *testing.T, s *site) {
	conn := dial(t, s)
	write(t, conn, "GET /drop HTTP/1.1\r\nHost: a\r\n\r\n")
	_, err := io.ReadAll(conn)
	require.NoError(t, err)
	last := s.aggregator.until(t, "/drop", isClosed)
	require.Equal(t, trafficv1.CloseReason_CLOSE_REASON_RESET, last.GetCloseReason())
	require.Nil(t, last.GetResponse())
}

func endlessUpload(t *testing.T, s *site) {
	conn := dial(t, s)
	write(t, conn, "POST /endless HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
	chunk := func(text string) { write(t, conn, fmt.Sprintf("%x\r\n%s\r\n", len(text), text)) }
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	began := time.Now()
	var planted time.Time
	// 24 KiB a second: after three seconds more than the budget has come, and it goes on for as long again.
	for i := range 120 {
		<-ticker.C
		if i == 40 {
			chunk("id=1' OR '1'='1")
			planted = time.Now()
		}
		chunk(strings.Repeat("x", 1200))
	}
	took := time.Since(began)
	hit := s.aggregator.until(t, "/endless", func(e *trafficv1.Exchange) bool { return strings.Contains(body(e), "OR '1'='1") })
	require.Less(t, hit.at.Sub(planted), soon)
	capped := s.aggregator.until(t, "/endless", func(e *trafficv1.Exchange) bool { return len(e.GetGaps()) > 0 })
	require.Equal(t, trafficv1.GapReason_GAP_REASON_BUDGET, capped.GetGaps()[0].GetReason())
	require.Less(t, len(body(capped.Exchange)), 64<<10)
	require.Greater(t, len(body(capped.Exchange)), 60<<10)
	list := s.aggregator.seen("/endless")
	require.Less(t, list[len(list)-1].at.Sub(began), took-soon, "nothing new can be inspected: no more revisions")
	require.LessOrEqual(t, len(list), 7, "at most one a second")
	require.NoError(t, conn.Close())
	last := s.aggregator.until(t, "/endless", isClosed)
	require.Equal(t, trafficv1.CloseReason_CLOSE_REASON_RESET, last.GetCloseReason())
	require.Less(t, last.GetContentRevision(), last.GetRevision(), "and it is not sent again")
}

// slowUpload comes with a pause before the last bytes that the kernel copies.
func slowUpload(t *testing.T, s *site) {
	conn := dial(t, s)
	const head, attack = "POST /pause HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n", "<script>alert(1)</script>"
	write(t, conn, head+strings.Repeat("x", 64<<10-len(head)-len(attack)))
	<-time.After(2500 * time.Millisecond)
	write(t, conn, attack)
	planted := time.Now()
	hit := s.aggregator.until(t, "/pause", func(e *trafficv1.Exchange) bool { return strings.HasSuffix(body(e), attack) })
	require.Less(t, hit.at.Sub(planted), soon)
	require.Equal(t, hit.GetRevision(), hit.GetContentRevision())
	require.Equal(t, trafficv1.Phase_PHASE_UPDATE, hit.GetPhase())
}

func eventStream(t *testing.T, s *site) {
	conn := dial(t, s)
	began := time.Now()
	write(t, conn, "GET /events HTTP/1.1\r\nHost: a\r\n\r\n")
	early := s.aggregator.until(t, "/events", func(e *trafficv1.Exchange) bool { return e.GetResponse().GetStatus() == 200 })
	require.Less(t, early.at.Sub(began), soon)
	require.NotEqual(t, trafficv1.Phase_PHASE_CLOSED, early.GetPhase())
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	_, err = io.Copy(io.Discard, answer.Body)
	require.NoError(t, err)
	over := time.Now()
	last := s.aggregator.until(t, "/events", isClosed)
	require.Equal(t, trafficv1.CloseReason_CLOSE_REASON_ANSWERED, last.GetCloseReason())
	require.WithinDuration(t, over, last.at, time.Second)
	require.LessOrEqual(t, len(s.aggregator.seen("/events")), 3)
}

// manyEvents: the end of such a stream is not copied, so only the end of the connection tells.
func manyEvents(t *testing.T, s *site) {
	conn := dial(t, s)
	write(t, conn, "GET /many-events HTTP/1.1\r\nHost: a\r\n\r\n")
	_, err := io.CopyN(io.Discard, conn, 30_000)
	require.NoError(t, err)
	for _, e := range s.aggregator.seen("/many-events") {
		require.NotEqual(t, trafficv1.Phase_PHASE_CLOSED, e.GetPhase())
	}
	over := time.Now()
	require.NoError(t, conn.Close())
	last := s.aggregator.until(t, "/many-events", isClosed)
	require.Equal(t, trafficv1.CloseReason_CLOSE_REASON_ANSWERED, last.GetCloseReason())
	require.False(t, last.at.Before(over))
}

func largeUpload(t *testing.T, s *site) {
	const size = 100 << 20
	conn := dial(t, s)
	write(t, conn, fmt.Sprintf("POST /100mb HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", size))
	block := bytes.Repeat([]byte("x"), 1<<20)
	for range size / len(block) {
		_, err := conn.Write(block)
		require.NoError(t, err)
	}
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	require.Equal(t, 200, answer.StatusCode)
	last := s.aggregator.until(t, "/100mb", isClosed)
	require.Equal(t, uint64(size), last.GetRequest().GetBodySize())
	require.Equal(t, trafficv1.CloseReason_CLOSE_REASON_ANSWERED, last.GetCloseReason())
	list := s.aggregator.seen("/100mb")
	require.LessOrEqual(t, len(list), 2, "inspected once")
	first := list[0]
	require.LessOrEqual(t, len(body(first.Exchange)), 64<<10)
	covered := uint64(len(body(first.Exchange)))
	for _, gap := range last.GetGaps() {
		covered += gap.GetLength()
	}
	require.Equal(t, uint64(size), covered, "what was not seen is a gap")
}

func idleBetween(t *testing.T, s *site) {
	conn := dial(t, s)
	reader := bufio.NewReader(conn)
	for _, target := range []string{"/idle-1", "/idle-2"} {
		write(t, conn, "GET "+target+" HTTP/1.1\r\nHost: a\r\n\r\n")
		answer, err := http.ReadResponse(reader, nil)
		require.NoError(t, err)
		_, err = io.Copy(io.Discard, answer.Body)
		require.NoError(t, err)
		<-time.After(1500 * time.Millisecond)
		list := s.aggregator.seen(target)
		require.Len(t, list, 1, "a connection that idles says nothing")
		require.Equal(t, trafficv1.CloseReason_CLOSE_REASON_ANSWERED, list[0].GetCloseReason())
	}
}

// slowLine: the request began with the first byte of its line.
func slowLine(t *testing.T, s *site) {
	conn := dial(t, s)
	began := time.Now()
	write(t, conn, "GET /dro")
	<-time.After(700 * time.Millisecond)
	write(t, conn, "p-by-drop HTTP/1.1\r\nHost: a\r\n\r\n")
	last := s.aggregator.until(t, "/drop-by-drop", isClosed)
	require.WithinDuration(t, began, last.GetTimes().GetRequestStart().AsTime(), 200*time.Millisecond)
	require.Greater(t, last.GetTimes().GetRequestEnd().AsTime().Sub(last.GetTimes().GetRequestStart().AsTime()), 600*time.Millisecond)
}

// workerKilled takes the mirrored process itself from under a request.
func workerKilled(t *testing.T, s *site) {
	conn := dial(t, s)
	write(t, conn, "GET /hang?killed HTTP/1.1\r\nHost: a\r\n\r\n")
	s.aggregator.until(t, "/hang?killed", func(*trafficv1.Exchange) bool { return true })
	workers, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", s.nginx, s.nginx))
	require.NoError(t, err)
	for worker := range strings.FieldsSeq(string(workers)) {
		pid, err := strconv.Atoi(worker)
		require.NoError(t, err)
		require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
	}
	last := s.aggregator.until(t, "/hang?killed", isClosed)
	require.Equal(t, trafficv1.CloseReason_CLOSE_REASON_RESET, last.GetCloseReason())
	// The master makes another one.
	require.Eventually(t, func() bool {
		conn, err := net.Dial("tcp", s.address)
		if err != nil {
			return false
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(time.Second))
		_, _ = io.WriteString(conn, "GET /again HTTP/1.1\r\nHost: a\r\n\r\n")
		_, err = http.ReadResponse(bufio.NewReader(conn), nil)
		return err == nil
	}, 10*time.Second, 50*time.Millisecond)
}

func agentStops(t *testing.T, s *site) {
	conn := dial(t, s)
	write(t, conn, "GET /hang?open HTTP/1.1\r\nHost: a\r\n\r\n")
	open := s.aggregator.until(t, "/hang?open", func(*trafficv1.Exchange) bool { return true })
	require.Equal(t, "nginx", open.GetWorkload().GetService())
	stopped := time.Now()
	s.stop()
	last := s.aggregator.until(t, "/hang?open", isClosed)
	require.Equal(t, trafficv1.CloseReason_CLOSE_REASON_AGENT_STOP, last.GetCloseReason())

	s.aggregator.mu.Lock()
	defer s.aggregator.mu.Unlock()
	// All that began is acknowledged: the watermark ends where the watching did.
	marks := s.aggregator.marks
	require.IsNonDecreasing(t, marks)
	require.Greater(t, marks[len(marks)-1], open.GetTimes().GetRequestStartMonoNs())
	status := s.aggregator.status
	require.True(t, status.GetWatchedFrom().AsTime().After(status.GetStartedAt().AsTime()))
	require.Equal(t, status.GetStartedAt().AsTime(), s.aggregator.hello.GetStartedAt().AsTime())
	require.WithinDuration(t, stopped, status.GetReportedAt().AsTime(), 5*time.Second)
	closes(t, status.GetCoverage(), s.aggregator.exchanges)
}

// closes checks the sum of every workload: made = acknowledged + lost, and what was made came.
func closes(t *testing.T, list []*statusv1.Coverage, came []*trafficv1.Exchange) {
	t.Helper()
	exchanges := map[uint32]map[string]bool{}
	for _, e := range came {
		pid := e.GetWorkload().GetProcess().GetPid()
		if exchanges[pid] == nil {
			exchanges[pid] = map[string]bool{}
		}
		exchanges[pid][string(e.GetId())] = true
	}
	seen := uint64(0)
	for _, c := range list {
		require.Equal(t, c.GetExchanges(), c.GetExchangesAcknowledged()+c.GetExchangesLost())
		require.Zero(t, c.GetExchangesLost())
		require.Len(t, exchanges[c.GetWorkload().GetProcess().GetPid()], int(c.GetExchanges()))
		seen += c.GetBytesSeen()
		delete(exchanges, c.GetWorkload().GetProcess().GetPid())
	}
	require.Empty(t, exchanges, "each has its coverage")
	require.Positive(t, seen)
}
