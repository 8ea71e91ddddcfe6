// Package parts tests Sidelight as a cluster runs it: every part its own program, user, directory, network and
// certificate, two aggregators, two processors, and faults in between.
package parts

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// binaries holds the programs under test, built once.
var binaries string

// long lets tests run that take minutes: `make test-long`.
var long = flag.Bool("long", false, "run the tests that take minutes too")

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "sidelight-parts-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	// The parts' users run what is in it.
	if err := os.Chmod(dir, 0o755); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	binaries = dir
	for name, path := range map[string]string{
		"agent": "agent/cmd/agent", "aggregator": "aggregator/cmd/aggregator", "processor": "processor/cmd/processor",
		"apidiscovery": "apidiscovery/cmd/apidiscovery", "cloudsync": "cloudsync/cmd/cloudsync", "console": "console/cmd/console",
		"signer": "console/cmd/signer", "shop": "examples/shop/cmd/shop",
	} {
		build := exec.Command("go", "build", "-o", filepath.Join(dir, name), "../../"+path)
		build.Stderr = os.Stderr
		if err := build.Run(); err != nil {
			fmt.Fprintf(os.Stderr, "building %s: %v\n", name, err)
			return 1
		}
	}
	return m.Run()
}

func requireLong(t testing.TB) {
	t.Helper()
	if !*long {
		t.Skip("takes minutes: make test-long")
	}
}
