package cloudsync

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	cloudsyncv1 "github.com/sidelight/sidelight/proto/gen/sidelight/cloudsync/v1"
	consolev1 "github.com/sidelight/sidelight/proto/gen/sidelight/console/v1"
	detectionv1 "github.com/sidelight/sidelight/proto/gen/sidelight/detection/v1"
	inventoryv1 "github.com/sidelight/sidelight/proto/gen/sidelight/inventory/v1"
	statusv1 "github.com/sidelight/sidelight/proto/gen/sidelight/status/v1"

	"github.com/sidelight/sidelight/internal/rpc"
	"github.com/sidelight/sidelight/internal/testkit"
	"github.com/sidelight/sidelight/internal/testkit/testpki"
	"github.com/sidelight/sidelight/internal/tlsreload"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type rig struct {
	service *Service
	ca      *testpki.CA
	cfg     Config
	stop    func()
}

// start runs the service on a data directory; the same directory may be started again.
func start(t testing.TB, ca *testpki.CA, change func(*Config)) *rig {
	t.Helper()
	r := &rig{ca: ca, cfg: DefaultConfig()}
	r.cfg.Cluster, r.cfg.Instance = "east", "cloudsync-0"
	change(&r.cfg)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	r.service, err = New(r.cfg, Deps{Log: testkit.Quiet(), TLS: r.source(t, "cloudsync"), Listener: l})
	require.NoError(t, err)
	require.Error(t, r.service.Ready(), "before Run there is no journal")
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.service.Run(ctx) }()
	r.stop = sync.OnceFunc(func() { cancel(); require.NoError(t, <-done) })
	t.Cleanup(r.stop)
	require.Eventually(t, func() bool { return r.service.Ready() == nil }, 10*time.Second, time.Millisecond)
	return r
}

func (r *rig) source(t testing.TB, part string) *tlsreload.Source {
	t.Helper()
	return tlsreload.New(r.ca.Files(t, part), tlsreload.Deps{Log: testkit.Quiet()})
}

func (r *rig) dial(t testing.TB, as string) *grpc.ClientConn {
	t.Helper()
	conn, err := rpc.Dial(rpc.ClientConfig{Address: r.service.Addr()}, rpc.ClientDeps{TLS: r.source(t, as), Server: "cloudsync"})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, conn.Close()) })
	return conn
}

func (r *rig) commit(t testing.TB, from, to int) {
	t.Helper()
	client := cloudsyncv1.NewJournalServiceClient(r.dial(t, "processor"))
	for n := from; n < to; n++ {
		_, err := client.Commit(t.Context(), &cloudsyncv1.CommitRequest{Hits: []*detectionv1.Hit{{
			ExchangeId: binary.BigEndian.AppendUint64(make([]byte, 8), uint64(n)), Revision: 1, Type: "sqli", Point: "query.q",
			Severity: detectionv1.Severity_SEVERITY_HIGH, PayloadHash: []byte("p"), ObservedAt: timestamppb.Now(), Cluster: "spoofed",
			Request: &detectionv1.RequestSummary{Method: "GET", Host: "shop.example", Path: fmt.Sprintf("/%s", strings.Repeat("x", n+1)), MaskedRequest: []byte("GET")},
		}}})
		require.NoError(t, err)
	}
}

func TestCommitAndList(t *testing.T) {
	t.Parallel()
	r := start(t, testpki.New(t), func(c *Config) { c.DataDir = t.TempDir() })
	r.commit(t, 0, 5)
	client := cloudsyncv1.NewJournalServiceClient(r.dial(t, "operator"))
	seen := 0
	for token := ""; ; {
		page, err := client.ListAttacks(t.Context(), &cloudsyncv1.ListAttacksRequest{PageSize: 2, PageToken: token})
		require.NoError(t, err)
		for _, a := range page.GetAttacks() {
			require.Equal(t, "east", a.GetCluster())
			require.Equal(t, "east", a.GetSamples()[0].GetCluster())
		}
		seen += len(page.GetAttacks())
		if token = page.GetNextPageToken(); token == "" {
			break
		}
	}
	require.Equal(t, 5, seen)
	_, err := client.ListAttacks(t.Context(), &cloudsyncv1.ListAttacksRequest{PageToken: "%%"})
	require.Equal(t, codes.InvalidArgument, status.Code(err))
}

func TestWhoMayCall(t *testing.T) {
	t.Parallel()
	r := start(t, testpki.New(t), func(c *Config) { c.DataDir = t.TempDir() })
	calls := map[string]func(context.Context, *grpc.ClientConn) error{
		"Commit": func(ctx context.Context, c *grpc.ClientConn) error {
			_, err := cloudsyncv1.NewJournalServiceClient(c).Commit(ctx, &cloudsyncv1.CommitRequest{})
			return err
		},
		"ListAttacks": func(ctx context.Context, c *grpc.ClientConn) error {
			_, err := cloudsyncv1.NewJournalServiceClient(c).ListAttacks(ctx, &cloudsyncv1.ListAttacksRequest{})
			return err
		},
		"PushDeltas": func(ctx context.Context, c *grpc.ClientConn) error {
			_, err := cloudsyncv1.NewInventoryServiceClient(c).PushDeltas(ctx, &cloudsyncv1.PushDeltasRequest{})
			return err
		},
		"ListStatus": func(ctx context.Context, c *grpc.ClientConn) error {
			_, err := cloudsyncv1.NewStatusServiceClient(c).ListStatus(ctx, &cloudsyncv1.ListStatusRequest{})
			return err
		},
		"Report": func(ctx context.Context, c *grpc.ClientConn) error {
			_, err := cloudsyncv1.NewStatusServiceClient(c).Report(ctx, &cloudsyncv1.ReportRequest{})
			return err
		},
	}
	allowed := map[string]string{"Commit": "processor", "ListAttacks": "operator", "ListStatus": "operator", "PushDeltas": "apidiscovery", "Report": "processor apidiscovery aggregator agent"}
	for _, part := range []string{"processor", "apidiscovery", "aggregator", "agent", "operator"} {
		conn := r.dial(t, part)
		for name, call := range calls {
			want := codes.PermissionDenied
			if strings.Contains(allowed[name], part) {
				want = codes.OK
			}
			require.Equal(t, want, status.Code(call(t.Context(), conn)), "%s calls %s", part, name)
		}
	}
}

func TestStatusOfOthersIsNotTaken(t *testing.T) {
	t.Parallel()
	r := start(t, testpki.New(t), func(c *Config) { c.DataDir = t.TempDir() })
	for part, says := range map[string][]*statusv1.PartStatus{
		"aggregator": {{Part: "agent", Instance: "n1", Cluster: "west"}, {Part: "aggregator", Instance: "a"}, {Part: "processor", Instance: "fake"}},
		"processor":  {{Part: "agent", Instance: "fake"}, {Part: "processor", Instance: "p"}, {}},
	} {
		_, err := cloudsyncv1.NewStatusServiceClient(r.dial(t, part)).Report(t.Context(), &cloudsyncv1.ReportRequest{Parts: says})
		require.NoError(t, err)
	}
	var got []string
	for _, p := range r.service.statuses.All() {
		require.Equal(t, "east", p.GetCluster())
		got = append(got, p.GetPart()+"/"+p.GetInstance())
	}
	require.Equal(t, []string{"agent/n1", "aggregator/a", "cloudsync/cloudsync-0", "processor/p"}, got)
}

func TestWatchWithoutAPolicyStaysOpen(t *testing.T) {
	t.Parallel()
	r := start(t, testpki.New(t), func(c *Config) { c.DataDir = t.TempDir() })
	stream, err := cloudsyncv1.NewPolicyServiceClient(r.dial(t, "processor")).Watch(t.Context(), &cloudsyncv1.WatchRequest{Part: "processor"})
	require.NoError(t, err)
	_, err = stream.Header()
	require.NoError(t, err)
	r.stop()
	_, err = stream.Recv()
	require.Equal(t, codes.Unavailable, status.Code(err))
}

// linked is a service with a console.
func linked(t *testing.T, c *console, ca *testpki.CA, dir string, change func(*Config)) *rig {
	t.Helper()
	return start(t, ca, func(cfg *Config) {
		cfg.DataDir = dir
		cfg.Console = ConsoleConfig{Address: c.address, CA: ca.Files(t, "console").CA, ServerName: "localhost", Token: goodToken}
		if change != nil {
			change(cfg)
		}
	})
}

func TestUploadsReachTheConsole(t *testing.T) {
	t.Parallel()
	ca := testpki.New(t)
	c, dir := newConsole(t, ca), t.TempDir()
	r := linked(t, c, ca, dir, nil)
	begin := time.Now()
	r.commit(t, 0, 1)
	c.eventually(t, "the attack", func() bool { return len(c.attacks) == 1 })
	require.Less(t, time.Since(begin), 2*time.Second)
	r.commit(t, 1, 30)
	_, err := cloudsyncv1.NewInventoryServiceClient(r.dial(t, "apidiscovery")).PushDeltas(t.Context(), &cloudsyncv1.PushDeltasRequest{
		Deltas: []*inventoryv1.EndpointDelta{{Endpoint: &inventoryv1.Endpoint{Id: "e1", Version: 1, PathTemplate: "/orders/{orderId}"}}},
	})
	require.NoError(t, err)
	c.eventually(t, "all", func() bool {
		return len(c.attacks) == 30 && c.endpoints["e1"].GetCluster() == "east" && c.parts["cloudsync/cloudsync-0"] != nil
	})
	c.set(func() {
		require.Equal(t, "east", c.cluster)
		require.Equal(t, 1, c.registered)
		for _, a := range c.attacks {
			require.Equal(t, "east", a.GetCluster())
			require.Len(t, a.GetSamples(), 1)
		}
	})
	for _, name := range []string{"installation.key", "installation.json"} {
		info, err := os.Stat(filepath.Join(dir, name))
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	}
	require.Eventually(t, func() bool { return r.service.link() == "ok" }, 10*time.Second, time.Millisecond)

	// A restart registers no second time, uploads nothing again, and goes on.
	r.stop()
	c.set(func() { c.attacks = map[string]*detectionv1.Attack{} })
	r = linked(t, c, ca, dir, nil)
	r.commit(t, 30, 31)
	c.eventually(t, "the new one", func() bool { return len(c.attacks) == 1 })
	c.set(func() {
		require.Equal(t, 1, c.registered)
		require.Equal(t, 1, c.refreshed)
		// A token that ends at once is no obstacle.
		c.tokens, c.life = map[string]time.Time{}, time.Minute
	})
	r.commit(t, 31, 32)
	c.eventually(t, "after the token's end", func() bool { return len(c.attacks) == 2 })
}

func TestNothingIsLostWhileTheConsoleIsAway(t *testing.T) {
	t.Parallel()
	ca := testpki.New(t)
	c, dir := newConsole(t, ca), t.TempDir()
	c.away = true
	r := linked(t, c, ca, dir, nil)
	r.commit(t, 0, 20)
	r.stop()
	r = linked(t, c, ca, dir, nil)
	r.commit(t, 20, 25)
	require.Eventually(t, func() bool { return strings.Contains(r.service.link(), "away") }, 10*time.Second, time.Millisecond)
	require.NoError(t, r.service.Ready(), "hits are kept without a console")
	c.set(func() { c.away = false })
	c.eventually(t, "all", func() bool { return len(c.attacks) == 25 })
}

func TestRevokedSaysSoAndGoesOnJournalling(t *testing.T) {
	t.Parallel()
	ca := testpki.New(t)
	c, dir := newConsole(t, ca), t.TempDir()
	r := linked(t, c, ca, dir, nil)
	r.commit(t, 0, 1)
	c.eventually(t, "the attack", func() bool { return len(c.attacks) == 1 })
	c.set(func() { c.revoked = true })
	r.commit(t, 1, 4)
	require.Eventually(t, func() bool { return strings.HasPrefix(r.service.now().GetNotReadyBecause(), "console: revoked") }, 10*time.Second, time.Millisecond)
	require.True(t, r.service.now().GetReady())
	r.stop()
	// A new token registers again, and what was kept is uploaded.
	c.set(func() { c.revoked = false })
	linked(t, c, ca, dir, func(cfg *Config) { cfg.Console.Token = goodToken + "-2" })
	c.eventually(t, "all", func() bool { return len(c.attacks) == 4 && c.registered == 2 })
}

func TestARecordThatTheConsoleRefusesHoldsUpNothing(t *testing.T) {
	t.Parallel()
	ca := testpki.New(t)
	c, dir := newConsole(t, ca), t.TempDir()
	c.away = true
	c.refuse = func(req *consolev1.UploadRequest) bool {
		for _, a := range req.GetAttacks() {
			if len(a.GetTarget().GetPath()) == 11 {
				return true
			}
		}
		return false
	}
	r := linked(t, c, ca, dir, nil)
	r.commit(t, 0, 30)
	c.set(func() { c.away = false })
	c.eventually(t, "all others", func() bool { return len(c.attacks) == 29 })
	require.Equal(t, "record_refused", r.service.losses.Snapshot()[0].Reason)
	require.EqualValues(t, 1, r.service.losses.Snapshot()[0].Count)
}

func TestTheConsoleMustProveItself(t *testing.T) {
	t.Parallel()
	ca, other := testpki.New(t), testpki.New(t)
	c := newConsole(t, other)
	for name, change := range map[string]func(*Config){
		"another CA": func(cfg *Config) { cfg.Console.CA = ca.Files(t, "console").CA },
		"another name": func(cfg *Config) {
			cfg.Console.CA, cfg.Console.ServerName = other.Files(t, "console").CA, "elsewhere.example"
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := linked(t, c, ca, t.TempDir(), change)
			require.Eventually(t, func() bool { return strings.Contains(r.service.link(), "console.ca") }, 10*time.Second, time.Millisecond, r.service.link())
		})
	}
	require.Zero(t, c.registered, "no token was shown")
}

func TestABadToken(t *testing.T) {
	t.Parallel()
	ca := testpki.New(t)
	c := newConsole(t, ca)
	r := linked(t, c, ca, t.TempDir(), func(cfg *Config) { cfg.Console.Token = "" })
	require.Eventually(t, func() bool { return strings.Contains(r.service.link(), "set console.token") }, 10*time.Second, time.Millisecond)
	r = linked(t, c, ca, t.TempDir(), func(cfg *Config) { cfg.Console.Token = "wrong" })
	require.Eventually(t, func() bool { return strings.Contains(r.service.link(), "unknown token") }, 10*time.Second, time.Millisecond)
	require.NotContains(t, r.service.link(), "wrong")
}

func TestConfig(t *testing.T) {
	t.Parallel()
	require.NoError(t, DefaultConfig().Validate())
	err := Config{Console: ConsoleConfig{Address: "nowhere"}}.Validate()
	for _, want := range []string{"log.level", "cluster", "data_dir", "console.address", "retention", "max_size"} {
		require.ErrorContains(t, err, want)
	}
	_, err = New(DefaultConfig(), Deps{})
	require.ErrorContains(t, err, "tls.cert")
	cfg := DefaultConfig()
	cfg.DataDir = filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(cfg.DataDir, nil, 0o600))
	ca := testpki.New(t)
	s, err := New(cfg, Deps{Log: testkit.Quiet(), TLS: tlsreload.New(ca.Files(t, "cloudsync"), tlsreload.Deps{Log: testkit.Quiet()})})
	require.NoError(t, err)
	require.ErrorContains(t, s.Run(t.Context()), "data_dir")
}
