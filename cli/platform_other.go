//go:build !linux

package cli

import "github.com/spf13/cobra"

func platformCommands() []*cobra.Command {
	return []*cobra.Command{{
		Use:   "run",
		Short: "Run Sidelight on this host (linux only)",
		RunE:  func(*cobra.Command, []string) error { return errNotHere },
	}}
}
