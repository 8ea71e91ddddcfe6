package observe

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sidelight/sidelight/cli/internal/exit"
	"github.com/sidelight/sidelight/internal/pki"
	"github.com/sidelight/sidelight/internal/rpc"
	"github.com/sidelight/sidelight/internal/testkit"
	"github.com/sidelight/sidelight/internal/testkit/hostile"
	"github.com/sidelight/sidelight/internal/testkit/testpki"
	aggregatorv1 "github.com/sidelight/sidelight/proto/gen/sidelight/aggregator/v1"
	processorv1 "github.com/sidelight/sidelight/proto/gen/sidelight/processor/v1"

	"github.com/sidelight/sidelight/standalone"
)

// fake is an aggregator's tail: one reader at a time, who gets what the test sends.
type fake struct {
	aggregatorv1.UnimplementedTailServiceServer
	address string
	asked   chan *aggregatorv1.TailRequest
	send    chan *aggregatorv1.TailResponse
	stopped chan struct{}
	stop    func()
}

func (f *fake) Tail(req *aggregatorv1.TailRequest, out grpc.ServerStreamingServer[aggregatorv1.TailResponse]) error {
	if strings.Contains(req.GetFilter(), "refuse-me") {
		return status.Error(codes.InvalidArgument, "I know \x1b[31mno such filter")
	}
	if strings.Contains(req.GetFilter(), "too-many") {
		return status.Error(codes.ResourceExhausted, "\x1b[31mtoo many readers")
	}
	if err := out.SendHeader(nil); err != nil {
		return err
	}
	f.asked <- req
	for {
		select {
		case <-out.Context().Done():
			return nil
		case <-f.stopped:
			return status.Error(codes.Unavailable, "the aggregator \x1b[31mstops")
		case response := <-f.send:
			if err := out.Send(response); err != nil {
				return err
			}
		}
	}
}

// aggregator serves at the address, "127.0.0.1:0" for any.
func aggregator(t *testing.T, ca *testpki.CA, address string) *fake {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	require.NoError(t, err)
	f := &fake{
		address: listener.Addr().String(), asked: make(chan *aggregatorv1.TailRequest, 8),
		send: make(chan *aggregatorv1.TailResponse), stopped: make(chan struct{}),
	}
	server := rpc.NewServer(rpc.ServerConfig{}, rpc.ServerDeps{
		Log: testkit.Quiet(), TLS: ca.Source(t, "aggregator"), Listener: listener,
		Register: func(g *grpc.Server) { aggregatorv1.RegisterTailServiceServer(g, f) },
		Rules:    []rpc.Rule{{Method: aggregatorv1.TailService_Tail_FullMethodName, Allow: []rpc.Identity{"operator"}}},
	})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx) }()
	f.stop = sync.OnceFunc(func() { close(f.stopped); cancel(); require.NoError(t, <-ended) })
	t.Cleanup(f.stop)
	return f
}

// screen is a terminal whose text can be waited for.
type screen struct {
	mu      sync.Mutex
	text    bytes.Buffer
	changed chan struct{}
}

func newScreen() *screen { return &screen{changed: make(chan struct{}, 1)} }

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case s.changed <- struct{}{}:
	default:
	}
	return s.text.Write(p)
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

func (s *screen) await(t *testing.T, text string) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	for !strings.Contains(s.String(), text) {
		select {
		case <-s.changed:
		case <-deadline:
			t.Fatalf("it never showed %q, but:\n%s", text, s.String())
		}
	}
}

type session struct {
	out, notes *screen
	cancel     context.CancelFunc
	ended      chan error
}

// observe runs the verb; interrupt is its Ctrl-C.
func observe(t *testing.T, args ...string) *session {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	s := &session{out: newScreen(), notes: newScreen(), cancel: cancel, ended: make(chan error, 1)}
	cmd := Command()
	cmd.SetArgs(args)
	cmd.SetOut(s.out)
	cmd.SetErr(s.notes)
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	done := make(chan struct{})
	go func() { defer close(done); s.ended <- cmd.ExecuteContext(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return s
}

func (s *session) interrupt(t *testing.T) {
	t.Helper()
	s.cancel()
	require.NoError(t, s.end(t))
}

// end waits for the verb to end by itself.
func (s *session) end(t *testing.T) error {
	t.Helper()
	select {
	case err := <-s.ended:
		return err
	case <-time.After(30 * time.Second):
		t.Fatalf("it does not end:\n%s", s.notes)
		return nil
	}
}

// question waits for a reader.
func (f *fake) question(t *testing.T) *aggregatorv1.TailRequest {
	t.Helper()
	select {
	case request := <-f.asked:
		return request
	case <-time.After(30 * time.Second):
		t.Fatal("nobody asks")
		return nil
	}
}

func operatorFlags(t *testing.T, ca *testpki.CA, who string, aggregators ...*fake) []string {
	t.Helper()
	files := ca.Files(t, who)
	args := []string{"--cert", files.Cert, "--key", files.Key, "--ca", files.CA}
	for _, f := range aggregators {
		args = append(args, "--aggregator", f.address)
	}
	return args
}

func response(n byte, dropped uint64) *aggregatorv1.TailResponse {
	s := some()[n%2]
	s.ExchangeId = id(n)
	s.Request.Path = fmt.Sprintf("/number-%d.", n)
	return &aggregatorv1.TailResponse{Summary: s, Dropped: dropped}
}

func TestTwoAggregatorsAreOneView(t *testing.T) {
	t.Parallel()
	ca := testpki.New(t)
	a, b := aggregator(t, ca, "127.0.0.1:0"), aggregator(t, ca, "127.0.0.1:0")
	s := observe(t, append(operatorFlags(t, ca, "operator", a, b), "--filter", "service:shop OR type:sqli", "--attacks")...)
	for _, f := range []*fake{a, b} {
		request := f.question(t)
		require.Equal(t, "service:shop OR type:sqli", request.GetFilter())
		require.True(t, request.GetAttacksOnly())
	}
	s.notes.await(t, "watching aggregator "+a.address)
	s.notes.await(t, "watching aggregator "+b.address)
	a.send <- response(1, 0)
	s.out.await(t, "/number-1.")
	b.send <- response(2, 0)
	s.out.await(t, "/number-2.")
	// The agent sent it again, to another aggregator.
	b.send <- response(1, 40)
	b.send <- response(3, 2)
	s.out.await(t, "/number-3.")
	s.notes.await(t, "dropped ")
	require.Equal(t, 1, strings.Count(s.out.String(), "/number-1."))
	require.Contains(t, s.out.String(), "  sqli@query.q  xss@body.json.user.name\n")
	s.interrupt(t)
	require.True(t, strings.HasSuffix(s.notes.String(), "seen 3, attacks 2, dropped 42\n"), "%s", s.notes)
}

func TestItComesBack(t *testing.T) {
	t.Parallel()
	ca := testpki.New(t)
	a, b := aggregator(t, ca, "127.0.0.1:0"), aggregator(t, ca, "127.0.0.1:0")
	s := observe(t, operatorFlags(t, ca, "operator", a, b)...)
	a.question(t)
	b.question(t)
	a.stop()
	s.notes.await(t, "aggregator "+a.address+" is away")
	b.send <- response(1, 0)
	s.out.await(t, "/number-1.")
	a = aggregator(t, ca, a.address)
	a.question(t)
	s.notes.await(t, "aggregator "+a.address+" is back: what passed there for ")
	a.send <- response(2, 0)
	s.out.await(t, "/number-2.")
	s.interrupt(t)
	requireHarmless(t, s.notes.String())
	require.Contains(t, s.notes.String(), "seen 2, attacks 1, dropped 0\n")
}

func TestJSONIsOneObjectPerLine(t *testing.T) {
	t.Parallel()
	ca := testpki.New(t)
	a := aggregator(t, ca, "127.0.0.1:0")
	s := observe(t, append(operatorFlags(t, ca, "operator", a), "--output", "json")...)
	a.question(t)
	a.send <- response(1, 7)
	a.send <- response(2, 0)
	s.out.await(t, "/number-2.")
	s.interrupt(t)
	lines := strings.Split(strings.TrimSpace(s.out.String()), "\n")
	require.Len(t, lines, 2, "nothing but summaries")
	for _, text := range lines {
		var l line
		require.NoError(t, json.Unmarshal([]byte(text), &l))
	}
	require.Contains(t, s.notes.String(), "dropped 7 summaries")
}

func TestHostileTextDoesNotReachTheTerminal(t *testing.T) {
	t.Parallel()
	for _, output := range []string{"pretty", "json"} {
		ca := testpki.New(t)
		a := aggregator(t, ca, "127.0.0.1:0")
		s := observe(t, append(operatorFlags(t, ca, "operator", a), "--output", output)...)
		a.question(t)
		for i, text := range hostile.Corpus() {
			// Strings of messages are UTF-8.
			a.send <- &aggregatorv1.TailResponse{Summary: hostileSummary(i, strings.ToValidUTF8(text, "\uFFFD"))}
		}
		a.send <- response(200, 0)
		s.out.await(t, "/number-200.")
		s.interrupt(t)
		requireHarmless(t, s.out.String())
		requireHarmless(t, s.notes.String())
		require.Equal(t, len(hostile.Corpus())+1, strings.Count(s.out.String(), "\n"))
	}
}

func TestWhoMayNotIsTold(t *testing.T) {
	t.Parallel()
	ca := testpki.New(t)
	a := aggregator(t, ca, "127.0.0.1:0")
	s := observe(t, operatorFlags(t, ca, "processor", a)...)
	err := s.end(t)
	require.ErrorContains(t, err, "may not call")
	require.Equal(t, 1, exit.Code(err))

	s = observe(t, append(operatorFlags(t, ca, "operator", a), "--filter", "refuse-me")...)
	require.EqualError(t, s.end(t), "observe: aggregator "+a.address+` refused: I know \x1b[31mno such filter`)

	s = observe(t, append(operatorFlags(t, ca, "operator", a), "--filter", "too-many")...)
	s.notes.await(t, `is away, trying again until it is back: \x1b[31mtoo many readers`)
	s.interrupt(t)
	requireHarmless(t, s.notes.String())

	// Of another authority: nobody to believe, now or later.
	s = observe(t, operatorFlags(t, testpki.New(t), "operator", a)...)
	s.notes.await(t, "is away")
	s.notes.await(t, "certificate")
	s.interrupt(t)
}

func TestWrongUse(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		want string
		code int
		args []string
	}{
		{`observe: --filter: column 1: unknown key "typ"; want one of type,`, 2, []string{"--filter", "typ:sqli"}},
		{`--output "xml": want pretty or json`, 2, []string{"--output", "xml"}},
		{`--aggregator "shop": want host:port`, 2, []string{"--aggregator", "shop"}},
		{"--cert, --key and --ca go together", 2, []string{"--cert", "a", "--aggregator", "a:1"}},
		{"name --aggregator too", 2, []string{"--cert", "a", "--key", "b", "--ca", "c"}},
		{"reading TLS files", 1, []string{"--cert", "none", "--key", "none", "--ca", "none", "--aggregator", "127.0.0.1:1"}},
		{"is `sidelight run` up", 1, []string{"--data-dir", t.TempDir()}},
	} {
		err := observe(t, c.args...).end(t)
		require.ErrorContains(t, err, c.want)
		require.Equal(t, c.code, exit.Code(err), "%v", err)
	}
	require.Contains(t, Command().Long, "status:     404, 4xx, 400..499, >=500, <400 or none")
}

// launcher answers as the operator socket of a running Sidelight does.
func launcher(t *testing.T, dataDir string, ca *testpki.CA, address string) (stop func()) {
	t.Helper()
	certificate, key, err := ca.Issue(pki.LeafRequest{Identity: "ns/test/sa/operator", Validity: time.Hour})
	require.NoError(t, err)
	listener, err := net.Listen("unix", filepath.Join(dataDir, "run", "operator.sock"))
	require.NoError(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_ = json.NewEncoder(conn).Encode(standalone.Credentials{
				Certificate: certificate, Key: key, CA: ca.BundlePEM(), Addresses: map[string]string{"aggregator": address},
			})
			_ = conn.Close()
		}
	}()
	stop = sync.OnceFunc(func() { _ = listener.Close(); <-done })
	t.Cleanup(stop)
	return stop
}

// The name is short, since it is part of the socket's path.
func TestNextLife(t *testing.T) {
	t.Parallel()
	dataDir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dataDir, "run"), 0o700))

	ca := testpki.New(t)
	first := aggregator(t, ca, "127.0.0.1:0")
	stop := launcher(t, dataDir, ca, first.address)
	s := observe(t, "--data-dir", dataDir)
	first.question(t)
	first.send <- response(1, 0)
	s.out.await(t, "/number-1.")

	// All of it is new: authority, certificate, port.
	stop()
	ca = testpki.New(t)
	second := aggregator(t, ca, "127.0.0.1:0")
	launcher(t, dataDir, ca, second.address)
	first.stop()
	second.question(t)
	second.send <- response(2, 0)
	s.out.await(t, "/number-2.")
	s.interrupt(t)
}

// broken is a pipe whose reader left.
type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("broken pipe") }

func TestItEndsWhenNobodyReads(t *testing.T) {
	t.Parallel()
	o := newObserver(broken{}, newScreen(), asJSON{})
	err := o.run(t.Context(), func(ctx context.Context, events chan<- event) error {
		for n := byte(0); ; n++ {
			select {
			case events <- event{response: &aggregatorv1.TailResponse{Summary: &processorv1.Summary{ExchangeId: id(n)}}}:
			case <-ctx.Done():
				return nil
			}
		}
	})
	require.ErrorContains(t, err, "broken pipe")
}
