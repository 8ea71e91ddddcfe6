package local

import (
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDemo(t *testing.T) {
	d := startDemo(t, "--seed=7")
	d.until(t, `^up after .* [1-9]\d* processes mirrored`)
	processes := children(d.cmd.Process.Pid)
	code, last := d.end(t)
	require.Equal(t, 0, code)
	require.Contains(t, last, "demo OK")
	d.leftNothing(t, processes)
}

func TestDemoWithNothingSelected(t *testing.T) {
	d := startDemo(t, "--seed=7", "--filters=none")
	code, last := d.end(t)
	require.Equal(t, 1, code)
	require.Contains(t, d.output.String(), "seen 0")
	require.Contains(t, last, "0 of")
}

// Whatever is killed in mid-demo, the demo fails, its last line says why, and nothing is left behind.
func TestDemoNamesWhatWasKilled(t *testing.T) {
	for process, cause := range map[string]string{
		"child agent":   "agent exited: signal: killed",
		"nginx: master": "nginx exited: signal: killed",
		"postgres -D":   "postgres exited",
	} {
		t.Run(process, func(t *testing.T) {
			d := startDemo(t, "--seed=7", "--stay")
			d.until(t, `^up after`)
			processes := children(d.cmd.Process.Pid)
			require.NoError(t, syscall.Kill(d.find(t, process), syscall.SIGKILL))
			code, last := d.end(t)
			require.Equal(t, 1, code)
			require.Contains(t, last, cause)
			d.leftNothing(t, processes)
		})
	}
}
