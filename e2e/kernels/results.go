package kernels

import (
	"fmt"
	"slices"
	"strings"
)

// testEvent is a line of `go tool test2json`.
type testEvent struct {
	Action, Test, Output string
}

// results are what one kernel's tests said.
type results struct {
	passed, skipped, failed []testName
	output                  map[testName]*strings.Builder
	// problems are failures of no test of ours: a kernel that panics, a binary that does not start.
	problems []string
}

type testName struct{ pkg, test string }

func (n testName) String() string { return n.pkg + " " + n.test }

func newResults() *results { return &results{output: map[testName]*strings.Builder{}} }

func (r *results) add(pkg string, e testEvent) {
	name := testName{pkg, e.Test}
	if e.Test == "" {
		return
	}
	switch e.Action {
	case "output":
		if r.output[name] == nil {
			r.output[name] = &strings.Builder{}
		}
		r.output[name].WriteString(e.Output)
	case "pass":
		r.passed = append(r.passed, name)
	case "skip":
		r.skipped = append(r.skipped, name)
	case "fail":
		r.failed = append(r.failed, name)
	}
}

// said is a test's own output, without the lines that go test puts around it.
func (r *results) said(name testName) string {
	builder := r.output[name]
	if builder == nil {
		return ""
	}
	var own []string
	for line := range strings.Lines(builder.String()) {
		trimmed := strings.TrimSpace(line)
		if !strings.HasPrefix(trimmed, "=== ") && !strings.HasPrefix(trimmed, "--- ") {
			own = append(own, line)
		}
	}
	return strings.Join(own, "")
}

// judge compares with what the kernel may and must skip. No answer is a good one.
func (r *results) judge(expected []skip) []string {
	verdict := slices.Clone(r.problems)
	for _, name := range r.failed {
		verdict = append(verdict, fmt.Sprintf("%s failed", name))
	}
	for _, name := range r.skipped {
		i := slices.IndexFunc(expected, func(s skip) bool { return s.pkg == name.pkg && s.test == name.test })
		said := strings.TrimSpace(r.said(name))
		switch {
		case i < 0:
			verdict = append(verdict, fmt.Sprintf("%s was skipped, which e2e/kernels/expected.txt does not expect: %s", name, said))
		case !strings.Contains(said, expected[i].reason):
			verdict = append(verdict, fmt.Sprintf("%s was skipped for another reason than e2e/kernels/expected.txt says (%q): %s", name, expected[i].reason, said))
		}
	}
	for _, s := range expected {
		name := testName{s.pkg, s.test}
		if !slices.Contains(r.skipped, name) {
			verdict = append(verdict, fmt.Sprintf("%s was to be skipped (%s) and was not: e2e/kernels/expected.txt is too pessimistic, or its test is gone", name, s.reason))
		}
	}
	if len(r.passed) == 0 {
		verdict = append(verdict, "no test passed")
	}
	return verdict
}
