package page

import (
	"testing"

	"github.com/stretchr/testify/require"
)

type key struct {
	Name string `json:"n"`
	At   int64  `json:"t"`
}

func TestTokenRoundTrip(t *testing.T) {
	t.Parallel()
	for _, k := range []key{{}, {"a", 1}, {"ключ \"<\x01", -5}} {
		var got key
		there, err := Parse(Token(k), &got)
		require.NoError(t, err)
		require.True(t, there)
		require.Equal(t, k, got)
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	var k key
	there, err := Parse("", &k)
	require.NoError(t, err)
	require.False(t, there)
	for _, token := range []string{"!", "e30=", Token("a string"), Token(map[string]int{"other": 1}), Token([]int{1})} {
		_, err := Parse(token, &k)
		require.ErrorIs(t, err, ErrToken, token)
	}
}

func TestSize(t *testing.T) {
	t.Parallel()
	require.EqualValues(t, 50, Size(0, 50))
	require.EqualValues(t, 7, Size(7, 50))
	require.EqualValues(t, 500, Size(1<<31, 50))
}

func FuzzParse(f *testing.F) {
	f.Add("")
	f.Add(Token(key{"x", 3}))
	f.Add("e30")
	f.Fuzz(func(t *testing.T, token string) {
		var k key
		if there, err := Parse(token, &k); err == nil && there {
			var again key
			_, err := Parse(Token(k), &again)
			require.NoError(t, err)
			require.Equal(t, k, again)
		}
	})
}
