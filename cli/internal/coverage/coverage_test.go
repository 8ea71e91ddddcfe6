package coverage

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/sidelight/sidelight/cli/internal/exit"
	"github.com/sidelight/sidelight/internal/rpc"
	"github.com/sidelight/sidelight/internal/testkit"
	"github.com/sidelight/sidelight/internal/testkit/hostile"
	"github.com/sidelight/sidelight/internal/testkit/testpki"
	cloudsyncv1 "github.com/sidelight/sidelight/proto/gen/sidelight/cloudsync/v1"
	statusv1 "github.com/sidelight/sidelight/proto/gen/sidelight/status/v1"
	trafficv1 "github.com/sidelight/sidelight/proto/gen/sidelight/traffic/v1"
)

// The launcher's package keeps a thread of its own from the start.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m, goleak.IgnoreCurrent()) }

var noon = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

func agent() *statusv1.PartStatus {
	return &statusv1.PartStatus{
		Part: "agent", Instance: "host-1", Cluster: "c1", Ready: true, ReportedAt: timestamppb.New(noon.Add(-4 * time.Second)),
		CaptureBackend: "sockets", Shedding: "bodies beyond 4 KiB: the agent used 31 % of a core",
		Coverage: []*statusv1.Coverage{
			{
				Workload: &trafficv1.Workload{Node: "host-1", Service: "shop", Process: &trafficv1.Process{Pid: 4711, Executable: "/usr/sbin/nginx"}},
				Mirrored: true, Why: "selected by executable nginx", BytesSeen: 12_345_678, BytesSkipped: 999, BytesLost: 0,
				Exchanges: 1200, ExchangesAcknowledged: 1190, ExchangesLost: 3,
				Tls: []*statusv1.TlsCoverage{
					{Stack: "openssl", Version: "3.0.17", Library: "/usr/lib/x86_64-linux-gnu/libssl.so.3", Hooked: true, Site: "ssl_read_internal, ssl_write_internal"},
					{Stack: "openssl", Version: "3.5+", Library: "/opt/resty/libssl.so.3", Hooked: true, Site: "SSL_read, SSL_write", Why: "it has no SSL_read_ex to compare with SSL_read"},
					{Stack: "openssl", Library: "/lib/libssl.so.1.1", Why: "it is a 32-bit library: only 64-bit ones are hooked"},
				},
			},
			{
				Workload: &trafficv1.Workload{Namespace: "pay", Pod: "ledger-0", Container: "app"}, Why: "no filter selects it",
				IoUring: true, BytesIoUring: 4_200_000_000,
			},
			{Workload: &trafficv1.Workload{Service: "ring", Process: &trafficv1.Process{Pid: 1, Executable: "/bin/a b"}}, Mirrored: true, IoUring: true},
		},
	}
}

// cloudsync answers with the parts given, or refuses.
type fake struct {
	cloudsyncv1.UnimplementedStatusServiceServer
	parts   []*statusv1.PartStatus
	refusal error
}

func (f *fake) ListStatus(context.Context, *cloudsyncv1.ListStatusRequest) (*cloudsyncv1.ListStatusResponse, error) {
	return &cloudsyncv1.ListStatusResponse{Parts: f.parts}, f.refusal
}

// serve gives the flags to reach it.
func serve(t *testing.T, f *fake) []string {
	t.Helper()
	ca := testpki.New(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := rpc.NewServer(rpc.ServerConfig{}, rpc.ServerDeps{
		Log: testkit.Quiet(), TLS: ca.Source(t, "cloudsync"), Listener: listener,
		Register: func(g *grpc.Server) { cloudsyncv1.RegisterStatusServiceServer(g, f) },
		Rules:    []rpc.Rule{{Method: cloudsyncv1.StatusService_ListStatus_FullMethodName, Allow: []rpc.Identity{"operator"}}},
	})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx) }()
	t.Cleanup(func() { cancel(); require.NoError(t, <-ended) })
	files := ca.Files(t, "operator")
	return []string{"--cert", files.Cert, "--key", files.Key, "--ca", files.CA, "--cloudsync", listener.Addr().String()}
}

func run(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	cmd := Command()
	cmd.SetArgs(args)
	cmd.SetOut(&out)
	cmd.SetErr(io.Discard)
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	err := cmd.ExecuteContext(t.Context())
	return out.String(), err
}

func shown(t *testing.T, p printer, agent *statusv1.PartStatus) string {
	t.Helper()
	var out bytes.Buffer
	require.NoError(t, p(&out, agent))
	return out.String()
}

func TestPretty(t *testing.T) {
	t.Parallel()
	at := pretty(func() time.Time { return noon })
	testkit.Golden(t, filepath.Join("testdata", "pretty.golden"), []byte(shown(t, at, agent())))
	empty := &statusv1.PartStatus{Part: "agent", Instance: "host-2", NotReadyBecause: "no BPF"}
	require.Equal(t, "agent host-2, not ready: no BPF\n  nothing is selected here\n", shown(t, at, empty))
}

func TestJSON(t *testing.T) {
	t.Parallel()
	testkit.Golden(t, filepath.Join("testdata", "json.golden"), []byte(shown(t, asJSON, agent())))
	require.Contains(t, shown(t, asJSON, &statusv1.PartStatus{}), `"coverage":[]`)
}

func TestSize(t *testing.T) {
	t.Parallel()
	for n, want := range map[uint64]string{
		0: "0", 999: "999", 1000: "1.0k", 9949: "9.9k", 9950: "10k", 999_499: "999k", 999_500: "1.0M", 12_345_678: "12M",
		4_200_000_000: "4.2G", 1<<64 - 1: "18E",
	} {
		require.Equal(t, want, size(n), "%d", n)
	}
}

func TestItAsksAnotherHost(t *testing.T) {
	t.Parallel()
	args := serve(t, &fake{parts: []*statusv1.PartStatus{{Part: "aggregator", Instance: "other"}, agent(), {Part: "agent", Instance: "host-2"}}})
	out, err := run(t, args...)
	require.NoError(t, err)
	require.Contains(t, out, "agent host-1, capture by sockets, reported ")
	require.Contains(t, out, "agent host-2, not ready")
	require.NotContains(t, out, "other")
	out, err = run(t, append(args, "--output", "json")...)
	require.NoError(t, err)
	require.Equal(t, 2, strings.Count(out, "\n"))
	for text := range strings.Lines(out) {
		var l line
		require.NoError(t, json.Unmarshal([]byte(text), &l))
	}
}

func TestFailures(t *testing.T) {
	t.Parallel()
	_, err := run(t, serve(t, &fake{})...)
	require.EqualError(t, err, "coverage: no agent has reported yet: they do so every 10 s")
	_, err = run(t, serve(t, &fake{refusal: status.Error(codes.FailedPrecondition, "I \x1b[31mstop")})...)
	require.EqualError(t, err, `coverage: cloudsync: FailedPrecondition: I \x1b[31mstop`)
	_, err = run(t, "--data-dir", t.TempDir())
	require.Error(t, err)
	require.NotEqual(t, 2, exit.Code(err))
	for _, args := range [][]string{{"--output", "xml"}, {"--cloudsync", "here"}, {"--cert", "a"}, {"--cert", "a", "--key", "b", "--ca", "c"}, {"now"}} {
		_, err := run(t, args...)
		require.Error(t, err, "%v", args)
		if args[0] != "now" {
			require.Equal(t, 2, exit.Code(err), "%v: %v", args, err)
		}
	}
}

// Names come from containers.
func TestHostileTextDoesNotReachTheTerminal(t *testing.T) {
	t.Parallel()
	for i, evil := range append(hostile.Corpus(), "\U000E0041tag", "a\nagent host-9", "\xff\xfe") {
		a := &statusv1.PartStatus{
			Part: evil, Instance: evil, Cluster: evil, Shedding: evil, NotReadyBecause: evil,
			Coverage: []*statusv1.Coverage{
				{
					Workload: &trafficv1.Workload{Service: evil, Process: &trafficv1.Process{Executable: evil}}, Why: evil,
					Tls: []*statusv1.TlsCoverage{
						{Stack: evil, Library: evil, Version: evil, Site: evil, Why: evil},
						{Stack: evil, Library: evil, Version: evil, Site: evil, Why: evil, Hooked: true},
					},
				},
				{Workload: &trafficv1.Workload{Namespace: evil, Pod: evil + "p", Container: evil}},
			},
		}
		people := shown(t, pretty(time.Now), a)
		require.LessOrEqual(t, strings.Count(people, "\n"), 7, "%d: %q", i, people)
		programs := shown(t, asJSON, a)
		require.Equal(t, 1, strings.Count(programs, "\n"), "%d", i)
		for _, out := range []string{people, programs} {
			require.True(t, utf8.ValidString(out))
			for _, r := range out {
				require.True(t, r == '\n' || r == ' ' || unicode.IsPrint(r) && !unicode.Is(unicode.Cf, r), "%d: it shows %U", i, r)
			}
		}
		var l line
		require.NoError(t, json.Unmarshal([]byte(programs), &l))
		if utf8.ValidString(evil) {
			require.Equal(t, evil, l.Instance, fmt.Sprint(i))
		}
	}
}
