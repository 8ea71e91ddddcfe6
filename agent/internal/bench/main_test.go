// Package bench measures the agent from the ring's events to what an aggregator acknowledged: real streams, parsers, exchanges
// and a Mirror stream over TLS, whose other end is a process of its own.
package bench

import (
	"fmt"
	"os"
	"testing"
)

// farEnd makes this program the other end: it holds where the certificates are.
const farEnd = "SIDELIGHT_BENCH_FAR_END"

func TestMain(m *testing.M) {
	if dir := os.Getenv(farEnd); dir != "" {
		if err := serve(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}
