package observe

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestARevisionIsShownOnceAMinute(t *testing.T) {
	t.Parallel()
	now := noon
	d := newDedupe(func() time.Time { return now })
	require.False(t, d.Seen(id(1), 1))
	require.True(t, d.Seen(id(1), 1))
	require.False(t, d.Seen(id(1), 2), "another revision is news")
	require.False(t, d.Seen(id(2), 1))
	now = now.Add(remembered - time.Second)
	require.True(t, d.Seen(id(1), 1))
	now = now.Add(2 * time.Second)
	require.True(t, d.Seen(id(1), 2), "a minute is not over since")
	now = now.Add(2 * remembered)
	require.False(t, d.Seen(id(1), 1))
	require.False(t, d.Seen(nil, 1))
	require.False(t, d.Seen(nil, 1), "without an id nothing is equal")
	require.False(t, d.Seen(make([]byte, longestID+1), 1))
	require.False(t, d.Seen(make([]byte, longestID+1), 1))
}

func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	d := newDedupe(func() time.Time { return noon })
	d.capacity = 100
	last := uint64(0)
	for ; last < 10_000; last++ {
		require.False(t, d.Seen(binary.BigEndian.AppendUint64(nil, last), 1))
		require.LessOrEqual(t, len(d.young)+len(d.old), 2*d.capacity)
	}
	require.True(t, d.Seen(binary.BigEndian.AppendUint64(nil, last-100), 1), "what is newest stays")
}
