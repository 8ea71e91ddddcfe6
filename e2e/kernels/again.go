package kernels

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sidelight/sidelight/e2e/kernels/guest"
)

// preempts tells whether the kernel may preempt a thread within a tracepoint's program. It then skips that program for others
// meanwhile, which is told as a gap, and fails a test that counts each byte (docs/adr/0016). In an emulator that is so slow that a few
// of some hundred tests fail by it, and seldom the same ones twice.
func (k kernel) preempts() bool {
	var major int
	_, err := fmt.Sscanf(k.version, "%d.", &major)
	return err == nil && major >= 7
}

// narrowed is the plan with nothing but the tests that failed, whole ones.
func narrowed(plan guest.Plan, failed []testName) guest.Plan {
	only := guest.Plan{Modules: plan.Modules}
	for _, run := range plan.Runs {
		var names []string
		for _, name := range failed {
			top, _, _ := strings.Cut(name.test, "/")
			if name.pkg == run.Package && !slices.Contains(names, top) {
				names = append(names, top)
			}
		}
		if len(names) > 0 {
			run.Args = append(slices.Clone(run.Args), "-test.run=^("+strings.Join(names, "|")+")$")
			only.Runs = append(only.Runs, run)
		}
	}
	return only
}

// rerun takes from a second look what passed there; the rest stays as it was. A test that failed by its parts is as good as they are.
func (r *results) rerun(second *results) {
	still := slices.DeleteFunc(slices.Clone(r.failed), func(name testName) bool {
		return name.hasPart(r.failed) || slices.Contains(second.passed, name)
	})
	var failed []testName
	for _, name := range r.failed {
		if slices.Contains(still, name) || name.hasPart(still) {
			failed = append(failed, name)
		} else {
			r.passed = append(r.passed, name)
		}
	}
	r.failed = failed
	maps.Copy(r.output, second.output)
	r.problems = append(r.problems, second.problems...)
}

func (n testName) hasPart(among []testName) bool {
	return slices.ContainsFunc(among, func(other testName) bool {
		return other.pkg == n.pkg && strings.HasPrefix(other.test, n.test+"/")
	})
}
