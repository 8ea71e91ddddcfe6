package secret

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestToken(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]bool{
		"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P": true,
		"d41d8cd98f00b204e9800998ecf8427e":                                      true,
		"kX9vB2mQ7pLw4ZtR8sYc":                                                  true,
		"k3j4h5k2j3h4k5j2h3k4":                                                  true,
		"QWxhZGRpbjpvcGVuIHNlc2FtZTEyMzQ1Ng==":                                  true,
		"sk_live_abcdefghij":                                                    true,
		"AKIAIOSFODNN7EXAMPLE":                                                  true,
		"aBcDeFgHiJkLmNoPqRsTuVwX":                                              true,
		"123e4567-e89b-12d3-a456-426614174000":                                  false,
		"507f1f77bcf86cd799439011":                                              false,
		"01ARZ3NDEKTSV4RRFFQ69G5FAV":                                            false,
		"Top-10-Tips-For-Learning-Go-In-2024":                                   false,
		"how-to-win-friends-and-influence-people":                               false,
		"isEligibleForFreeShippingV2":                                           false,
		"20240101120000123456789":                                               false,
		"authenticated_encryption_with_associated_data":                         false,
		"../../../../etc/passwd":                                                false,
		"2024-11-27T12:00:00.000Z":                                              false,
		"' UNION SELECT 1,2,3,4,5,6,7,8 --":                                     false,
		"orders":                                                                false,
		"":                                                                      false,
	} {
		require.Equal(t, want, Token([]byte(in)), in)
	}
}

func TestRuns(t *testing.T) {
	t.Parallel()
	require.Equal(t, [][2]int{{20, 52}}, Runs([]byte("wordpress_logged_in_d41d8cd98f00b204e9800998ecf8427e")))
	require.Equal(t, [][2]int{{3, 23}}, Runs([]byte("bot.kX9vB2mQ7pLw4ZtR8sYc!")[1:]))
	require.Nil(t, Runs([]byte("a-name-that-a-developer-gave")))
}

func FuzzRuns(f *testing.F) {
	f.Add([]byte("wordpress_logged_in_d41d8cd98f00b204e9800998ecf8427e"))
	f.Fuzz(func(t *testing.T, in []byte) {
		end := 0
		for _, r := range Runs(in) {
			require.True(t, r[0] >= end && r[0] < r[1] && r[1] <= len(in))
			end = r[1]
		}
	})
}
