// Command init is the first process of the machines that `make test-kernels` boots.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/sidelight/sidelight/e2e/kernels/guest"
)

func main() {
	if err := guest.Main(context.Background(), os.Args); err != nil {
		fmt.Fprintln(os.Stderr, "init:", err)
		os.Exit(1)
	}
}
