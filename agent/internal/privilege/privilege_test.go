package privilege

import (
	"debug/elf"
	"os"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sidelight/sidelight/internal/testkit"
)

func TestEntryOffset(t *testing.T) {
	t.Parallel()
	offset, err := entryOffset("/proc/self/exe")
	require.NoError(t, err)
	file, err := elf.Open("/proc/self/exe")
	require.NoError(t, err)
	defer file.Close()
	text := file.Section(".text")
	require.GreaterOrEqual(t, offset, text.Offset)
	require.Less(t, offset, text.Offset+text.Size)
	_, err = entryOffset("/proc/self/status")
	require.Error(t, err)
}

// The question about uprobes leaves this process as it was, and the thread that asks.
func TestAskingCostsNothing(t *testing.T) {
	testkit.RequireRoot(t)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before, err := get()
	require.NoError(t, err)
	require.ErrorIs(t, withoutAdmin(func() error {
		during, err := get()
		require.NoError(t, err)
		require.Zero(t, during.effective&(1<<unix.CAP_SYS_ADMIN))
		return unix.EACCES
	}), unix.EACCES)
	refused := perfUprobeRefused()
	t.Logf("uprobes through perf events without CAP_SYS_ADMIN are refused: %v", refused)
	after, err := get()
	require.NoError(t, err)
	require.Equal(t, before, after)
	kind, offset, err := perfUprobeArguments()
	require.NoError(t, err)
	require.NoError(t, perfUprobe(kind, offset), "root may")
}

// With everything kept there is nothing to start anew for, and a second start ends it in any case.
func TestReduceNothing(t *testing.T) {
	var all []Capability
	for number := range uint(64) {
		all = append(all, Capability{Number: number})
	}
	require.NoError(t, Reduce(all))
	t.Setenv(reducedVariable, "1")
	require.NoError(t, Reduce(nil))
	require.Empty(t, os.Getenv(reducedVariable))
}

func TestMissing(t *testing.T) {
	t.Parallel()
	missing, err := Missing([]Capability{{Number: 63}})
	require.NoError(t, err)
	require.Len(t, missing, 1)
	for _, c := range append(base, perfUprobes) {
		require.NotEmpty(t, c.Use)
		require.NotEmpty(t, c.Without)
	}
}
