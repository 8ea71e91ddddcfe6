// Package kernels runs tests of this repository in virtual machines with other kernels than this host's, and holds what they
// skip against a table.
package kernels

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/sidelight/sidelight/e2e/kernels/guest"
)

// Main is the command: its arguments are names of kernels, or none for all of them.
func Main(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("kernels", flag.ContinueOnError)
	verbose := flags.Bool("v", false, "print all that the tests say")
	run := flags.String("run", "", "run only the tests that match this expression; the table of skips is then not held against them")
	count := flags.Int("count", 1, "run each test so many times, to find what fails now and then")
	only := flags.String("package", "", "run only this package's tests, e.g. agent/internal/probe; the table holds for it alone")
	processors := flags.Int("cpus", 2, "processors of a machine")
	megabytes := flags.Int("memory", 1024, "memory of a machine in MiB")
	repository := flags.String("repository", "..", "the repository's root")
	if err := flags.Parse(args); err != nil {
		return fmt.Errorf("reading the arguments: %w", err)
	}
	expected, err := parseExpected(expectedText)
	if err != nil {
		return err
	}
	top, err := filepath.Abs(*repository)
	if err != nil {
		return fmt.Errorf("the repository's root: %w", err)
	}
	list, err := fetch(ctx, top, flags.Args())
	if err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "kernels")
	if err != nil {
		return fmt.Errorf("a folder for the machines' roots: %w", err)
	}
	defer os.RemoveAll(work)
	s := &suite{builder: builder{top, work}, expected: expected, pkg: *only, run: *run, count: *count, verbose: *verbose, processors: *processors, megabytes: *megabytes, out: out}
	return s.all(ctx, list)
}

// fetch asks the script for kernels.
func fetch(ctx context.Context, repository string, names []string) ([]kernel, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(repository, "scripts/kernels.sh"), names...)
	cmd.Stderr = os.Stderr
	output, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("fetching kernels: %w", err)
	}
	var list []kernel
	for line := range strings.Lines(string(output)) {
		var k kernel
		if _, err := fmt.Sscan(line, &k.name, &k.version, &k.image, &k.modules); err != nil {
			return nil, fmt.Errorf("scripts/kernels.sh printed %q: %w", line, err)
		}
		list = append(list, k)
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("scripts/kernels.sh knows no kernel named %s", strings.Join(names, " or "))
	}
	return list, nil
}

// suite runs the same tests in one machine after the other.
type suite struct {
	builder    builder
	expected   []skip
	pkg, run   string
	count      int
	verbose    bool
	processors int
	megabytes  int
	out        io.Writer
}

func (s *suite) all(ctx context.Context, list []kernel) error {
	started := time.Now()
	r := newRoot()
	if err := r.programs(ctx); err != nil {
		return err
	}
	packages, extra := s.selection()
	if len(packages) == 0 {
		return fmt.Errorf("no package %s in e2e/kernels/plan.go", s.pkg)
	}
	plan, err := s.builder.binaries(ctx, r, packages, extra)
	if err != nil {
		return err
	}
	fmt.Fprintf(s.out, "built the tests and a root of %d files in %.1f s\n", len(r.entries), time.Since(started).Seconds())
	var (
		bad     error
		summary strings.Builder
	)
	for _, k := range list {
		started := time.Now()
		fmt.Fprintf(s.out, "== %s (%s)\n", k.name, k.version)
		result, err := s.boot(ctx, r, plan, k)
		if err != nil {
			return err
		}
		verdict := s.judge(result, k)
		word := "ok  "
		if len(verdict) > 0 {
			word, bad = "FAIL", errors.New("some kernels failed, see above")
			s.report(result, verdict)
		}
		fmt.Fprintf(&summary, "%s  %-7s %-26s %d passed, %d skipped as expected, %d failed  %.1f s\n", word, k.name, k.version,
			len(result.passed), len(result.skipped), len(result.failed), time.Since(started).Seconds())
		if ctx.Err() != nil {
			return fmt.Errorf("stopped: %w", ctx.Err())
		}
	}
	fmt.Fprint(s.out, summary.String())
	return bad
}

// boot runs a plan under a kernel.
func (s *suite) boot(ctx context.Context, r *root, plan guest.Plan, k kernel) (*results, error) {
	image, err := s.builder.image(ctx, r, plan, k)
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.Remove(image) }()
	m := &machine{kernel: k, root: image, processors: s.processors, megabytes: s.megabytes, console: filepath.Join(s.builder.out, k.name+".console"),
		out: s.out, verbose: s.verbose, facts: s.verbose}
	return m.run(ctx)
}

// selection is what the flags leave of the plan.
func (s *suite) selection() (packages []testPackage, extra []string) {
	for _, p := range testPackages {
		if s.pkg == "" || s.pkg == p.dir {
			packages = append(packages, p)
		}
	}
	if s.run != "" {
		extra = []string{"-test.run=" + s.run}
	}
	if s.count > 1 {
		extra = append(extra, fmt.Sprintf("-test.count=%d", s.count))
	}
	return packages, extra
}

func (s *suite) judge(r *results, k kernel) []string {
	if s.run != "" {
		r.skipped = nil
		return r.judge(nil)
	}
	own := of(s.expected, k.name)
	if s.pkg != "" {
		var some []skip
		for _, e := range own {
			if e.pkg == s.pkg {
				some = append(some, e)
			}
		}
		own = some
	}
	return r.judge(own)
}

func (s *suite) report(r *results, verdict []string) {
	for _, name := range r.failed {
		if text := r.said(name); text != "" {
			fmt.Fprintf(s.out, "--- FAIL: %s\n%s", name, text)
		}
	}
	for _, line := range verdict {
		fmt.Fprintf(s.out, "FAIL: %s\n", line)
	}
}
