package journal

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	bolt "go.etcd.io/bbolt"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	detectionv1 "github.com/sidelight/sidelight/proto/gen/sidelight/detection/v1"
	inventoryv1 "github.com/sidelight/sidelight/proto/gen/sidelight/inventory/v1"
	trafficv1 "github.com/sidelight/sidelight/proto/gen/sidelight/traffic/v1"

	"github.com/sidelight/sidelight/internal/losses"
	"github.com/sidelight/sidelight/internal/testkit"
)

var noon = time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)

// hit resembles what the processor sends.
func hit(exchange uint64, path string, at time.Time) *detectionv1.Hit {
	return &detectionv1.Hit{
		ExchangeId: id(exchange), Revision: 1, Type: "sqli", Point: "query.q", Severity: detectionv1.Severity_SEVERITY_HIGH,
		Confidence: detectionv1.Confidence_CONFIDENCE_HIGH, Rules: []uint32{942100, 942190}, ObservedAt: timestamppb.New(at),
		PayloadHash: []byte("0123456789abcdef"), References: []string{"CWE-89", "API8:2023", "CAPEC-66"},
		Evidence: &detectionv1.Evidence{Length: 12, Text: []byte("' or 1=1-- -"), Decoding: []string{"url"}},
		Request: &detectionv1.RequestSummary{
			Method: "GET", Path: path, Host: "shop.example", Status: 200, UserAgent: "Mozilla/5.0 (X11; Linux x86_64)",
			Workload: &trafficv1.Workload{Cluster: "east", Node: "n1", Service: "shop"},
			Client:   &trafficv1.Client{Address: fmt.Sprintf("198.51.100.%d", exchange%200)}, MaskedRequest: []byte(strings.Repeat("Header: value\n", 30)),
		},
	}
}

func id(exchange uint64) []byte {
	// Spread as hashes are.
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, exchange*0x9E3779B97F4A7C15), exchange)
}

func open(t testing.TB, dir string) *Journal {
	t.Helper()
	j, err := Open(Config{Dir: dir, Cluster: "east"}, Deps{Log: testkit.Quiet(), Losses: losses.NewLosses(nil, "cloudsync")})
	require.NoError(t, err)
	return j
}

// start opens a journal and runs it; stop may be called before the test ends.
func start(t testing.TB, dir string) (j *Journal, stop func()) {
	t.Helper()
	j = open(t, dir)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- j.Run(ctx) }()
	stop = sync.OnceFunc(func() { cancel(); require.NoError(t, <-done) })
	t.Cleanup(stop)
	return j, stop
}

func all(t testing.TB, j *Journal) []*detectionv1.Attack {
	t.Helper()
	var out []*detectionv1.Attack
	for token := ""; ; {
		list, next, err := j.List(token, 7)
		require.NoError(t, err)
		out = append(out, list...)
		if token = next; token == "" {
			return out
		}
	}
}

func TestWhatIsCommittedIsThereAfterAReopening(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	j, stop := start(t, dir)
	require.NoError(t, j.Ready())
	require.NoError(t, j.Commit(t.Context(), []*detectionv1.Hit{hit(1, "/orders/1", noon), hit(2, "/orders/2", noon.Add(time.Minute)), hit(3, "/users", noon)}, nil))
	before := all(t, j)
	stop()
	require.ErrorIs(t, j.Commit(t.Context(), []*detectionv1.Hit{hit(1, "/", noon)}, nil), ErrClosed)
	j, _ = start(t, dir)
	got := all(t, j)
	require.Empty(t, cmp.Diff(before, got, protocmp.Transform()))
	require.Len(t, got, 2)
	require.EqualValues(t, 2, got[0].GetHitCount(), "newest first")
	require.Equal(t, "/orders/{int}", got[0].GetTarget().GetPath())
	require.Equal(t, "east", got[0].GetCluster())
	require.NotEmpty(t, got[0].GetSamples()[0].GetRequest().GetMaskedRequest(), "a sample is whole")
	require.NotEqual(t, got[0].GetId(), got[1].GetId())
	info, err := os.Stat(filepath.Join(dir, fileName))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	require.False(t, j.db.NoSync, "every commit is fsynced")
}

func TestOnlyOneProcessHasIt(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	j := open(t, dir)
	_, err := Open(Config{Dir: dir}, Deps{Log: testkit.Quiet()})
	require.ErrorContains(t, err, "another process")
	require.NoError(t, j.Close())
}

func TestAResendChangesNothingAndAnOutcomeDoes(t *testing.T) {
	t.Parallel()
	j, _ := start(t, t.TempDir())
	first := hit(1, "/orders/1", noon)
	first.Request.Status, first.Outcome = 0, 0
	commit := func(h *detectionv1.Hit, u *detectionv1.OutcomeUpdate) *detectionv1.Attack {
		var hits []*detectionv1.Hit
		var outcomes []*detectionv1.OutcomeUpdate
		if h != nil {
			hits = append(hits, proto.CloneOf(h))
		}
		if u != nil {
			outcomes = append(outcomes, u)
		}
		require.NoError(t, j.Commit(t.Context(), hits, outcomes))
		list := all(t, j)
		require.Len(t, list, 1)
		return list[0]
	}
	was := commit(first, nil)
	require.Empty(t, cmp.Diff(was, commit(first, nil), protocmp.Transform()), "not even the version")
	require.EqualValues(t, 1, j.Resent.Load())

	update := &detectionv1.OutcomeUpdate{ExchangeId: first.GetExchangeId(), Revision: 2, Outcome: detectionv1.Outcome_OUTCOME_REACHED_APP, Status: 404}
	now := commit(nil, update)
	require.Greater(t, now.GetVersion(), was.GetVersion())
	require.Equal(t, detectionv1.Outcome_OUTCOME_REACHED_APP, now.GetOutcome())
	require.EqualValues(t, 404, now.GetSamples()[0].GetRequest().GetStatus())
	require.Empty(t, cmp.Diff(now, commit(first, update), protocmp.Transform()))

	newer := proto.CloneOf(first)
	newer.Revision, newer.Rules = 3, []uint32{1}
	now = commit(newer, nil)
	require.Equal(t, []uint32{1}, now.GetSamples()[0].GetRules())
	require.Equal(t, detectionv1.Outcome_OUTCOME_REACHED_APP, now.GetSamples()[0].GetOutcome())
	require.NotEmpty(t, now.GetSamples()[0].GetRequest().GetMaskedRequest())
	require.EqualValues(t, 1, now.GetHitCount())

	// An outcome for what has no hits is no error, and finds the hit that comes after it.
	early := &detectionv1.OutcomeUpdate{ExchangeId: id(9), Revision: 2, Outcome: detectionv1.Outcome_OUTCOME_NO_ANSWER}
	require.NoError(t, j.Commit(t.Context(), nil, []*detectionv1.OutcomeUpdate{early}))
	late := hit(9, "/late", noon)
	late.Outcome = 0
	require.NoError(t, j.Commit(t.Context(), []*detectionv1.Hit{late}, nil))
	for _, a := range all(t, j) {
		if a.GetTarget().GetPath() == "/late" {
			require.Equal(t, detectionv1.Outcome_OUTCOME_NO_ANSWER, a.GetOutcome())
			require.Equal(t, detectionv1.Outcome_OUTCOME_NO_ANSWER, a.GetSamples()[0].GetOutcome())
		}
	}
}

func TestMalformedHitsSpoilNoCommit(t *testing.T) {
	t.Parallel()
	j, _ := start(t, t.TempDir())
	short, unnamed, zero := hit(1, "/", noon), hit(2, "/", noon), hit(3, "/", noon)
	short.ExchangeId, unnamed.Type, zero.Point = []byte("x"), "", "a\x00b"
	timeless := hit(4, "/", noon)
	timeless.ObservedAt = nil
	require.NoError(t, j.Commit(t.Context(), []*detectionv1.Hit{short, unnamed, zero, timeless}, []*detectionv1.OutcomeUpdate{{}}))
	require.Len(t, all(t, j), 1)
	require.WithinDuration(t, time.Now(), all(t, j)[0].GetLastSeen().AsTime(), time.Minute)
	require.Equal(t, []losses.Loss{{Place: "journal", Reason: "malformed_hit", Count: 3}, {Place: "journal", Reason: "malformed_outcome", Count: 1}}, j.deps.Losses.Snapshot())
	require.NoError(t, j.Commit(t.Context(), nil, nil))
}

// The same hits in any order, in any parts, give the same attacks; and only samples keep the request's text.
func TestOrderDoesNotMatter(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(7, 7))
	var hits []*detectionv1.Hit
	for i := range uint64(400) {
		h := hit(i, []string{"/a", "/b/1", "/c"}[random.IntN(3)], noon.Add(time.Duration(random.IntN(30*60))*time.Minute))
		h.PayloadHash = []byte{byte(random.IntN(8))}
		hits = append(hits, h)
	}
	var want []*detectionv1.Attack
	for round := range 3 {
		j, _ := start(t, t.TempDir())
		deliver := append(slices.Clone(hits), hits[:100]...)
		random.Shuffle(len(deliver), func(a, b int) { deliver[a], deliver[b] = deliver[b], deliver[a] })
		var wg sync.WaitGroup
		for part := range slices.Chunk(deliver, 1+random.IntN(40)) {
			var copies []*detectionv1.Hit
			for _, h := range part {
				copies = append(copies, proto.CloneOf(h))
			}
			wg.Go(func() { require.NoError(t, j.Commit(t.Context(), copies, nil)) })
		}
		wg.Wait()
		got := all(t, j)
		slices.SortFunc(got, func(a, b *detectionv1.Attack) int {
			return strings.Compare(a.GetFirstSeen().AsTime().Format(time.RFC3339)+a.GetTarget().GetPath(), b.GetFirstSeen().AsTime().Format(time.RFC3339)+b.GetTarget().GetPath())
		})
		total, samples := uint64(0), 0
		for _, a := range got {
			total += a.GetHitCount()
			samples += len(a.GetSamples())
			a.Id, a.Version = "", 0
			for _, h := range a.GetSamples() {
				require.NotEmpty(t, h.GetRequest().GetMaskedRequest())
			}
		}
		require.EqualValues(t, 400, total)
		require.Equal(t, samples, withText(t, j))
		if round == 0 {
			want = got
			require.Greater(t, len(want), 6)
			continue
		}
		require.Empty(t, cmp.Diff(want, got, protocmp.Transform()))
	}
}

func withText(t *testing.T, j *Journal) int {
	t.Helper()
	n := 0
	require.NoError(t, j.db.View(func(tx *bolt.Tx) error {
		return tx.Bucket(bucketHits).ForEach(func(key, data []byte) error {
			record, err := readRecord(key, data)
			if err == nil && len(record.GetHits()[0].GetRequest().GetMaskedRequest()) > 0 {
				n++
			}
			return err
		})
	}))
	return n
}

func TestAMergedAttackIsUploadedOnceMoreWithoutHits(t *testing.T) {
	t.Parallel()
	j, _ := start(t, t.TempDir())
	commit := func(exchange uint64, minute int) {
		require.NoError(t, j.Commit(t.Context(), []*detectionv1.Hit{hit(exchange, "/a", noon.Add(time.Duration(minute)*time.Minute))}, nil))
	}
	commit(1, 0)
	commit(2, 100)
	b, err := j.Pending("i", 100, 1<<20)
	require.NoError(t, err)
	require.Len(t, b.Attacks, 2)
	require.NoError(t, j.Uploaded(t.Context(), b))
	commit(3, 50)
	require.Len(t, all(t, j), 1)
	b, err = j.Pending("i", 100, 1<<20)
	require.NoError(t, err)
	require.Len(t, b.Attacks, 2)
	counts := []uint64{b.Attacks[0].GetHitCount(), b.Attacks[1].GetHitCount()}
	slices.Sort(counts)
	require.Equal(t, []uint64{0, 3}, counts)
	for i, a := range b.Attacks {
		want := ""
		if a.GetHitCount() == 0 {
			want = b.Attacks[1-i].GetId()
		}
		require.Equal(t, want, a.GetMergedInto())
	}
	commit(4, 160)
	require.EqualValues(t, 4, all(t, j)[0].GetHitCount())
}

func TestPendingIsWhatWasNotUploaded(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	j, stop := start(t, dir)
	for i := range uint64(25) {
		require.NoError(t, j.Commit(t.Context(), []*detectionv1.Hit{hit(i, fmt.Sprintf("/x%s", strings.Repeat("y", int(i))), noon)}, nil))
	}
	<-j.Changed()
	delta := func(id string, version uint64) *inventoryv1.EndpointDelta {
		return &inventoryv1.EndpointDelta{Endpoint: &inventoryv1.Endpoint{Id: id, Version: version, Cluster: "elsewhere"}}
	}
	require.NoError(t, j.PutEndpoints(t.Context(), []*inventoryv1.EndpointDelta{delta("e", 3), delta("f", 1), delta("", 1), delta("e", 2)}))
	<-j.Changed()
	seen := map[string]bool{}
	var endpoints []*inventoryv1.EndpointDelta
	for {
		b, err := j.Pending("i", 10, 1<<20)
		require.NoError(t, err)
		if b.Len() == 0 {
			break
		}
		require.LessOrEqual(t, b.Len(), 10)
		for _, a := range b.Attacks {
			require.False(t, seen[a.GetId()])
			seen[a.GetId()] = true
		}
		endpoints = append(endpoints, b.Endpoints...)
		if len(b.Endpoints) > 0 {
			// A newer version while the batch is under way.
			require.NoError(t, j.PutEndpoints(t.Context(), []*inventoryv1.EndpointDelta{delta("f", 2)}))
			require.NoError(t, j.Uploaded(t.Context(), b))
			break
		}
		require.NoError(t, j.Uploaded(t.Context(), b))
	}
	require.Len(t, seen, 25)
	require.Len(t, endpoints, 2)
	require.EqualValues(t, 3, endpoints[0].GetEndpoint().GetVersion())
	require.Equal(t, "east", endpoints[0].GetEndpoint().GetCluster())
	stop()
	j, _ = start(t, dir)
	b, err := j.Pending("i", 100, 1<<20)
	require.NoError(t, err)
	require.Empty(t, b.Attacks, "a restart forgets no cursor")
	require.Len(t, b.Endpoints, 1)
	require.EqualValues(t, 2, b.Endpoints[0].GetEndpoint().GetVersion())
	b, err = j.Pending("another installation", 100, 1<<20)
	require.NoError(t, err)
	require.Len(t, b.Attacks, 25)
	b, err = j.Pending("another installation", 100, 1)
	require.NoError(t, err)
	require.Equal(t, 1, b.Len(), "one at least")
}

func TestCommitsShareAnFsync(t *testing.T) {
	t.Parallel()
	j, _ := start(t, t.TempDir())
	var wg sync.WaitGroup
	for i := range uint64(300) {
		wg.Go(func() { require.NoError(t, j.Commit(t.Context(), []*detectionv1.Hit{hit(i, "/a", noon)}, nil)) })
	}
	wg.Wait()
	require.EqualValues(t, 300, j.Hits.Load())
	require.Less(t, j.Flushes.Load(), int64(100))
}

func TestPageTokens(t *testing.T) {
	t.Parallel()
	j, _ := start(t, t.TempDir())
	list, next, err := j.List("", 10)
	require.NoError(t, err)
	require.Empty(t, list)
	require.Empty(t, next)
	_, _, err = j.List("no token!", 10)
	require.ErrorIs(t, err, errToken)
	for i := range uint64(20) {
		require.NoError(t, j.Commit(t.Context(), []*detectionv1.Hit{hit(i, "/"+strings.Repeat("z", int(i)+1), noon.Add(-time.Duration(i)*time.Minute))}, nil))
	}
	got := all(t, j)
	require.Len(t, got, 20)
	require.True(t, slices.IsSortedFunc(got, func(a, b *detectionv1.Attack) int { return b.GetLastSeen().AsTime().Compare(a.GetLastSeen().AsTime()) }))
	for _, token := range []string{"AA", "_____________w"} {
		_, _, err = j.List(token, 10)
		require.NoError(t, err, "a token of nowhere is a place")
	}
}

// BenchmarkCommit is what processors see: many calls at once, each with one hit, each answered after an fsync.
func BenchmarkCommit(b *testing.B) {
	for _, callers := range []int{1, 16, 256} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			j, stop := start(b, b.TempDir())
			work := make(chan uint64)
			var wg sync.WaitGroup
			for range callers {
				wg.Go(func() {
					for n := range work {
						h := hit(n, fmt.Sprintf("/api/%c/%d", 'a'+n%20, n), noon.Add(time.Duration(n)*time.Millisecond))
						if err := j.Commit(context.Background(), []*detectionv1.Hit{h}, nil); err != nil {
							b.Error(err)
						}
					}
				})
			}
			n := uint64(0)
			for b.Loop() {
				n++
				work <- n
			}
			close(work)
			wg.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "hits/s")
			b.ReportMetric(float64(j.Flushes.Load())/float64(b.N), "fsyncs/hit")
			stop()
		})
	}
}
