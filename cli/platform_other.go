//go:build !linux

package cli

import (
	"errors"

	"github.com/spf13/cobra"
)

// errNotHere is what verbs that need the host's kernel say elsewhere.
var errNotHere = errors.New("this verb works on linux only: the agent needs its kernel")

func platformCommands() []*cobra.Command {
	return []*cobra.Command{{
		Use:   "run",
		Short: "Run Sidelight on this host (linux only)",
		RunE:  func(*cobra.Command, []string) error { return errNotHere },
	}}
}
