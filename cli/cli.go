// Package cli puts the verbs of the sidelight command together.
package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/sidelight/sidelight/cli/internal/exit"
	"github.com/sidelight/sidelight/cli/internal/inspect"
	"github.com/sidelight/sidelight/internal/telemetry"
)

// Main runs one verb and returns the exit code: 0 good, 1 failed, 2 wrong use or configuration.
func Main(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root := &cobra.Command{
		Use:           "sidelight",
		Short:         "Out-of-band API security: it watches HTTP traffic by eBPF, and never touches it",
		Version:       telemetry.Version(),
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return exit.Usage(err) })
	root.AddCommand(inspect.Command())
	root.AddCommand(platformCommands()...)
	err := root.ExecuteContext(ctx)
	if err != nil {
		fmt.Fprintln(stderr, "sidelight:", err)
	}
	return exit.Code(err)
}
