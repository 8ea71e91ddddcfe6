package demo

import (
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/sidelight/sidelight/cli/internal/exit"
)

// Command is the verb `demo`.
func Command() *cobra.Command {
	var (
		seed string
		opts options
	)
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Try it: a shop behind a real nginx, ordinary traffic and attacks, and what was seen of them",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if opts.seed = mathrand.Uint64N(1_000_000); seed != "random" {
				n, err := strconv.ParseUint(seed, 10, 64)
				if err != nil {
					return exit.Usage(fmt.Errorf("--seed %q: want a number or random", seed))
				}
				opts.seed = n
			}
			if opts.filters != "nginx" && opts.filters != "none" {
				return exit.Usage(fmt.Errorf("--filters %q: want nginx (the demo's own nginx) or none", opts.filters))
			}
			if err := newDemo(opts, cmd.OutOrStdout(), cmd.ErrOrStderr()).run(cmd.Context()); err != nil {
				if cmd.Context().Err() != nil {
					return errors.New("demo FAILED: interrupted")
				}
				return fmt.Errorf("demo FAILED: %w", err)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&seed, "seed", "random", "draws the requests: a number, or random")
	cmd.Flags().StringVar(&opts.filters, "filters", "nginx", "what is mirrored: nginx, or none to see that nothing selected means nothing seen")
	cmd.Flags().BoolVar(&opts.stay, "stay", false, "stay up with live traffic until Ctrl-C")
	cmd.Flags().BoolVar(&opts.idle, "idle", false, "send nothing and stay up until Ctrl-C: for traffic of your own")
	cmd.Flags().StringVar(&opts.listen, "listen", "127.0.0.1:8443", "where the console listens")
	return cmd
}
