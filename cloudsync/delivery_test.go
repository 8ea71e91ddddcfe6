package cloudsync

import (
	"context"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/timestamppb"

	cloudsyncv1 "github.com/sidelight/sidelight/proto/gen/sidelight/cloudsync/v1"
	detectionv1 "github.com/sidelight/sidelight/proto/gen/sidelight/detection/v1"
	statusv1 "github.com/sidelight/sidelight/proto/gen/sidelight/status/v1"

	"github.com/sidelight/sidelight/internal/policy"
	"github.com/sidelight/sidelight/internal/testkit"
	"github.com/sidelight/sidelight/internal/testkit/testpki"
)

// part is one that obeys policy, as processors do.
func (r *rig) part(t *testing.T, name string) *policy.Watcher {
	t.Helper()
	w := policy.NewWatcher(policy.WatcherDeps{
		Client: cloudsyncv1.NewPolicyServiceClient(r.dial(t, name)), Part: name, Apply: func(policy.Policy) error { return nil }, Log: testkit.Quiet(),
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	t.Cleanup(func() { cancel(); require.NoError(t, <-done) })
	return w
}

func obeys(t *testing.T, w *policy.Watcher, sequence uint64) {
	t.Helper()
	require.Eventually(t, func() bool { got, _ := w.State(); return got == sequence }, 20*time.Second, time.Millisecond, "sequence %d", sequence)
}

func TestPolicyReachesTheParts(t *testing.T) {
	t.Parallel()
	ca := testpki.New(t)
	c, dir := newConsole(t, ca), t.TempDir()
	c.publish(t, 3, c.signer)
	r := linked(t, c, ca, dir, nil)
	early := r.part(t, "processor")
	obeys(t, early, 3)
	c.publish(t, 4, c.signer)
	obeys(t, early, 4)
	obeys(t, r.part(t, "aggregator"), 4)
	require.EqualValues(t, 4, r.service.now().GetPolicySequence())

	_, stranger, err := ed25519.GenerateKey(nil)
	require.NoError(t, err)
	for _, bad := range []func(){func() { c.publish(t, 9, stranger) }, func() { c.publish(t, 2, c.signer) }} {
		was := r.service.policies.Refusals.Load()
		bad()
		require.Eventually(t, func() bool { return r.service.policies.Refusals.Load() > was }, 10*time.Second, time.Millisecond)
		require.NotEmpty(t, r.service.now().GetPolicyRefusedBecause())
		require.EqualValues(t, 4, r.service.now().GetPolicySequence())
	}
	r.stop()

	// Without its console it goes on.
	c.set(func() { c.away = true })
	r = linked(t, c, ca, dir, nil)
	obeys(t, r.part(t, "processor"), 4)
	r.stop()
	r = start(t, ca, func(cfg *Config) { cfg.DataDir = dir })
	obeys(t, r.part(t, "processor"), 4)
	r.stop()

	// Another console's policy is another one.
	other := newConsole(t, ca)
	r = linked(t, other, ca, dir, func(cfg *Config) { cfg.Console.Token = goodToken + "-other" })
	require.Eventually(t, func() bool { return r.service.now().GetPolicySequence() == 0 }, 10*time.Second, time.Millisecond)
	other.publish(t, 1, other.signer)
	obeys(t, r.part(t, "processor"), 1)
}

func TestARegeneratedTokenCutsOff(t *testing.T) {
	t.Parallel()
	ca := testpki.New(t)
	c, dir := newConsole(t, ca), t.TempDir()
	r := linked(t, c, ca, dir, nil)
	r.commit(t, 0, 3)
	c.eventually(t, "the attacks", func() bool { return len(c.attacks) == 3 })
	c.set(func() { c.registers, c.tokens, c.key = "sl_another", map[string]time.Time{}, nil })
	r.commit(t, 3, 6)
	require.Eventually(t, func() bool { return strings.Contains(r.service.now().GetNotReadyBecause(), "regenerated") }, 10*time.Second, time.Millisecond)
	require.NoError(t, r.service.Ready())
	c.set(func() { require.Len(t, c.attacks, 3) })
	r.stop()
	r = linked(t, c, ca, dir, func(cfg *Config) { cfg.Console.Token = "sl_another" })
	c.eventually(t, "what was missing", func() bool { return len(c.attacks) == 6 })
	require.Eventually(t, func() bool { return r.service.link() == "ok" }, 10*time.Second, time.Millisecond)
	for version, times := range c.versions {
		require.Equal(t, 1, times, version)
	}
}

func TestBlindIntervalsReachTheConsole(t *testing.T) {
	t.Parallel()
	ca := testpki.New(t)
	c, dir := newConsole(t, ca), t.TempDir()
	r := linked(t, c, ca, dir, nil)
	zero := time.Now()
	at := func(second int) *timestamppb.Timestamp {
		return timestamppb.New(zero.Add(time.Duration(second) * time.Second))
	}
	hear := func(as string, agent *statusv1.PartStatus) {
		agent.Part, agent.Instance = "agent", "n1"
		_, err := cloudsyncv1.NewStatusServiceClient(r.dial(t, as)).Report(t.Context(), &cloudsyncv1.ReportRequest{Parts: []*statusv1.PartStatus{agent}})
		require.NoError(t, err)
	}
	hear("aggregator", &statusv1.PartStatus{StartedAt: at(-100), WatchedFrom: at(-99), WatchedUntil: at(-5), Connected: true})
	// Its own word says nothing of its stream.
	hear("agent", &statusv1.PartStatus{StartedAt: at(-4)})
	require.Empty(t, r.service.agents.Recent())
	c.set(func() { c.away = true })
	// The whole of it restarts, cloudsync too.
	r.stop()
	r = linked(t, c, ca, dir, nil)
	hear("aggregator", &statusv1.PartStatus{StartedAt: at(-2), WatchedFrom: at(-1), WatchedUntil: at(0), Connected: true})
	answer, err := cloudsyncv1.NewStatusServiceClient(r.dial(t, "operator")).ListStatus(t.Context(), &cloudsyncv1.ListStatusRequest{})
	require.NoError(t, err)
	require.Len(t, answer.GetParts(), 2)
	require.Len(t, answer.GetBlindIntervals(), 1)
	interval := answer.GetBlindIntervals()[0]
	require.Equal(t, "n1", interval.GetNode())
	require.True(t, interval.GetFrom().AsTime().Equal(at(-5).AsTime()))
	require.True(t, interval.GetTo().AsTime().Equal(at(-1).AsTime()))
	r.stop()
	r = linked(t, c, ca, dir, nil)
	c.set(func() { require.Empty(t, c.intervals); c.away = false })
	c.eventually(t, "the interval", func() bool { return c.intervals[interval.GetId()] != nil })
}

// flood commits hits of so many attacks, 500 at a time.
func (r *rig) flood(t *testing.T, from, to, attacks, lines int) {
	t.Helper()
	client := cloudsyncv1.NewJournalServiceClient(r.dial(t, "processor"))
	for n := from; n < to; n += 500 {
		batch := &cloudsyncv1.CommitRequest{}
		for i := n; i < n+500; i++ {
			batch.Hits = append(batch.Hits, &detectionv1.Hit{
				ExchangeId: binary.BigEndian.AppendUint64(make([]byte, 8), uint64(i)), Revision: 1, Type: "sqli", Point: fmt.Sprintf("query.q%d", i%attacks),
				Severity: detectionv1.Severity_SEVERITY_HIGH, PayloadHash: []byte("p"), ObservedAt: timestamppb.Now(),
				Request: &detectionv1.RequestSummary{Method: "GET", Host: "shop.example", Path: "/", MaskedRequest: []byte(strings.Repeat("Header: value\n", lines))},
			})
		}
		_, err := client.Commit(t.Context(), batch)
		require.NoError(t, err)
	}
}

// An hour away at 200 hits/s, on a small scale: everything arrives afterwards, nothing twice.
func TestAllIsUploadedOnceAfterTheConsoleWasAway(t *testing.T) {
	t.Parallel()
	const attacks, hits = 2500, 20_000
	ca := testpki.New(t)
	c, dir := newConsole(t, ca), t.TempDir()
	c.away = true
	r := linked(t, c, ca, dir, nil)
	r.flood(t, 0, hits/2, attacks, 30)
	r.stop()
	r = linked(t, c, ca, dir, nil)
	r.flood(t, hits/2, hits, attacks, 30)
	require.Eventually(t, func() bool { return strings.Contains(r.service.link(), "away") }, 10*time.Second, time.Millisecond)
	c.set(func() { require.Empty(t, c.versions); c.away = false })
	var begin time.Time
	c.eventually(t, "the first", func() bool { begin = time.Now(); return len(c.attacks) > 0 })
	c.eventually(t, "all", func() bool { return len(c.attacks) == attacks })
	took := time.Since(begin)
	c.set(func() {
		sum := uint64(0)
		for _, a := range c.attacks {
			sum += a.GetHitCount()
		}
		require.EqualValues(t, hits, sum)
		require.Len(t, c.versions, attacks)
		for version, times := range c.versions {
			require.Equal(t, 1, times, version)
		}
		t.Logf("%d attacks of %d hits in %d calls, %v: %.0f attacks/s, %.0f hits/s", attacks, hits, c.uploads, took, attacks/took.Seconds(), hits/took.Seconds())
	})
}

// A proxy that ends TLS stands between: nothing of the credential may depend on the connection.
func TestThroughAProxy(t *testing.T) {
	t.Parallel()
	nginx, err := exec.LookPath("nginx")
	if err != nil {
		testkit.Skip(t, "needs nginx")
	}
	ca := testpki.New(t)
	c := newConsole(t, ca)
	files, dir := ca.Files(t, "proxy"), t.TempDir()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	tcp, ok := l.(*net.TCPListener)
	require.True(t, ok)
	open, err := tcp.File()
	require.NoError(t, err)
	address, user := l.Addr().String(), ""
	if os.Geteuid() == 0 {
		user = "user root;"
	}
	config := filepath.Join(dir, "nginx.conf")
	require.NoError(t, os.WriteFile(config, fmt.Appendf(nil, `
daemon off;
worker_processes 1;
%[6]s
pid %[1]s/pid;
error_log stderr warn;
events {}
http {
  access_log off;
  client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy; fastcgi_temp_path %[1]s/fastcgi; uwsgi_temp_path %[1]s/uwsgi; scgi_temp_path %[1]s/scgi;
  server {
    listen %[2]s ssl http2;
    ssl_certificate %[3]s;
    ssl_certificate_key %[4]s;
    location / { grpc_pass grpcs://%[5]s; grpc_ssl_protocols TLSv1.3; grpc_read_timeout 2s; }
  }
}
`, dir, address, files.Cert, files.Key, c.address, user), 0o600))
	cmd := exec.Command(nginx, "-e", "stderr", "-p", dir, "-c", config)
	cmd.Stderr = t.Output()
	// The port is handed over open, as at an upgrade: nobody else can take it meanwhile.
	cmd.Env, cmd.ExtraFiles = append(os.Environ(), "NGINX=3;"), []*os.File{open}
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { require.NoError(t, cmd.Process.Signal(syscall.SIGTERM)); _ = cmd.Wait() })
	require.NoError(t, errors.Join(open.Close(), l.Close()))

	c.publish(t, 1, c.signer)
	r := linked(t, c, ca, t.TempDir(), func(cfg *Config) { cfg.Console.Address, cfg.Console.CA = address, files.CA })
	// More than the proxy takes in one call, unless uploads keep below that.
	r.flood(t, 0, 1000, 1000, 300)
	c.eventually(t, "all", func() bool { return len(c.attacks) == 1000 && c.registered == 1 })
	obeys(t, r.part(t, "processor"), 1)
	// The proxy cuts streams that say nothing; another one is opened.
	c.set(func() { c.tokens = map[string]time.Time{} })
	r.commit(t, 0, 1)
	c.eventually(t, "with another token", func() bool { return len(c.attacks) == 1001 && c.refreshed > 0 })
	c.publish(t, 2, c.signer)
	obeys(t, r.part(t, "processor"), 2)
	c.set(func() { c.revoked = true })
	r.commit(t, 1, 2)
	require.Eventually(t, func() bool { return strings.HasPrefix(r.service.link(), "revoked") }, 10*time.Second, time.Millisecond, r.service.link())
}
