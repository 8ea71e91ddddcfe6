package agent

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/sidelight/sidelight/agent/internal/budget"
	"github.com/sidelight/sidelight/agent/internal/probe"
	"github.com/sidelight/sidelight/agent/internal/selector"
	"github.com/sidelight/sidelight/internal/rpc"
	"github.com/sidelight/sidelight/internal/testkit"
	"github.com/sidelight/sidelight/internal/testkit/testpki"
	aggregatorv1 "github.com/sidelight/sidelight/proto/gen/sidelight/aggregator/v1"
	policyv1 "github.com/sidelight/sidelight/proto/gen/sidelight/policy/v1"
	statusv1 "github.com/sidelight/sidelight/proto/gen/sidelight/status/v1"
	trafficv1 "github.com/sidelight/sidelight/proto/gen/sidelight/traffic/v1"
)

// aggregator is the other end of the Mirror stream: it keeps what comes, and acknowledges it.
type aggregator struct {
	aggregatorv1.UnimplementedMirrorServiceServer

	mu        sync.Mutex
	exchanges []*trafficv1.Exchange
	// at is when each came.
	at        []time.Time
	marks     []uint64
	status    *statusv1.PartStatus
	hello     *aggregatorv1.Hello
	breakNext bool
	// forget keeps nothing of what comes; whole counts those that have request and answer.
	forget bool
	whole  int
	came   chan struct{}
}

func (a *aggregator) Mirror(stream aggregatorv1.MirrorService_MirrorServer) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	a.mu.Lock()
	a.hello = first.GetHello()
	a.mu.Unlock()
	welcome := &aggregatorv1.MirrorResponse{Message: &aggregatorv1.MirrorResponse_Policy{Policy: &policyv1.AgentPolicy{}}}
	if err := stream.Send(welcome); err != nil {
		return err
	}
	for {
		message, err := stream.Recv()
		if err != nil {
			return err
		}
		batch := message.GetBatch()
		a.mu.Lock()
		if s := message.GetStatus(); s != nil {
			a.status = s
		}
		if h := message.GetHeartbeat(); h != nil {
			a.marks = append(a.marks, h.GetWatchedUntilMonoNs())
		}
		if batch == nil {
			a.mu.Unlock()
			continue
		}
		broken := a.breakNext
		a.breakNext = false
		for _, e := range batch.GetExchanges() {
			if e.GetRequest() != nil && e.GetResponse() != nil {
				a.whole++
			}
		}
		if !broken && !a.forget {
			for _, e := range batch.GetExchanges() {
				e.Workload = batch.GetWorkloads()[e.GetWorkloadRef()-1]
				e.Connection = batch.GetConnections()[e.GetConnectionRef()-1]
				longTimes(e.GetTimes())
				a.exchanges = append(a.exchanges, e)
				a.at = append(a.at, time.Now())
			}
		}
		a.mu.Unlock()
		if broken {
			return io.ErrUnexpectedEOF
		}
		ack := &aggregatorv1.MirrorResponse{Message: &aggregatorv1.MirrorResponse_Ack{Ack: &aggregatorv1.Ack{Sequence: batch.GetSequence()}}}
		if err := stream.Send(ack); err != nil {
			return err
		}
		select {
		case a.came <- struct{}{}:
		default:
		}
	}
}

// of gives the revisions of the request with this target.
func (a *aggregator) of(target string) []*trafficv1.Exchange {
	a.mu.Lock()
	defer a.mu.Unlock()
	var list []*trafficv1.Exchange
	for _, e := range a.exchanges {
		if string(e.GetRequest().GetTarget()) == target {
			list = append(list, e)
		}
	}
	return list
}

// await waits until the request is closed and gives its revisions.
func (a *aggregator) await(t *testing.T, target string) []*trafficv1.Exchange {
	t.Helper()
	deadline := time.After(10 * time.Second)
	for {
		list := a.of(target)
		if n := len(list); n > 0 && list[n-1].GetPhase() == trafficv1.Phase_PHASE_CLOSED {
			return list
		}
		select {
		case <-deadline:
			t.Fatalf("%s: not closed after 10 s: %v", target, list)
		case <-a.came:
		}
	}
}

// site is a real nginx with an upstream, mirrored by a whole agent.
type site struct {
	// budget is what the agent may take; without one it may take all.
	budget     budget.Config
	aggregator *aggregator
	agent      *Agent
	address    string
	nginx      int
	filters    []selector.Filter
	// stop ends the agent and the aggregator; it may be called twice.
	stop func()
}

const nginxConf = `daemon off; worker_processes 1; pid %[1]s/pid; error_log %[1]s/error.log; events {}
http { access_log off; client_max_body_size 200m;
  client_body_temp_path %[1]s/b; proxy_temp_path %[1]s/p; fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;
  sendfile on; upstream app { server %[2]s; keepalive 4; }
  server { listen %[3]s; root %[1]s/www;
    location /static/ { }
    location /drop { return 444; }
    location / { proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_request_buffering off; } } }
`

// findings are asked for once: each time loads all programs.
var findings = sync.OnceValue(probe.Check)

func requireBPF(t testing.TB) {
	t.Helper()
	testkit.RequireRoot(t)
	for _, f := range findings() {
		if !f.OK {
			testkit.Skip(t, "BPF: "+f.Name+": "+f.Detail)
		}
	}
}

func newSite(t *testing.T) *site {
	t.Helper()
	requireBPF(t)
	binary, err := exec.LookPath("/usr/sbin/nginx")
	if err != nil {
		testkit.Skip(t, "no nginx: apt-get install nginx-light")
	}
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		switch r.URL.Path {
		case "/missing":
			w.WriteHeader(http.StatusNotFound)
		case "/slow":
			<-time.After(900 * time.Millisecond)
		case "/later":
			<-time.After(3 * time.Second)
		case "/hang":
			<-r.Context().Done()
		case "/die":
			panic(http.ErrAbortHandler)
		case "/events", "/many-events":
			events(w, r)
		case "/big":
			_, _ = w.Write(bytes.Repeat([]byte("x"), 200_000))
		}
		fmt.Fprint(w, "hello")
	}))
	t.Cleanup(upstream.Close)
	free, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := free.Addr().String()
	require.NoError(t, free.Close())

	dir := t.TempDir()
	// nginx's workers are another user.
	require.NoError(t, os.Chmod(filepath.Dir(dir), 0o755))
	require.NoError(t, os.Chmod(dir, 0o755))
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "www/static"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "www/static/file"), bytes.Repeat([]byte("s"), 30_000), 0o644))
	conf := filepath.Join(dir, "conf")
	require.NoError(t, os.WriteFile(conf, fmt.Appendf(nil, nginxConf, dir, strings.TrimPrefix(upstream.URL, "http://"), address), 0o644))
	nginx := exec.Command(binary, "-p", dir, "-c", conf, "-e", filepath.Join(dir, "error.log"))
	nginx.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	nginx.Stderr = t.Output()
	require.NoError(t, nginx.Start())
	t.Cleanup(func() { _ = syscall.Kill(-nginx.Process.Pid, syscall.SIGKILL); _ = nginx.Wait() })
	require.Eventually(t, func() bool {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	}, 10*time.Second, 10*time.Millisecond)

	s := &site{aggregator: &aggregator{came: make(chan struct{}, 1)}, address: address, nginx: nginx.Process.Pid}
	s.filters = []selector.Filter{{Executable: "nginx", Port: portOf(t, address)}}
	s.run(t)
	require.Eventually(t, func() bool { return s.agent.Mirrored() >= 2 }, 10*time.Second, 10*time.Millisecond)
	return s
}

func portOf(t testing.TB, address string) uint16 {
	t.Helper()
	parsed, err := netip.ParseAddrPort(address)
	require.NoError(t, err)
	return parsed.Port()
}

// run starts an aggregator and an agent, and waits until it mirrors something.
func (s *site) run(t testing.TB) {
	t.Helper()
	s.runWithout(t)
	require.Eventually(t, func() bool { return s.agent.Mirrored() >= 1 }, time.Minute, 10*time.Millisecond)
}

func (s *site) runWithout(t testing.TB) {
	t.Helper()
	pki := testpki.TLS(t, "agent", "aggregator")
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := rpc.NewServer(rpc.ServerConfig{}, rpc.ServerDeps{
		Log: testkit.Quiet(), TLS: pki["aggregator"], Listener: listener,
		Rules:    []rpc.Rule{{Method: aggregatorv1.MirrorService_Mirror_FullMethodName, Allow: []rpc.Identity{"agent"}}},
		Register: func(g *grpc.Server) { aggregatorv1.RegisterMirrorServiceServer(g, s.aggregator) },
	})
	cfg := DefaultConfig()
	cfg.Aggregator.Address = listener.Addr().String()
	cfg.Mirror.Filters = s.filters
	// The test's own work is this process's too.
	cfg.Budget.CPU = 0
	if s.budget.CPU > 0 {
		cfg.Budget = s.budget
	}
	s.agent, err = New(cfg, Deps{Log: testkit.Quiet(), TLS: pki["agent"]})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 2)
	go func() { ended <- s.agent.Run(ctx) }()
	serverCtx, stopServer := context.WithCancel(context.Background())
	go func() { ended <- server.Run(serverCtx) }()
	s.stop = sync.OnceFunc(func() {
		cancel()
		require.NoError(t, <-ended)
		stopServer()
		require.NoError(t, <-ended)
	})
	t.Cleanup(s.stop)
	require.Eventually(t, func() bool { return s.agent.Ready() == nil }, 3*time.Minute, 10*time.Millisecond)
}

// send writes raw requests on one connection and gives the status of each answer.
func (s *site) send(t *testing.T, requests ...string) []int {
	t.Helper()
	conn, err := net.Dial("tcp", s.address)
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(10*time.Second)))
	reader := bufio.NewReader(conn)
	var list []int
	for _, request := range requests {
		_, err := io.WriteString(conn, request)
		require.NoError(t, err)
		method, _, _ := strings.Cut(request, " ")
		answer, err := http.ReadResponse(reader, &http.Request{Method: method})
		require.NoError(t, err)
		_, err = io.Copy(io.Discard, answer.Body)
		require.NoError(t, err)
		list = append(list, answer.StatusCode)
	}
	return list
}

func body(e *trafficv1.Exchange) string {
	var b strings.Builder
	for _, segment := range e.GetRequest().GetBody() {
		b.Write(segment.GetData())
	}
	return b.String()
}

func header(e *trafficv1.Exchange, name string) string {
	for _, h := range e.GetRequest().GetHeaders() {
		if string(h.GetName()) == name {
			return string(h.GetValue())
		}
	}
	return ""
}

func TestRealNginx(t *testing.T) {
	s := newSite(t)

	t.Run("keep-alive", func(t *testing.T) {
		statuses := s.send(t, "GET /one HTTP/1.1\r\nHost: a\r\nX-Kept: As It Is \r\n\r\n", "GET /missing HTTP/1.1\r\nHost: a\r\n\r\n", "GET /three HTTP/1.1\r\nHost: a\r\n\r\n")
		require.Equal(t, []int{200, 404, 200}, statuses)
		for target, status := range map[string]uint32{"/one": 200, "/missing": 404, "/three": 200} {
			list := s.aggregator.await(t, target)
			require.Len(t, list, 1, "a quick answer makes one revision")
			require.Equal(t, status, list[0].GetResponse().GetStatus())
			require.Equal(t, trafficv1.CloseReason_CLOSE_REASON_ANSWERED, list[0].GetCloseReason())
			require.True(t, list[0].GetRequest().GetBodyComplete())
			require.False(t, list[0].GetResumed())
			require.Equal(t, "nginx", list[0].GetWorkload().GetService())
			require.Empty(t, list[0].GetGaps())
		}
		require.Equal(t, "As It Is", header(s.aggregator.of("/one")[0], "X-Kept"))
	})
	t.Run("content-length", func(t *testing.T) {
		payload := strings.Repeat("0123456789", 1000)
		s.send(t, fmt.Sprintf("POST /sized HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", len(payload), payload))
		require.Equal(t, payload, body(s.aggregator.await(t, "/sized")[0]))
	})
	t.Run("chunked", func(t *testing.T) {
		s.send(t, "POST /chunked HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;x=y\r\n world\r\n0\r\n\r\n")
		require.Equal(t, "hello world", body(s.aggregator.await(t, "/chunked")[0]))
	})
	t.Run("static file", func(t *testing.T) {
		s.send(t, "GET /static/file HTTP/1.1\r\nHost: a\r\n\r\n", "GET /static/after HTTP/1.1\r\nHost: a\r\n\r\n")
		require.Equal(t, uint64(30_000), s.aggregator.await(t, "/static/file")[0].GetResponse().GetBodySize())
		require.Equal(t, uint32(404), s.aggregator.await(t, "/static/after")[0].GetResponse().GetStatus())
	})
	t.Run("large answer in chunks", func(t *testing.T) {
		s.send(t, "GET /big HTTP/1.1\r\nHost: a\r\n\r\n", "GET /after-big HTTP/1.1\r\nHost: a\r\n\r\n")
		require.Equal(t, uint32(200), s.aggregator.await(t, "/big")[0].GetResponse().GetStatus())
		require.Equal(t, uint32(200), s.aggregator.await(t, "/after-big")[0].GetResponse().GetStatus())
	})
	t.Run("slow answer", func(t *testing.T) {
		s.send(t, "GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
		list := s.aggregator.await(t, "/slow")
		require.Len(t, list, 2)
		require.Equal(t, trafficv1.Phase_PHASE_REQUEST, list[0].GetPhase())
		require.Nil(t, list[0].GetResponse())
		require.Equal(t, uint32(200), list[1].GetResponse().GetStatus())
		require.Equal(t, uint32(1), list[1].GetContentRevision())
		require.Empty(t, list[1].GetRequest().GetHeaders(), "what did not change is not repeated")
		require.Equal(t, list[0].GetId(), list[1].GetId())
	})
	t.Run("body over its budget", func(t *testing.T) {
		payload := strings.Repeat("x", 1<<20)
		s.send(t, fmt.Sprintf("POST /huge HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", len(payload), payload), "GET /after-huge HTTP/1.1\r\nHost: a\r\n\r\n")
		list := s.aggregator.await(t, "/huge")
		last := list[len(list)-1]
		require.Equal(t, uint64(1<<20), last.GetRequest().GetBodySize())
		require.NotEmpty(t, last.GetGaps())
		require.Equal(t, trafficv1.GapReason_GAP_REASON_BUDGET, last.GetGaps()[0].GetReason())
		require.Equal(t, uint32(200), s.aggregator.await(t, "/after-huge")[0].GetResponse().GetStatus(), "the next request follows from the length")
	})
	t.Run("rubbish", func(t *testing.T) {
		conn, err := net.Dial("tcp", s.address)
		require.NoError(t, err)
		_, err = conn.Write([]byte("\x16\x03\x01\x02\x00 no request at all \r\n\r\n"))
		require.NoError(t, err)
		_, _ = io.Copy(io.Discard, conn)
		require.NoError(t, conn.Close())
		s.send(t, "GET /after-rubbish HTTP/1.1\r\nHost: a\r\n\r\n")
		require.Len(t, s.aggregator.await(t, "/after-rubbish"), 1)
	})
	t.Run("the stream breaks", func(t *testing.T) {
		s.aggregator.mu.Lock()
		s.aggregator.breakNext = true
		s.aggregator.mu.Unlock()
		for i := range 20 {
			s.send(t, fmt.Sprintf("GET /broken/%d HTTP/1.1\r\nHost: a\r\n\r\n", i))
		}
		for i := range 20 {
			require.Len(t, s.aggregator.await(t, fmt.Sprintf("/broken/%d", i)), 1)
		}
	})
	// nginx's requests to its upstream carry the same targets: each was seen once, so they made no exchanges.
	s.aggregator.mu.Lock()
	defer s.aggregator.mu.Unlock()
	seen := map[string]int{}
	for _, e := range s.aggregator.exchanges {
		if e.GetPhase() == trafficv1.Phase_PHASE_CLOSED {
			seen[string(e.GetRequest().GetTarget())]++
		}
	}
	for target, n := range seen {
		require.Equal(t, 1, n, target)
	}
}

func TestNothingSelectedNothingAttached(t *testing.T) {
	pki := testpki.TLS(t, "agent")
	cfg := DefaultConfig()
	cfg.Aggregator.Address = "127.0.0.1:1"
	a, err := New(cfg, Deps{Log: testkit.Quiet(), TLS: pki["agent"]})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	require.Eventually(t, func() bool { return a.scanned.Load() }, 10*time.Second, 10*time.Millisecond)
	require.False(t, a.Attached())
	require.ErrorContains(t, a.Ready(), "no stream to the aggregator")
	cancel()
	require.NoError(t, <-ended)
}

// longTimes does what the aggregator does, on the clock that began with the host.
func longTimes(t *trafficv1.Times) {
	now, mono := time.Now(), probe.Monotonic()
	at := func(ns uint64) *timestamppb.Timestamp {
		return timestamppb.New(now.Add(time.Duration(int64(t.GetRequestStartMonoNs() + ns - mono))))
	}
	t.RequestStart = at(0)
	if ns := t.GetRequestTookNs(); ns > 0 {
		t.RequestEnd = at(ns)
	}
	if ns := t.GetResponseAfterNs(); ns > 0 {
		t.ResponseStart = at(ns)
	}
}
