// Package run is the verb `run`: every part of Sidelight on this host, until Ctrl-C.
package run

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"github.com/sidelight/sidelight/cli/internal/exit"
	"github.com/sidelight/sidelight/internal/config"
	"github.com/sidelight/sidelight/internal/logging"

	"github.com/sidelight/sidelight/standalone"
)

// Command is the verb `run`.
func Command() *cobra.Command {
	var (
		file                  string
		verify, printDefaults bool
	)
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run Sidelight on this host: agent, services, console",
		Long: `Run Sidelight on this host. Nothing is mirrored until mirror.filters in the configuration selects it:

  mirror:
    filters:
      - executable: nginx     # and, in the same item: port, unit, cgroup
`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg := standalone.DefaultConfig()
			if printDefaults {
				return yaml.NewEncoder(cmd.OutOrStdout()).Encode(cfg)
			}
			if file != "" {
				if err := config.Load(file, &cfg); err != nil {
					return exit.Usage(err)
				}
			}
			if err := cfg.Validate(); err != nil {
				return exit.Usage(fmt.Errorf("configuration %s: %w", file, err))
			}
			if verify {
				fmt.Fprintln(cmd.OutOrStdout(), "the configuration is good")
				return nil
			}
			launcher, err := standalone.New(cfg, standalone.Deps{
				Log: logging.New(cfg.Log, cmd.ErrOrStderr()),
				Up:  func(state standalone.State) { Announce(cmd.OutOrStdout(), state) },
			})
			if err != nil {
				return err
			}
			return launcher.Run(cmd.Context())
		},
	}
	cmd.Flags().StringVar(&file, "config", "", "configuration file (YAML)")
	cmd.Flags().BoolVar(&verify, "config.verify", false, "check the configuration and end")
	cmd.Flags().BoolVar(&printDefaults, "config.print-defaults", false, "print the defaults and end")
	return cmd
}

// Announce tells a person where to go.
func Announce(out io.Writer, state standalone.State) {
	fmt.Fprintf(out, "console   %s\n", state.ConsoleURL)
	if state.AdminSecret != "" {
		fmt.Fprintf(out, "sign in   user admin, one-time secret %s (for 15 minutes, and once)\n", state.AdminSecret)
	}
	switch state.Mirrored {
	case 0:
		fmt.Fprintln(out, "mirroring nothing: no process matches mirror.filters, so no BPF program is attached")
	case 1:
		fmt.Fprintln(out, "mirroring 1 process")
	default:
		fmt.Fprintf(out, "mirroring %d processes\n", state.Mirrored)
	}
}

// ChildCommand is the hidden verb under which the launcher starts its children.
func ChildCommand() *cobra.Command {
	return &cobra.Command{
		Use:    standalone.ChildVerb + " NAME",
		Hidden: true,
		Args:   cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return standalone.RunChild(cmd.Context(), args[0], cmd.ErrOrStderr())
		},
	}
}
