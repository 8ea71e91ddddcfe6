package installations

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func secrets(org int64) []byte {
	return map[int64][]byte{1: []byte("one"), 2: []byte("two")}[org]
}

func TestAccessToken(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	c := claims{Org: 1, Installation: "i", Generation: 3, Expires: 1010}
	good := c.sign([]byte("one"))
	got, err := parse(good, now, secrets)
	require.NoError(t, err)
	require.Equal(t, c, got)

	other := c
	other.Org = 2
	forged := accessPrefix + base64.RawURLEncoding.EncodeToString([]byte(`{"o":1,"i":"x","g":3,"e":9999}`))
	for name, token := range map[string]string{
		"empty":              "",
		"other organisation": other.sign([]byte("one")),
		"no such key":        claims{Org: 9, Expires: 9999}.sign(nil),
		"other key":          c.sign([]byte("two")),
		"changed":            strings.Replace(good, good[5:6], "A", 1) + "A",
		"no signature":       forged + ".",
		"signature moved":    forged + good[strings.LastIndexByte(good, '.'):],
		"cut":                good[:len(good)-2],
		"prefix alone":       accessPrefix,
		"prefix and dot":     accessPrefix + ".",
		"long":               good + strings.Repeat("A", longestToken),
	} {
		_, err := parse(token, now, secrets)
		require.ErrorIs(t, err, ErrAccess, name)
	}
	_, err = parse(good, time.Unix(1009, 0), secrets)
	require.NoError(t, err)
	_, err = parse(good, time.Unix(1010, 0), secrets)
	require.ErrorIs(t, err, ErrAccess, "too old")
}

func FuzzParse(f *testing.F) {
	f.Add(claims{Org: 1, Installation: "i", Expires: 1 << 40}.sign([]byte("other")))
	f.Add("v1..")
	f.Add("v1.e30.AAAA")
	f.Fuzz(func(t *testing.T, token string) {
		_, err := parse(token, time.Unix(0, 0), secrets)
		require.ErrorIs(t, err, ErrAccess, "nothing passes without the key")
	})
}
