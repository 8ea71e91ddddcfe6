package filter

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// columns is a query that can answer everything.
func columns() map[string]Column {
	all := map[string]Column{}
	for _, name := range order {
		all[name] = Column{"t." + name, keys[name].kind}
	}
	all["type"] = Column{"t.types", Array}
	all["point"] = Column{"t.points", Array}
	return all
}

func TestSQL(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]struct {
		where string
		args  []any
	}{
		"":               {"true", nil},
		"service:shop,a": {"((t.service) = any($3::text[]))", []any{[]string{"shop", "a"}}},
		`path:/a_%\b*,/c`: {
			"((t.path) = any($3::text[]) or (t.path) like any($4::text[]))", []any{[]string{"/c"}, []string{`/a\_\%\\b%`}},
		},
		"host:Shop": {
			`(lower((t.host) collate "C") = any($3::text[]) or lower((t.host) collate "C") like any($4::text[]))`,
			[]any{[]string{"shop"}, []string{"shop:%"}},
		},
		"type:sqli,x*": {
			"exists (select from unnest(t.types) as item where item = any($3::text[]) or item like any($4::text[]))",
			[]any{[]string{"sqli"}, []string{"x%"}},
		},
		"status:4xx,none": {
			"(coalesce((t.status), 0) between $3 and $4 or coalesce((t.status), 0) between $5 and $6)",
			[]any{int64(400), int64(499), int64(0), int64(0)},
		},
		"-attack:true": {"(((t.attack) = any($3::bool[])) is not true)", []any{[]bool{true}}},
		"client:10.1.2.3,::/0": {
			"((t.client) <<= any($3::text[]::inet[]))", []any{[]string{"10.1.2.3/32", "::/0"}},
		},
		"x": {
			`((lower((t.path) collate "C") like any($3::text[])) or (lower((t.host) collate "C") like any($4::text[])))`,
			[]any{[]string{"%x%"}, []string{"%x%"}},
		},
		"(node:a OR pod:b) -cluster:c": {
			"((((t.node) = any($3::text[])) or ((t.pod) = any($4::text[]))) and (((t.cluster) = any($5::text[])) is not true))",
			[]any{[]string{"a"}, []string{"b"}, []string{"c"}},
		},
	} {
		f, err := Parse(text)
		require.NoError(t, err)
		where, args, err := f.SQL(columns(), 3)
		require.NoError(t, err)
		require.Equal(t, want.where, where, "%s", text)
		require.Equal(t, want.args, args, "%s", text)
	}
}

func TestSQLSaysWhatItCannotDo(t *testing.T) {
	t.Parallel()
	few := map[string]Column{"service": {"s", Text}, "type": {"t", Text}}
	sql := func(text string, columns map[string]Column) error {
		f, err := Parse(text)
		require.NoError(t, err)
		_, _, err = f.SQL(columns, 1)
		return err
	}
	require.NoError(t, sql("type:sqli -service:shop", few))
	var asked *Error
	require.ErrorAs(t, sql("-(type:sqli pod:a)", few), &asked)
	require.EqualError(t, asked, `key "pod" cannot be used here; want one of type, service`)
	require.ErrorAs(t, sql("a", few), &asked)
	require.EqualError(t, asked, "a word without a key cannot be used here; want one of type, service before it, and a colon")
	// The program's fault, not the person's.
	err := sql("status:404", map[string]Column{"status": {"s", Text}})
	require.EqualError(t, err, "filter key status: a column of kind text cannot hold a value of kind int")
}

var place = regexp.MustCompile(`\$\d+`)

// wellFormed demands balanced parentheses, and exactly the arguments that the text names.
func wellFormed(t *testing.T, where string, args []any, first int) {
	t.Helper()
	depth := 0
	for _, c := range where {
		switch c {
		case '(':
			depth++
		case ')':
			depth--
		}
		require.GreaterOrEqual(t, depth, 0, "%s", where)
	}
	require.Zero(t, depth, "%s", where)
	named := map[string]int{}
	for _, found := range place.FindAllString(where, -1) {
		named[found]++
	}
	require.Len(t, named, len(args), "%s", where)
	for i := range args {
		require.Equal(t, 1, named[fmt.Sprintf("$%d", first+i)], "%s", where)
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		busy, "", "a", "-a", "--a", "((a))", `"a b"`, `path:"/a","/b*"`, "NOT (a OR b) c", "type:sqli,xss status:>=500", "client:::1/64",
		"client:1::2:3:4:5:6:7", "status:>1", "status:<3", "status:1..999", "a:b", "a,b", `"\"\\"`, "OR", "ORa", "a OR(b)", "AND", "é:x", "\u00a0a",
		"host:[::1]:80", "a\tb\nc", `""`, `pod:""`, "*", "**", `"*"`, "-(a b) OR -(c OR d)", "'; drop table x --", "$1", "x\\", "phase:CLOSED", "a*OR",
		strings.Repeat("-(", 16) + "a" + strings.Repeat(")", 16),
	} {
		f.Add(seed)
	}
	all, s := columns(), attack()
	f.Fuzz(func(t *testing.T, text string) {
		parsed, err := Parse(text)
		if err != nil {
			var where *Error
			require.ErrorAs(t, err, &where)
			require.LessOrEqual(t, where.Column, len(text)+1)
			return
		}
		roundTrip(t, parsed)
		where, args, err := parsed.SQL(all, 2)
		require.NoError(t, err)
		wellFormed(t, where, args, 2)
		again, err := Parse(parsed.String())
		require.NoError(t, err)
		require.Equal(t, parsed.Match(s), again.Match(s))
		turned, err := Parse("-(" + text + ")")
		if err == nil && parsed.root != nil {
			require.NotEqual(t, parsed.Match(s), turned.Match(s), "%s", text)
		}
	})
}
