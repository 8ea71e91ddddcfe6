package transform

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSource(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		steps    []string
		in, find string
		want     string
	}{
		"percent":            {[]string{Percent}, "a%20b%2Fc", "b/", "b%2F"},
		"form":               {[]string{Form}, "a+b%27", " b'", "+b%27"},
		"JSON":               {[]string{JSONString}, `x\u0027\n'`, "'\n", `\u0027\n`},
		"JSON surrogates":    {[]string{JSONString}, `a\ud83d\ude00b`, "😀", `\ud83d\ude00`},
		"two layers":         {[]string{Form, "urlDecodeUni"}, "%2527x", "'", "%2527"},
		"wide percent":       {[]string{"urlDecodeUni"}, "%uff1cb", "<", "%uff1c"},
		"entities":           {[]string{"htmlEntityDecode"}, "a&lt;b&gt;&#x41;", "<b>", "&lt;b&gt;"},
		"entity unfinished":  {[]string{"htmlEntityDecode"}, "&lt &amp;lt;", "<", "&lt"},
		"case":               {[]string{"lowercase"}, "SELECT", "ele", "ELE"},
		"comments":           {[]string{"replaceComments"}, "un/**/ion", " ion", "/**/ion"},
		"command line":       {[]string{"cmdLine"}, `c^at   /e"tc"/passwd`, "cat/etc/", `c^at   /e"tc"/`},
		"NULs":               {[]string{"removeNulls"}, "a\x00b", "ab", "a\x00b"},
		"white space":        {[]string{"removeWhitespace"}, "a \tb", "ab", "a \tb"},
		"script escapes":     {[]string{"jsDecode"}, `\x3c\u003e\74\u{3c}`, "<>", `\x3c\u003e`},
		"style escapes":      {[]string{"cssDecode"}, `\3c x\y`, "<x", `\3c x`},
		"escape sequences":   {[]string{"escapeSeqDecode"}, `\x41\102\n`, "AB", `\x41\102`},
		"path":               {[]string{"normalizePath"}, "/a/../b/./c", "/b/c", "/b/./c"},
		"Windows path":       {[]string{"normalizePathWin"}, `c:\x\..\win.ini. `, "win.ini", "win.ini"},
		"utf-8":              {[]string{"utf8toUnicode"}, "aéb", "%u00e9", "é"},
		"compressed":         {[]string{"compressWhitespace"}, "a \t\n b", "a b", "a \t\n b"},
		"comment characters": {[]string{"removeCommentsChar"}, "a--b", "ab", "a--b"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, ok := ApplyAll(tt.steps, Plain([]byte(tt.in)))
			require.True(t, ok)
			k := indexOf(string(got.Data), tt.find)
			require.GreaterOrEqual(t, k, 0, "%q is not in %q", tt.find, got.Data)
			start, end := got.Source(k, k+len(tt.find))
			require.Equal(t, tt.want, tt.in[start:end])
		})
	}
}

func indexOf(s, sub string) int {
	for i := 0; i+len(sub) <= len(s); i++ {
		if s[i:i+len(sub)] == sub {
			return i
		}
	}
	return -1
}

func TestWrapped(t *testing.T) {
	t.Parallel()
	w := Wrapped("/", Plain([]byte("etc")), "/")
	require.Equal(t, "/etc/", string(w.Data))
	start, end := w.Source(0, 5)
	require.Equal(t, []int{0, 3}, []int{start, end})
	start, end = w.Source(4, 5)
	require.Equal(t, []int{3, 3}, []int{start, end})
}

func TestUnknown(t *testing.T) {
	t.Parallel()
	_, ok := Apply("sha1", Plain([]byte("a")))
	require.False(t, ok)
}

// What has nothing to transform is handed back as it is.
func TestIdentity(t *testing.T) {
	t.Parallel()
	in := []byte("plain")
	for _, step := range []string{Percent, Form, JSONString, "urlDecodeUni", "utf8toUnicode", "lowercase", "removeNulls", "jsDecode", "htmlEntityDecode"} {
		got, ok := Apply(step, Plain(in))
		require.True(t, ok)
		require.Same(t, &in[0], &got.Data[0], step)
	}
}
