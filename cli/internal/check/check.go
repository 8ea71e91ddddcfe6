// Package check is the verb `check`: can this host be mirrored, and if not, what to do.
package check

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/sidelight/sidelight/agent"
)

// Command is the verb `check`.
func Command() *cobra.Command {
	return &cobra.Command{
		Use:   "check",
		Short: "Say whether this host can be mirrored, what is lost on it, and what to do",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			failed := 0
			for _, finding := range agent.Check() {
				mark := "ok  "
				switch {
				case !finding.OK:
					mark = "FAIL"
					failed++
				case finding.Limited:
					mark = "less"
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%s  %-14s %s\n", mark, finding.Name, finding.Detail)
				if mark != "ok  " && finding.Do != "" {
					fmt.Fprintf(cmd.OutOrStdout(), "      %-14s → %s\n", "", finding.Do)
				}
			}
			if failed > 0 {
				return errors.New("check: this host cannot be mirrored yet, see above")
			}
			return nil
		},
	}
}
