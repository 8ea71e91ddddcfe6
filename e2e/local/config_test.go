package local

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// sidelight runs the command and gives its exit code and output.
func sidelight(t *testing.T, stdin string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	cmd := exec.Command(binary, args...)
	var out, errOut bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errOut
	_ = cmd.Run()
	return cmd.ProcessState.ExitCode(), out.String(), errOut.String()
}

func TestBadConfiguration(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ text, want string }{
		"unknown key":  {"mirror:\n  filter: []\n", `:2: unknown key "filter": allowed here: filters`},
		"wrong type":   {"mirror:\n  filters:\n    - port: http\n", ":3: got str `http` want a number"},
		"bad range":    {"trusted_proxies:\n  - 10.0.0.0/99\n", `:2: "10.0.0.0/99" is no address range`},
		"empty filter": {"mirror:\n  filters:\n    - service: x\n", "mirror.filters[0]: it selects nothing: set executable, port, unit or cgroup"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "sidelight.yaml")
			require.NoError(t, os.WriteFile(file, []byte(test.text), 0o600))
			code, _, stderr := sidelight(t, "", "run", "--config", file)
			require.Equal(t, 2, code)
			require.Contains(t, stderr, test.want)
		})
	}
	code, _, stderr := sidelight(t, "", "demo", "--seed=x")
	require.Equal(t, 2, code)
	require.Contains(t, stderr, "want a number or random")
}

func TestInspect(t *testing.T) {
	t.Parallel()
	type answer struct {
		ID   json.RawMessage
		Hits []struct {
			Type, Point string
			Rules       []uint32
			Evidence    struct {
				Offset, Length uint64
				Text           string
			}
		}
		Matches  []uint32
		Complete bool
	}
	input := `{"id":"a","method":"GET","target":"/etc/passwd","headers":[["Host","shop"]]}
{"id":2,"method":"GET","target":"/?q=%27%20or%201%3D1--%20-","headers":[["Host","shop"]]}
{"id":"c","method":"GET","target":"/docs/etc/passwords","headers":[["Host","shop"]]}
{"method":"GET"}

{"id":"d","method":"POST","target":"/x","headers":[["Host","shop"],["X-Raw","\u00ff"]],"body_base64":"YT1i"}
{"id":"e","method":"GET","target":"/\u0394"}
not json
`
	code, stdout, stderr := sidelight(t, input, "inspect", "-")
	require.Equal(t, 1, code)
	require.Contains(t, stderr, `standard input:4: "method" and "target" are required`)
	require.Contains(t, stderr, "standard input:7: target: character U+0394 is no byte")
	require.Contains(t, stderr, "standard input:8: not a recorded exchange")
	var answers []answer
	for line := range strings.Lines(stdout) {
		var a answer
		require.NoError(t, json.Unmarshal([]byte(line), &a), line)
		answers = append(answers, a)
	}
	require.Len(t, answers, 4, "in the order of the lines, bad ones left out")
	require.JSONEq(t, `"a"`, string(answers[0].ID))
	require.JSONEq(t, `2`, string(answers[1].ID))
	require.Equal(t, "ptrav", answers[0].Hits[0].Type)
	require.Equal(t, "path", answers[0].Hits[0].Point)
	require.Equal(t, "sqli", answers[1].Hits[0].Type)
	require.Equal(t, "query.q", answers[1].Hits[0].Point)
	require.Empty(t, answers[2].Hits)
	require.True(t, answers[3].Complete)
	for _, a := range answers[:2] {
		require.NotEmpty(t, a.Hits[0].Rules)
		require.NotEmpty(t, a.Hits[0].Evidence.Text)
	}
	code, _, _ = sidelight(t, "", "inspect")
	require.Equal(t, 2, code)
}
