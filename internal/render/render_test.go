package render

import (
	"os/exec"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/sidelight/sidelight/internal/testkit/hostile"
)

func TestTerminal(t *testing.T) {
	t.Parallel()
	for _, text := range hostile.Corpus() {
		shown := Terminal(text)
		require.True(t, utf8.ValidString(shown))
		for _, r := range shown {
			require.True(t, r == ' ' || unicode.IsPrint(r), "%q shows %U", text, r)
			require.False(t, unicode.Is(unicode.Bidi_Control, r) || unicode.Is(unicode.Cf, r), "%q shows %U", text, r)
		}
	}
	require.Equal(t, `\x1b[31mred`, Terminal("\x1b[31mred"))
	require.Equal(t, `a\u{202e}b`, Terminal("a\u202eb"))
	require.Equal(t, "ä 日本", Terminal("ä 日本"))
}

func TestJSONSafe(t *testing.T) {
	t.Parallel()
	for _, text := range hostile.Corpus() {
		require.True(t, utf8.ValidString(JSONSafe(text)))
	}
	require.Equal(t, `\xff\xfea`, JSONSafe("\xff\xfea"))
}

func TestCSV(t *testing.T) {
	t.Parallel()
	for _, text := range hostile.Corpus() {
		field := CSV(text)
		require.NotContains(t, field, "\n")
		inside := strings.Trim(strings.ReplaceAll(field, `""`, ""), `"`)
		require.NotContains(t, inside, `"`)
		if bare := strings.TrimLeft(inside, " "); bare != "" {
			require.NotContains(t, "=+-@|%", bare[:1], "%q is a formula", text)
		}
	}
	require.Equal(t, `"'=1+1"`, CSV("=1+1"))
}

// A real shell must read back the very bytes.
func TestShell(t *testing.T) {
	t.Parallel()
	bash, err := exec.LookPath("bash")
	require.NoError(t, err)
	for _, text := range hostile.Corpus() {
		if strings.Contains(text, "\x00") {
			continue // no shell word can hold it
		}
		output, err := exec.Command(bash, "-c", "printf %s "+Shell(text)).Output()
		require.NoError(t, err, "%q", text)
		require.Equal(t, text, string(output))
	}
}

func FuzzTerminal(f *testing.F) {
	for _, text := range hostile.Corpus() {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, r := range Terminal(text) {
			if r != ' ' && !unicode.IsPrint(r) {
				t.Fatalf("%q shows %U", text, r)
			}
		}
		require.True(t, utf8.ValidString(CSV(text)))
		require.NotContains(t, Shell(text), "\x1b")
	})
}
