package hostcheck

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sidelight/sidelight/agent/internal/privilege"
	"github.com/sidelight/sidelight/internal/testkit"
)

// roleVariable makes the test binary say what it finds.
const roleVariable = "SIDELIGHT_TEST_CHECK"

func TestMain(m *testing.M) {
	if os.Getenv(roleVariable) == "" {
		os.Exit(m.Run())
	}
	if err := json.NewEncoder(os.Stdout).Encode(Check()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// as runs the check as an ordinary user with these capabilities alone.
func as(t *testing.T, capabilities ...uintptr) []Finding {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), roleVariable+"=1")
	cmd.Stderr = t.Output()
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}, AmbientCaps: capabilities}
	out, err := cmd.Output()
	require.NoError(t, err)
	var list []Finding
	require.NoError(t, json.Unmarshal(out, &list))
	return list
}

// Each capability that is missing is told, with what is lost; and what is said to be needed is needed.
func TestEachCapability(t *testing.T) {
	t.Parallel()
	testkit.RequireRoot(t)
	wanted := privilege.Wanted()
	var all []uintptr
	for _, c := range wanted {
		all = append(all, uintptr(c.Number))
	}
	for _, f := range as(t, all...) {
		require.True(t, f.OK, f)
		if f.Name == "capabilities" {
			require.False(t, f.Limited, f)
		}
	}
	for i, c := range wanted {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			list := as(t, slices.Delete(slices.Clone(all), i, i+1)...)
			at := slices.IndexFunc(list, func(f Finding) bool { return strings.HasPrefix(f.Detail, c.Name+" is missing: ") })
			require.GreaterOrEqual(t, at, 0, list)
			require.Equal(t, !c.Required, list[at].OK)
			require.True(t, list[at].Limited)
			require.NotEmpty(t, list[at].Do)
		})
	}
}

func TestVersion(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][2]int{"6.1.0-18-amd64": {6, 1}, "5.10.28": {5, 10}, "7.0-rc1": {7, 0}, "": {}, "x": {}} {
		major, minor := version(text)
		require.Equal(t, want, [2]int{major, minor}, text)
	}
}

func TestTry(t *testing.T) {
	testkit.RequireRoot(t)
	require.NoError(t, try(ebpf.AttachTraceRawTp, "sys_exit"))
	require.Error(t, try(ebpf.AttachTraceRawTp, "no_such_tracepoint"))
	require.Equal(t, "operation not permitted", reason(fmt.Errorf("x: %w", unix.EPERM)))
}
