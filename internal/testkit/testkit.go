// Package testkit is what tests of every module share. Product code never links it.
package testkit

import (
	"flag"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write golden files instead of comparing with them")

// Skip says loudly that a test cannot run here. In CI it fails: a capture, Postgres or browser test that is skipped there
// would be a hole that nobody sees.
func Skip(t testing.TB, why string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("cannot run, and must not be skipped in CI: %s", why)
	}
	t.Skipf("SKIPPED: %s", why)
}

// RequireRoot skips where the test is an ordinary user's.
func RequireRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		Skip(t, "needs root")
	}
}

// Logger writes to the test's own log.
func Logger(t testing.TB) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// Quiet drops all lines: for benchmarks, and for what may log after its test has ended.
func Quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// Golden compares with a file, or writes it with -update.
func Golden(t testing.TB, path string, got []byte) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (write it with -update, then read it)", err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Fatalf("%s differs (-want +got); write it with -update if that is right:\n%s", path, diff)
	}
}
