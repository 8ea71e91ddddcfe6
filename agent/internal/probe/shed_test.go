package probe

import (
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Of a process that has to give something up, connections are taken as a whole or left out as a whole, and every request on those
// that are left out is counted.
func TestLeftOut(t *testing.T) {
	overBackends(t, leftOut)
}

func leftOut(t *testing.T, backend string) {
	r := start(t, "read-write", generous(backend))
	const connections, messages = 60, 3
	require.NoError(t, r.probe.SetShares(map[uint32]float64{r.pid: 0.5}))
	for range connections {
		conn, err := net.Dial("tcp", r.address)
		require.NoError(t, err)
		exchange(t, conn, random(100), random(200), random(300))
		require.NoError(t, conn.Close())
	}
	taken := func() int {
		r.mu.Lock()
		defer r.mu.Unlock()
		ended := map[ConnKey]bool{}
		for _, e := range r.events {
			ended[e.Conn] = ended[e.Conn] || e.Flags&FlagClose != 0
		}
		for _, done := range ended {
			if !done {
				return 0
			}
		}
		return len(ended)
	}
	require.Eventually(t, func() bool {
		return r.probe.Usage(r.pid).Shed == uint64(messages*(connections-taken()))
	}, 10*time.Second, 5*time.Millisecond)
	require.Greater(t, taken(), connections/5)
	require.Less(t, taken(), connections*4/5)
	require.Equal(t, uint64(2*600*(connections-taken())), r.probe.Stats().ShedBytes)
	bytes := map[ConnKey]int{}
	for _, e := range r.events {
		bytes[e.Conn] += len(e.Data)
	}
	for conn, n := range bytes {
		require.Equal(t, 2*600, n, "a part of %v", conn)
	}
}

// A connection that is taken again tells what was left out, by its size and in its place.
func TestLeftOutForATime(t *testing.T) {
	overBackends(t, leftOutForATime)
}

func leftOutForATime(t *testing.T, backend string) {
	r := start(t, "read-write", generous(backend))
	none := map[uint32]float64{r.pid: 0}
	conn, err := net.Dial("tcp", r.address)
	require.NoError(t, err)
	exchange(t, conn, []byte("seen"))
	require.NoError(t, r.probe.SetShares(none))
	exchange(t, conn, random(5000), random(700))
	require.NoError(t, r.probe.SetShares(nil))
	exchange(t, conn, []byte("again"))
	require.NoError(t, r.probe.SetShares(none))
	exchange(t, conn, random(300))
	require.NoError(t, conn.Close())
	r.awaitClose(t)
	for _, dir := range []Direction{In, Out} {
		data, copied, size := r.stream(dir)
		require.Equal(t, 4+5700+5+300, size, "nothing twice")
		require.Equal(t, "seen", string(data[:4]))
		require.NotContains(t, copied[4:5704], true)
		require.Equal(t, "again", string(data[5704:5709]))
		require.NotContains(t, copied[5709:], true)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.events {
		require.Zero(t, e.Flags&FlagUnseen)
		if e.Len > 0 && len(e.Data) == 0 {
			require.NotZero(t, e.Flags&FlagShed)
		}
	}
	require.Equal(t, uint64(3), r.probe.Usage(r.pid).Shed)
}

// One that nobody heard of is as one that is older than the agent.
func TestLeftOutAtFirst(t *testing.T) {
	overBackends(t, leftOutAtFirst)
}

func leftOutAtFirst(t *testing.T, backend string) {
	r := start(t, "read-write", generous(backend))
	require.NoError(t, r.probe.SetShares(map[uint32]float64{r.pid: 0}))
	conn, err := net.Dial("tcp", r.address)
	require.NoError(t, err)
	exchange(t, conn, []byte("left out"))
	require.NoError(t, r.probe.SetShares(nil))
	exchange(t, conn, []byte("seen"))
	require.NoError(t, conn.Close())
	r.awaitClose(t)
	data, _, _ := r.stream(In)
	require.Equal(t, "seen", string(data))
	require.Zero(t, r.events[0].Flags&FlagStart)
	require.NotZero(t, r.events[0].Flags&FlagAccepted)
}
