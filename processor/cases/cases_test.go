package cases

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAllParses(t *testing.T) {
	t.Parallel()
	all, err := All()
	require.NoError(t, err)
	attacks := map[string]int{}
	silent := map[string]int{}
	seen := map[string]bool{}
	for _, c := range all {
		id := c.File + "/" + c.Name
		require.False(t, seen[id], "two cases are called %s", id)
		seen[id] = true
		if c.Attack {
			attacks[c.File]++
		} else {
			silent[c.File]++
		}
	}
	for _, file := range []string{"sqli", "xss", "ptrav", "rce", "ssti", "nosqli", "ssrf", "xxe", "ldapi", "crlf", "scanner"} {
		require.GreaterOrEqual(t, attacks[file], 3, file)
		require.GreaterOrEqual(t, silent[file], attacks[file]-3, "look-alikes of %s", file)
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	const text = "# c\n### one\n@escaped\nPOST /a?x=\\x01\nA: b\nA:  c\n\na\\r\\n\nb\n=> sqli query.x\n=> xss body\n\n### two\n@crlf\nGET /\n\nl\n=> silent\n"
	got, err := Parse("f", text)
	require.NoError(t, err)
	require.Equal(t, []Case{
		{
			File: "f", Name: "one", Attack: true, Method: "POST", Target: "/a?x=\x01", Headers: [][2]string{{"A", "b"}, {"A", " c"}},
			Body: []byte("a\r\nb"), Expect: []Expectation{{"sqli", "query.x"}, {"xss", "body"}},
		},
		{File: "f", Name: "two", Method: "GET", Target: "/", Body: []byte("l\r\n")},
	}, got)
}

func TestParseSaysWhere(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ text, want string }{
		"outside":         {"x", `f.txt:1: "x" outside a case`},
		"no target":       {"### a\nGET", `f.txt:2: "GET" is not "METHOD TARGET"`},
		"bad header":      {"### a\nGET /\nnope", `f.txt:3: "nope" is not "Name: value"`},
		"no expectation":  {"### a\nGET /\n### b", `f.txt:3: case "a" needs`},
		"both":            {"### a\nGET /\n=> silent\n=> sqli q", `case "a" needs either`},
		"bad expectation": {"### a\nGET /\n=> sqli", `f.txt:3: "sqli" is neither`},
		"bad escape":      {"### a\n@escaped\nGET /\\q\n=> silent", `f.txt:3: "/\\q" has an escape`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Parse("f", tt.text)
			require.ErrorContains(t, err, tt.want)
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add("### a\nGET /\nA: b\n\nbody\n=> silent\n")
	f.Fuzz(func(t *testing.T, text string) {
		cs, err := Parse("f", text)
		if err != nil {
			return
		}
		for _, c := range cs {
			require.Equal(t, c.Attack, len(c.Expect) > 0)
		}
	})
}
