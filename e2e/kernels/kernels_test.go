package kernels

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sidelight/sidelight/internal/testkit"
)

// What is expected is well formed, and of packages and kernels that are run.
func TestExpectedSkipsAreOfThisPlan(t *testing.T) {
	t.Parallel()
	list, err := parseExpected(expectedText)
	require.NoError(t, err)
	packages := map[string]bool{}
	for _, p := range testPackages {
		packages[p.dir] = true
	}
	for _, s := range list {
		require.True(t, packages[s.pkg], "expected.txt names %s, which plan.go does not run", s.pkg)
		for _, kernel := range s.kernels {
			require.Contains(t, []string{"5.10", "6.1", "6.12", "newest", "all"}, kernel)
		}
	}
}

func TestParseExpected(t *testing.T) {
	t.Parallel()
	list, err := parseExpected("# why\n\n5.10,6.1  agent/internal/probe   TestA/b_c   no uprobe.multi: attached one by one\n")
	require.NoError(t, err)
	require.Equal(t, []skip{{[]string{"5.10", "6.1"}, "agent/internal/probe", "TestA/b_c", "no uprobe.multi: attached one by one"}}, list)
	require.Len(t, of(list, "5.10"), 1)
	require.Empty(t, of(list, "5.1"))
	// A test may be named like its package or kernel.
	list, err = parseExpected("all all all all of it")
	require.NoError(t, err)
	require.Equal(t, "all of it", list[0].reason)
	require.Len(t, of(list, "6.12"), 1)
	_, err = parseExpected("\n5.10 agent/internal/probe TestA\n")
	require.ErrorContains(t, err, "expected.txt:2")
}

// transcript is what a test run says, as the machine's serial line brings it.
const transcript = "@guest kernel 5.10.0\n" +
	"@guest begin p\n" +
	"\x16=== RUN   TestGood\n\x16--- PASS: TestGood (0.00s)\n" +
	"\x16=== RUN   TestParent\n\x16=== RUN   TestParent/child\n    x_test.go:5: SKIPPED: no such tracepoint\n\x16--- SKIP: TestParent/child (0.00s)\n\x16--- PASS: TestParent (0.00s)\n" +
	"\x16=== RUN   TestBad\n    x_test.go:9: wrong\n\x16--- FAIL: TestBad (0.00s)\n" +
	"\x16FAIL\n@guest end 1 0.3 p\n@guest done\n"

func TestJudge(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("go"); err != nil {
		testkit.Skip(t, "needs the go command")
	}
	read := func(t *testing.T, text string) *results {
		r := newResults()
		m := &machine{root: filepath.Join(t.TempDir(), "root"), out: t.Output()}
		done, err := m.read(t.Context(), strings.NewReader(text), r)
		require.NoError(t, err)
		require.Equal(t, strings.Contains(text, "@guest done"), done)
		return r
	}
	child := skip{[]string{"5.10"}, "p", "TestParent/child", "no such tracepoint"}
	tests := []struct {
		name, text string
		expected   []skip
		want       []string
	}{
		{"as expected", strings.NewReplacer("--- FAIL: TestBad", "--- PASS: TestBad", "\x16FAIL", "\x16PASS", "end 1", "end 0").Replace(transcript), []skip{child}, nil},
		{"a failure", transcript, []skip{child}, []string{"p TestBad failed"}},
		{"a binary that fails by itself", strings.NewReplacer("--- FAIL: TestBad", "--- PASS: TestBad").Replace(transcript), []skip{child}, []string{"p ended with code 1"}},
		{"a skip that nobody expects", transcript, nil, []string{"TestBad", "TestParent/child was skipped, which"}},
		{"another reason", transcript, []skip{{child.kernels, "p", child.test, "no BTF"}}, []string{"TestBad", "for another reason"}},
		{"expected and run", transcript, []skip{child, {child.kernels, "p", "TestGood", "no BTF"}}, []string{"TestBad", "TestGood was to be skipped"}},
		{"expected and gone", transcript, []skip{child, {child.kernels, "p", "TestGone", "no BTF"}}, []string{"TestBad", "TestGone was to be skipped"}},
		{"a panic of the kernel", transcript[:strings.Index(transcript, "\x16=== RUN   TestBad")], []skip{child}, []string{"p did not end"}},
		{"nothing ran", "@guest begin p\ntesting: warning: no tests to run\n\x16PASS\n@guest end 0 0.1 p\n@guest done\n", nil, []string{"no test passed"}},
		{"a problem of the machine", strings.Replace(transcript, "@guest begin", "@guest problem no loopback\n@guest begin", 1), []skip{child}, []string{"no loopback", "TestBad"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			verdict := read(t, tt.text).judge(tt.expected)
			require.Len(t, verdict, len(tt.want), "%q", verdict)
			for i, want := range tt.want {
				require.Contains(t, verdict[i], want)
			}
		})
	}
}

// The kernel is not here to take the archive: cpio is, where it is installed.
func TestArchive(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("cpio"); err != nil {
		testkit.Skip(t, "needs cpio")
	}
	r := &root{entries: map[string]entry{}}
	r.put("/etc/deep/hosts", entry{text: "127.0.0.1 localhost\n"})
	r.put("/lib", entry{link: "usr/lib"})
	r.put("/usr/lib", entry{folder: true})
	var archive bytes.Buffer
	require.NoError(t, r.write(&archive))
	dir := t.TempDir()
	cmd := exec.Command("cpio", "-i", "--quiet")
	cmd.Dir, cmd.Stdin, cmd.Stderr = dir, &archive, t.Output()
	require.NoError(t, cmd.Run())
	output, err := exec.Command("sh", "-c", "cd "+dir+" && cat etc/deep/hosts && readlink lib && ls -d usr/lib").Output()
	require.NoError(t, err)
	require.Equal(t, "127.0.0.1 localhost\nusr/lib\nusr/lib\n", string(output))
}

func TestParseLibraries(t *testing.T) {
	t.Parallel()
	list, err := parseLibraries("/usr/bin/a:\n\tlinux-vdso.so.1 (0x00007ffd)\n\tlibssl.so.3 => /lib/x/libssl.so.3 (0x00007f)\n\t/lib64/ld-linux-x86-64.so.2 (0x00007f)\n" +
		"/usr/bin/b:\n\tlibssl.so.3 => /lib/x/libssl.so.3 (0x00007e)\n")
	require.NoError(t, err)
	require.Equal(t, []string{"/lib/x/libssl.so.3", "/lib64/ld-linux-x86-64.so.2"}, list)
	_, err = parseLibraries("\tlibssl.so.3 => not found\n")
	require.ErrorContains(t, err, "libssl.so.3")
}

func TestSplit(t *testing.T) {
	t.Parallel()
	b := builder{repository: "../.."}
	module, rest, err := b.split("agent/internal/probe")
	require.NoError(t, err)
	require.Equal(t, "agent", module)
	require.Equal(t, "./internal/probe", rest)
	_, _, err = b.split("docs")
	require.Error(t, err)
}
