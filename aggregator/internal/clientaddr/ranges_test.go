package clientaddr

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParseRanges(t *testing.T) {
	t.Parallel()
	list, err := ParseRanges([]string{"10.0.0.0/8", "192.0.2.1", "2001:db8::/32", "::1"})
	require.NoError(t, err)
	require.True(t, list.Contains(netip.MustParseAddr("10.9.9.9")))
	require.True(t, list.Contains(netip.MustParseAddr("192.0.2.1")))
	require.False(t, list.Contains(netip.MustParseAddr("192.0.2.2")))
	for _, bad := range []string{"", "10.0.0.1/8", "10.0.0.0/33", "shop", "fe80::1%eth0", "::ffff:10.0.0.0/104", "10.0.0.0/8 "} {
		_, err := ParseRanges([]string{"10.0.0.0/8", bad})
		require.ErrorContains(t, err, "trusted range", "%q", bad)
	}
	_, err = ParseRanges(make([]string, maxRanges+1))
	require.ErrorContains(t, err, "at most")
}

func FuzzParseRanges(f *testing.F) {
	for _, seed := range []string{"10.0.0.0/8", "::/0", "1.2.3.4", "::ffff:1.2.3.4", "fe80::1%eth0", "/", "0.0.0.0/-1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		list, err := ParseRanges([]string{text})
		if err != nil {
			return
		}
		require.Len(t, list, 1)
		require.True(t, list[0].IsValid())
		require.True(t, list.Contains(list[0].Addr()), "what is trusted is found")
	})
}

func TestMoreIsTrustedAndNoMore(t *testing.T) {
	t.Parallel()
	x := exchange("10.0.0.1", "X-Forwarded-For: 198.51.100.7, 192.0.2.1")
	r := resolver(t, "10.0.0.0/8")
	require.Equal(t, "192.0.2.1", r.Resolve(x).GetAddress())
	r.Trust(trusted(t, "192.0.2.0/24"))
	require.Equal(t, "198.51.100.7", r.Resolve(x).GetAddress())
	r.Trust(nil)
	require.Equal(t, "192.0.2.1", r.Resolve(x).GetAddress())
}

func TestWhichHeadersCount(t *testing.T) {
	t.Parallel()
	all := []string{"X-Forwarded-For: 1.1.1.1", "Forwarded: for=2.2.2.2", "X-Real-IP: 3.3.3.3"}
	for name, tc := range map[string]struct {
		headers []string
		want    string
	}{
		"as usual":                      {Headers(), "1.1.1.1"},
		"a proxy that sets only one":    {[]string{"x-real-ip"}, "3.3.3.3"},
		"another order":                 {[]string{"Forwarded", "X-Real-IP", "X-Forwarded-For"}, "2.2.2.2"},
		"none":                          {nil, "10.0.0.1"},
		"the lie is not even looked at": {[]string{"x-real-ip", "forwarded"}, "3.3.3.3"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, err := New(trusted(t, "10.0.0.0/8"), tc.headers)
			require.NoError(t, err)
			require.Equal(t, tc.want, r.Resolve(exchange("10.0.0.1", all...)).GetAddress())
		})
	}
	_, err := New(nil, []string{"x-client-ip"})
	require.ErrorContains(t, err, "x-forwarded-for, forwarded, x-real-ip")
	_, err = New(nil, []string{"forwarded", "Forwarded"})
	require.ErrorContains(t, err, "twice")
}
