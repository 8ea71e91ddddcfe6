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

// A connection that is left out ends, and begins anew as one that is older than the agent.
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
	data := map[ConnKey]string{}
	var order []ConnKey
	ended := func() int {
		r.mu.Lock()
		defer r.mu.Unlock()
		n := 0
		clear(data)
		order = order[:0]
		for _, e := range r.events {
			if _, known := data[e.Conn]; !known {
				order = append(order, e.Conn)
			}
			data[e.Conn] += string(e.Data)
			if e.Flags&FlagClose != 0 {
				require.NotZero(t, e.Flags&FlagShed)
				n++
			}
		}
		return n
	}
	require.Eventually(t, func() bool { return ended() == 2 }, 10*time.Second, 5*time.Millisecond)
	require.Len(t, order, 2)
	require.Equal(t, "seenseen", data[order[0]])
	require.Equal(t, "againagain", data[order[1]])
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.events {
		require.Equal(t, e.Conn == order[0], e.Flags&FlagStart != 0)
		require.NotZero(t, e.Flags&FlagAccepted)
	}
	require.Equal(t, Usage{Shed: 3, ShedBytes: 2 * (5700 + 300)}, r.probe.Usage(r.pid))
	require.Zero(t, r.probe.Stats().UnseenBytes)
}
