package probe

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// What was read is known to a moment, also while nothing happens, and stays what it was when reading has ended.
func TestReadUntil(t *testing.T) {
	overBackends(t, readUntil)
}

func readUntil(t *testing.T, backend string) {
	r := prepare(t, "read-write", generous(backend))
	now := Monotonic()
	require.Equal(t, now, r.probe.ReadUntil(now), "nothing is attached: nothing is missed")

	attached := Monotonic()
	require.NoError(t, r.probe.SetTargets([]Target{{r.pid, []uint16{r.port}}}))
	require.GreaterOrEqual(t, r.probe.ReadUntil(Monotonic()), attached)
	r.talk(t, []byte("seen"))
	r.mu.Lock()
	last := r.events[len(r.events)-1].Mono
	r.mu.Unlock()
	require.Eventually(t, func() bool { return r.probe.ReadUntil(Monotonic()) > last }, 10*time.Second, time.Millisecond)
	quiet := Monotonic()
	require.Eventually(t, func() bool { return r.probe.ReadUntil(Monotonic()) > quiet }, 10*time.Second, time.Millisecond)
	require.LessOrEqual(t, r.probe.ReadUntil(5), uint64(5))

	r.stop()
	ended := r.probe.ReadUntil(Monotonic())
	require.Greater(t, ended, last)
	require.Equal(t, ended, r.probe.ReadUntil(Monotonic()+uint64(time.Hour)))
}
