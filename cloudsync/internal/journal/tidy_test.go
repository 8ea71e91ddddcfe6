package journal

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	bolt "go.etcd.io/bbolt"

	detectionv1 "github.com/sidelight/sidelight/proto/gen/sidelight/detection/v1"

	"github.com/sidelight/sidelight/internal/losses"
	"github.com/sidelight/sidelight/internal/testkit"
)

// bounded opens and runs a journal with bounds.
func bounded(t testing.TB, dir string, retention time.Duration, size int64) (*Journal, func()) {
	t.Helper()
	j, err := Open(Config{Dir: dir, Cluster: "east", Retention: retention, MaxSize: size},
		Deps{Log: testkit.Quiet(), Losses: losses.NewLosses(nil, "cloudsync")})
	require.NoError(t, err)
	return j, run(t, j)
}

func run(t testing.TB, j *Journal) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- j.Run(ctx) }()
	stop = sync.OnceFunc(func() { cancel(); require.NoError(t, <-done) })
	t.Cleanup(stop)
	return stop
}

func lost(j *Journal, reason string) int64 {
	for _, l := range j.deps.Losses.Snapshot() {
		if l.Place == "journal" && l.Reason == reason {
			return l.Count
		}
	}
	return 0
}

// big is a hit of an attack of its own, with a large sample.
func big(n uint64) *detectionv1.Hit {
	h := hit(n, fmt.Sprintf("/big/%s", letters(n)), noon.Add(time.Duration(n)*time.Second))
	h.Request.MaskedRequest = []byte(strings.Repeat("Header: value\n", 600))
	return h
}

// letters is a name that no shape makes equal to another.
func letters(n uint64) string {
	b := []byte{}
	for ; n > 0; n /= 26 {
		b = append(b, byte('a'+n%26))
	}
	return "x" + string(b)
}

func samplesOf(t *testing.T, j *Journal) (with, without []uint64) {
	t.Helper()
	for _, a := range all(t, j) {
		require.EqualValues(t, 1, a.GetHitCount())
		if len(a.GetSamples()) > 0 {
			with = append(with, a.GetVersion())
		} else {
			without = append(without, a.GetVersion())
		}
	}
	return with, without
}

// checkWhole verifies the file and every index of it.
func checkWhole(t *testing.T, j *Journal) {
	t.Helper()
	// No writer may be at work meanwhile.
	tx, err := j.db.Begin(true)
	require.NoError(t, err)
	defer func() { require.NoError(t, tx.Rollback()) }()
	require.NoError(t, func() error {
		for err := range tx.Check() {
			t.Errorf("the file is damaged: %v", err)
		}
		attacks, changes := tx.Bucket(bucketAttacks).Stats().KeyN, tx.Bucket(bucketChanges).Stats().KeyN
		require.Equal(t, attacks, changes)
		require.Equal(t, tx.Bucket(bucketByKey).Stats().KeyN, tx.Bucket(bucketByTime).Stats().KeyN)
		require.LessOrEqual(t, tx.Bucket(bucketByKey).Stats().KeyN, attacks)
		samples := 0
		err := tx.Bucket(bucketAttacks).ForEach(func(id, _ []byte) error {
			a, err := whole(tx, id)
			samples += len(a.GetSamples())
			return err
		})
		// Each hit is a sample, or one that is only known.
		require.Equal(t, tx.Bucket(bucketHits).Stats().KeyN, samples+tx.Bucket(bucketSpare).Stats().KeyN)
		return err
	}())
}

func TestOverTheSizeTheOldestSamplesGoFirst(t *testing.T) {
	t.Parallel()
	const size = 4 << 20
	j, _ := bounded(t, t.TempDir(), 0, size)
	sum := 0
	for ; sum < 1000; sum += 20 {
		var hits []*detectionv1.Hit
		for i := range uint64(20) {
			hits = append(hits, big(uint64(sum)+i))
		}
		require.NoError(t, j.Commit(t.Context(), hits, nil))
		require.Less(t, j.Used.Load(), int64(size+size/4))
	}
	require.Greater(t, j.Used.Load(), int64(size-size/4), "no more than was needed")
	with, without := samplesOf(t, j)
	require.Len(t, slices.Concat(with, without), sum, "no attack went while samples could")
	require.NotEmpty(t, with)
	require.Less(t, slices.Max(without), slices.Min(with), "the oldest first")
	require.EqualValues(t, len(without), lost(j, "sampled_hits_dropped"))
	require.Zero(t, lost(j, "attacks_dropped"))
	checkWhole(t, j)

	// What lost its details is known all the same.
	for n := range uint64(50) {
		require.NoError(t, j.Commit(t.Context(), []*detectionv1.Hit{big(n)}, []*detectionv1.OutcomeUpdate{{ExchangeId: id(n), Revision: 9, Outcome: detectionv1.Outcome_OUTCOME_NO_ANSWER}}))
	}
	require.EqualValues(t, 50, j.Resent.Load())
	samplesOf(t, j)
	require.Len(t, all(t, j), sum)
}

func TestOverTheSizeWhatTheConsoleLacksGoesLast(t *testing.T) {
	t.Parallel()
	const size = 4 << 20
	j, _ := bounded(t, t.TempDir(), 0, size)
	commit := func(from, to uint64) {
		for n := from; n < to; n += 10 {
			var hits []*detectionv1.Hit
			for i := range uint64(10) {
				hits = append(hits, big(n+i))
			}
			require.NoError(t, j.Commit(t.Context(), hits, nil))
		}
	}
	// The console has a first half, which is not over the size yet.
	commit(0, 150)
	cursor := uint64(0)
	for b, err := j.Pending("there", 100, 1<<30); b.Len() > 0; b, err = j.Pending("there", 100, 1<<30) {
		require.NoError(t, err)
		require.NoError(t, j.Uploaded(t.Context(), b))
		cursor = b.cursor
	}
	commit(150, 480)
	_, without := samplesOf(t, j)
	require.NotEmpty(t, without)
	require.LessOrEqual(t, slices.Max(without), cursor)
	commit(480, 700)
	require.EqualValues(t, 150, lost(j, "attacks_dropped"), "whole attacks that the console has go before samples that it lacks")
	with, without := samplesOf(t, j)
	require.Greater(t, slices.Min(append(with, without...)), cursor)
	require.NotEmpty(t, without)
	checkWhole(t, j)
	// A hit whose attack is gone is known, and begins no other.
	was := len(all(t, j))
	require.NoError(t, j.Commit(t.Context(), []*detectionv1.Hit{big(1)}, nil))
	require.Len(t, all(t, j), was)
}

func TestOverTheSizeHitsThatNoAttackShowsGoBeforeAttacks(t *testing.T) {
	t.Parallel()
	const size, attacks, sum = 4 << 20, 40, 36_000
	j := open(t, t.TempDir())
	j.cfg.MaxSize = size
	// A minute passes with each transaction.
	minutes := 0
	j.now = func() time.Time { return j.room.began.Add(time.Duration(minutes) * time.Minute) }
	apply := func(w *writer) error { minutes++; return nil }
	run(t, j)
	for n := uint64(0); n < sum; n += 500 {
		var hits []*detectionv1.Hit
		for i := range uint64(500) {
			h := hit(n+i, "/small/"+letters((n+i)%attacks), noon.Add(time.Duration(n+i)*time.Millisecond))
			h.PayloadHash = []byte("p")
			hits = append(hits, h)
		}
		require.NoError(t, j.write(t.Context(), 1, apply))
		require.NoError(t, j.Commit(t.Context(), hits, nil))
		b, err := j.Pending("there", 100, 1<<30)
		require.NoError(t, err)
		require.NoError(t, j.Uploaded(t.Context(), b))
	}
	require.Less(t, j.Used.Load(), int64(size+size/4))
	require.Len(t, all(t, j), attacks)
	require.Zero(t, lost(j, "attacks_dropped"))
	require.Zero(t, lost(j, "sampled_hits_dropped"))
	require.NotZero(t, j.Forgotten.Load())
	counted := uint64(0)
	for _, a := range all(t, j) {
		counted += a.GetHitCount()
	}
	require.EqualValues(t, sum, counted)
	checkWhole(t, j)
}

// Small hits leave gaps in pages, and free pages only when nearly all of a page is gone: gaps count as room.
func TestASmallerSizeGivesUpNoMoreThanIsNeeded(t *testing.T) {
	t.Parallel()
	const sum = 30_000
	dir := t.TempDir()
	j, stop := bounded(t, dir, 0, 0)
	var hits []*detectionv1.Hit
	for n := range uint64(sum) {
		h := hit(n, "/small/"+letters(n%40), noon.Add(time.Duration(n)*time.Millisecond))
		h.PayloadHash = []byte("p")
		hits = append(hits, h)
	}
	require.NoError(t, j.Commit(t.Context(), hits, nil))
	was := j.Used.Load()
	stop()
	j = open(t, dir)
	j.cfg.MaxSize = was - was/8
	begin := time.Now()
	j.room.began = begin.Add(-time.Hour)
	j.now = func() time.Time { return begin.Add(time.Hour) }
	for range 20 {
		j.flush(nil)
	}
	require.False(t, j.untidy())
	require.Greater(t, j.Forgotten.Load(), int64(sum/16))
	require.Less(t, j.Forgotten.Load(), int64(sum*45/100))
	require.NoError(t, j.Close())
}

func TestWhatIsTooOldGoes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	j, stop := bounded(t, dir, time.Hour, 0)
	commit := func(from, to uint64) {
		var hits []*detectionv1.Hit
		for n := from; n < to; n++ {
			// When it was seen does not matter: traffic may be replayed.
			hits = append(hits, big(n), hit(10_000+n, "/flood", noon))
		}
		require.NoError(t, j.Commit(t.Context(), hits, nil))
	}
	commit(0, 900)
	require.Len(t, all(t, j), 901)
	stop()

	// Two hours later.
	j = open(t, dir)
	j.cfg.Retention = time.Hour
	j.now = func() time.Time { return time.Now().Add(2 * time.Hour) }
	run(t, j)
	commit(900, 1000)
	require.Eventually(t, func() bool { return lost(j, "attacks_expired") == 900 }, 10*time.Second, time.Millisecond)
	got := all(t, j)
	require.Len(t, got, 101)
	for _, a := range got {
		if a.GetTarget().GetPath() == "/flood" {
			require.EqualValues(t, 1000, a.GetHitCount(), "one that goes on is kept whole")
		}
	}
	require.Eventually(t, func() bool {
		left := 0
		_ = j.db.View(func(tx *bolt.Tx) error { left = tx.Bucket(bucketSpare).Stats().KeyN; return nil })
		return left <= 1000
	}, 10*time.Second, time.Millisecond, "hits of no sample are over the retention, too")
	checkWhole(t, j)
}

// The same hits in any order, any revision and any number of times count once each.
func TestConcurrentResendsCountOnce(t *testing.T) {
	t.Parallel()
	const exchanges = 300
	dir := t.TempDir()
	j, stop := bounded(t, dir, time.Hour, 1<<30)
	deliver := func(seed uint64) {
		random := rand.New(rand.NewPCG(seed, seed))
		var wg sync.WaitGroup
		for range 16 {
			order := random.Perm(exchanges * 3)
			wg.Go(func() {
				for part := range slices.Chunk(order, 50) {
					var hits []*detectionv1.Hit
					var outcomes []*detectionv1.OutcomeUpdate
					for _, n := range part {
						h := hit(uint64(n%exchanges), fmt.Sprintf("/p/%s", letters(uint64(n%7))), noon.Add(time.Duration(n%exchanges)*time.Second))
						h.Revision, h.Rules = uint32(1+n/exchanges), []uint32{uint32(n / exchanges)}
						second := hit(uint64(n%exchanges), "/p", noon)
						second.Request = h.GetRequest()
						second.Type, second.Point, second.Revision, second.ObservedAt = "xss", "body.a", h.GetRevision(), h.GetObservedAt()
						hits = append(hits, h, second)
						outcomes = append(outcomes, &detectionv1.OutcomeUpdate{ExchangeId: h.GetExchangeId(), Revision: 4, Outcome: detectionv1.Outcome_OUTCOME_REACHED_APP, Status: 201})
					}
					if err := j.Commit(context.Background(), hits, outcomes); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
	}
	check := func() {
		sums := map[string]uint64{}
		for _, a := range all(t, j) {
			sums[a.GetType()] += a.GetHitCount()
			require.Equal(t, detectionv1.Outcome_OUTCOME_REACHED_APP, a.GetOutcome())
			for _, h := range a.GetSamples() {
				require.EqualValues(t, 3, h.GetRevision(), "the newest is kept")
			}
		}
		require.Equal(t, map[string]uint64{"sqli": exchanges, "xss": exchanges}, sums)
		checkWhole(t, j)
	}
	deliver(1)
	check()
	require.EqualValues(t, 2*exchanges, j.Hits.Load())
	stop()
	j, _ = bounded(t, dir, time.Hour, 1<<30)
	deliver(2)
	check()
	require.Zero(t, j.Hits.Load())
}

// BenchmarkCommitBatch is a flood: calls of a thousand hits, each answered after an fsync.
func BenchmarkCommitBatch(b *testing.B) {
	const batch = 1000
	for _, callers := range []int{1, 8} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			j, stop := bounded(b, b.TempDir(), time.Hour, 4<<30)
			work := make(chan uint64)
			var wg sync.WaitGroup
			for range callers {
				wg.Go(func() {
					for n := range work {
						hits := make([]*detectionv1.Hit, batch)
						for i := range hits {
							m := n*batch + uint64(i)
							hits[i] = hit(m, fmt.Sprintf("/api/%c/%d", 'a'+m%20, m), noon.Add(time.Duration(m)*time.Millisecond))
						}
						if err := j.Commit(context.Background(), hits, nil); err != nil {
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
			b.ReportMetric(batch*float64(b.N)/b.Elapsed().Seconds(), "hits/s")
			stop()
		})
	}
}
