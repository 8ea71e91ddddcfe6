package journal

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	bolt "go.etcd.io/bbolt"
	"go.uber.org/goleak"

	detectionv1 "github.com/sidelight/sidelight/proto/gen/sidelight/detection/v1"

	"github.com/sidelight/sidelight/internal/losses"
	"github.com/sidelight/sidelight/internal/testkit"
)

// childDir makes this test's program a process that writes until it is killed.
const childDir = "SIDELIGHT_JOURNAL_CHILD"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		writeUntilKilled(dir)
		return
	}
	if dir := os.Getenv(fullDir); dir != "" {
		fillADisk(dir)
		return
	}
	goleak.VerifyTestMain(m)
}

// writeUntilKilled prints the number of each hit after it was acknowledged.
func writeUntilKilled(dir string) {
	j, err := Open(Config{Dir: dir, Cluster: "east"}, Deps{Log: testkit.Quiet(), Losses: losses.NewLosses(nil, "cloudsync")})
	if err != nil {
		fmt.Println("failed:", err)
		return
	}
	go func() { _ = j.Run(context.Background()) }()
	next, err := strconv.ParseUint(os.Getenv(childDir+"_FROM"), 10, 64)
	if err != nil {
		fmt.Println("failed:", err)
		return
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for {
				mu.Lock()
				n := next
				next++
				mu.Unlock()
				if err := j.Commit(context.Background(), []*detectionv1.Hit{hit(n, fmt.Sprintf("/%c/%d", 'a'+n%9, n), noon.Add(time.Duration(n)*time.Second))}, nil); err != nil {
					fmt.Println("failed:", err)
					return
				}
				// One write, which a kill does not halve.
				fmt.Fprintf(os.Stdout, "%d\n", n)
			}
		})
	}
	wg.Wait()
}

// A process that is killed in the middle of its work has lost nothing that it had acknowledged.
func TestWhatWasAcknowledgedSurvivesAKill(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	acknowledged := map[uint64]bool{}
	for round := range 4 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), childDir+"="+dir, fmt.Sprintf("%s_FROM=%d", childDir, round*1_000_000))
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		scanner, count := bufio.NewScanner(out), 0
		for scanner.Scan() {
			require.False(t, strings.HasPrefix(scanner.Text(), "failed"), scanner.Text())
			n, err := strconv.ParseUint(scanner.Text(), 10, 64)
			require.NoError(t, err)
			acknowledged[n] = true
			if count++; count == 700+173*round {
				require.NoError(t, cmd.Process.Kill())
			}
		}
		require.Error(t, cmd.Wait(), "it was killed")
	}
	j, _ := start(t, dir)
	require.NoError(t, j.db.View(func(tx *bolt.Tx) error {
		for n := range acknowledged {
			if tx.Bucket(bucketHits).Get(hitKey(id(n), "sqli", "query.q")) == nil {
				t.Errorf("hit %d was acknowledged and is not there", n)
			}
		}
		for err := range tx.Check() {
			t.Errorf("the file is damaged: %v", err)
		}
		return nil
	}))
	kept, counted := 0, uint64(0)
	require.NoError(t, j.db.View(func(tx *bolt.Tx) error {
		kept = tx.Bucket(bucketHits).Stats().KeyN
		return nil
	}))
	for _, a := range all(t, j) {
		counted += a.GetHitCount()
	}
	require.GreaterOrEqual(t, kept, len(acknowledged))
	require.EqualValues(t, kept, counted, "attacks and hits are of one transaction")
}
