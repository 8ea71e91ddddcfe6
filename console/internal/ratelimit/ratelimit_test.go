package ratelimit

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestTake(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	l := New(3, 10*time.Second, func() time.Time { return now })
	for range 3 {
		require.True(t, l.Take("a"))
	}
	require.False(t, l.Take("a"))
	require.False(t, l.Allowed("a"))
	require.True(t, l.Take("b"), "others are not touched")

	now = now.Add(9 * time.Second)
	require.False(t, l.Take("a"))
	now = now.Add(time.Second)
	require.True(t, l.Take("a"))
	require.False(t, l.Take("a"))

	l.GiveBack("a")
	require.True(t, l.Take("a"))

	now = now.Add(time.Hour)
	for range 3 {
		require.True(t, l.Take("a"), "a pause never saves up more than the burst")
	}
	require.False(t, l.Take("a"))
}

func TestFloodOfNamesForgetsNobody(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	l := New(1, time.Hour, func() time.Time { return now })
	require.True(t, l.Take("admin"))
	for i := range 4 * slots {
		l.Take(strconv.Itoa(i))
	}
	require.False(t, l.Take("admin"))
	require.Len(t, l.buckets, slots)
}

func TestAddress(t *testing.T) {
	t.Parallel()
	for remote, want := range map[string]string{
		"192.0.2.7:1234":             "192.0.2.7",
		"[::ffff:192.0.2.7]:1":       "192.0.2.7",
		"[2001:db8:1:2:3:4:5:6]:443": "2001:db8:1:2::/64",
		"[2001:db8:1:2:ffff::1]:443": "2001:db8:1:2::/64",
		"[fe80::1%eth0]:443":         "fe80::/64",
		"somewhere":                  "somewhere",
	} {
		require.Equal(t, want, Address(remote), remote)
	}
}
