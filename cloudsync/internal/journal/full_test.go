package journal

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	bolt "go.etcd.io/bbolt"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	cloudsyncv1 "github.com/sidelight/sidelight/proto/gen/sidelight/cloudsync/v1"
	detectionv1 "github.com/sidelight/sidelight/proto/gen/sidelight/detection/v1"

	"github.com/sidelight/sidelight/internal/losses"
	"github.com/sidelight/sidelight/internal/testkit"
)

// fullDir makes this test's program a process with a small disk of its own, which it fills.
const fullDir = "SIDELIGHT_JOURNAL_FULL"

// fillADisk prints what happens, in words that the test reads.
func fillADisk(dir string) {
	if err := errors.Join(
		syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""),
		syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=4m"),
	); err != nil {
		fmt.Println("cannot mount:", err)
		return
	}
	ballast := dir + "/ballast"
	if err := os.WriteFile(ballast, make([]byte, 1<<20), 0o600); err != nil {
		fmt.Println("failed:", err)
		return
	}
	j, err := Open(Config{Dir: dir, Cluster: "east"}, Deps{Log: testkit.Quiet(), Losses: losses.NewLosses(nil, "cloudsync")})
	if err != nil {
		fmt.Println("failed:", err)
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- j.Run(ctx) }()
	service := NewService(func() (*Journal, error) { return j, nil })
	n := uint64(0)
	commit := func() error {
		_, err := service.Commit(ctx, &cloudsyncv1.CommitRequest{Hits: []*detectionv1.Hit{big(n)}})
		return err
	}
	kept := 0
	// Small ones may still find a place after a large one was refused.
	for refusals := 0; refusals < 5 && n < 10_000; n++ {
		if err := commit(); err != nil {
			refusals++
			fmt.Println("refused:", status.Code(err), j.Ready() != nil, strings.ReplaceAll(err.Error(), "\n", " "))
			continue
		}
		kept++
	}
	// Room comes back.
	if err := os.Remove(ballast); err != nil {
		fmt.Println("failed:", err)
		return
	}
	n++
	fmt.Println("after:", status.Code(commit()), j.Ready() == nil)
	kept++
	cancel()
	if err := <-done; err != nil {
		fmt.Println("failed:", err)
		return
	}
	if j, err = Open(Config{Dir: dir, Cluster: "east"}, Deps{Log: testkit.Quiet(), Losses: losses.NewLosses(nil, "cloudsync")}); err != nil {
		fmt.Println("failed:", err)
		return
	}
	_ = j.db.View(func(tx *bolt.Tx) error {
		damage := 0
		for range tx.Check() {
			damage++
		}
		fmt.Println("damage:", damage, "lost:", kept-tx.Bucket(bucketHits).Stats().KeyN)
		return nil
	})
}

// What a full disk has no room for is not acknowledged; what was acknowledged before stays whole.
func TestAFullDiskRefusesAndDamagesNothing(t *testing.T) {
	t.Parallel()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), fullDir+"="+t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
	}
	out, err := cmd.Output()
	if err != nil && errors.Is(err, syscall.EPERM) {
		testkit.Skip(t, "needs a mount namespace")
	}
	require.NoError(t, err)
	var lines []string
	for scanner := bufio.NewScanner(strings.NewReader(string(out))); scanner.Scan(); {
		lines = append(lines, scanner.Text())
	}
	if strings.HasPrefix(lines[0], "cannot mount") {
		testkit.Skip(t, "needs to mount a tmpfs: "+lines[0])
	}
	require.Len(t, lines, 7, string(out))
	for _, line := range lines[:5] {
		require.Contains(t, line, "refused: "+codes.Unavailable.String()+" true")
		require.Contains(t, line, "no space left on device")
		require.Contains(t, line, "room on the disk of data_dir")
	}
	require.Equal(t, "after: OK true", lines[5])
	require.Equal(t, "damage: 0 lost: 0", lines[6])
}
