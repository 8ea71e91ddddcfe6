package people

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestHashAndVerify(t *testing.T) {
	t.Parallel()
	h := newHasher()
	one, err := h.hash(t.Context(), "correct horse battery")
	require.NoError(t, err)
	two, err := h.hash(t.Context(), "correct horse battery")
	require.NoError(t, err)
	require.NotEqual(t, one, two, "salted")
	require.True(t, strings.HasPrefix(one, "$argon2id$v=19$m=19456,t=2,p=1$"))

	for password, want := range map[string]bool{"correct horse battery": true, "correct horse batterx": false, "": false} {
		got, err := h.verify(t.Context(), one, password)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
}

func TestDecoyCostsAsMuchAndFitsNothing(t *testing.T) {
	t.Parallel()
	h := newHasher()
	real, err := h.hash(t.Context(), "x")
	require.NoError(t, err)
	m1, t1, s1, k1, err := decode(h.decoy)
	require.NoError(t, err)
	m2, t2, s2, k2, err := decode(real)
	require.NoError(t, err)
	require.Equal(t, []any{m2, t2, len(s2), len(k2)}, []any{m1, t1, len(s1), len(k1)})
	got, err := h.verify(t.Context(), h.decoy, "")
	require.NoError(t, err)
	require.False(t, got)
}

func TestAcceptable(t *testing.T) {
	t.Parallel()
	for password, good := range map[string]bool{
		"twelve chars": true, strings.Repeat("é", 12): true, "elevenchars": false, "": false,
		strings.Repeat("x", 256): true, strings.Repeat("x", 257): false, "someuser-name": true, "SomeUserName": false,
	} {
		err := acceptable(password, "someusername")
		require.Equal(t, good, err == nil, password)
	}
}

func TestNewSecret(t *testing.T) {
	t.Parallel()
	a, b := newSecret(), newSecret()
	require.Regexp(t, `^[a-z2-7]{5}(-[a-z2-7]{5}){3}$`, a)
	require.NotEqual(t, a, b)
}

func FuzzDecode(f *testing.F) {
	f.Add(newHasher().decoy)
	f.Add("$argon2id$v=19$m=4294967295,t=1,p=1$AAAA$AAAA")
	f.Add("$$$$$")
	f.Fuzz(func(t *testing.T, s string) {
		memory, times, salt, key, err := decode(s)
		if err == nil {
			require.LessOrEqual(t, memory, uint32(1<<20))
			require.LessOrEqual(t, times, uint32(100))
			require.NotEmpty(t, salt)
			require.GreaterOrEqual(t, len(key), 16)
		}
	})
}
