// Package certs is the verb `certs`: a read-only certificate for grpcurl and other tools.
package certs

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/sidelight/sidelight/standalone"
)

// Command is the verb `certs`.
func Command() *cobra.Command {
	var dataDir, out string
	cmd := &cobra.Command{
		Use:   "certs",
		Short: "Get an operator certificate (read-only) from a running `sidelight run`",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			credentials, err := standalone.FetchCredentials(cmd.Context(), dataDir)
			if err != nil {
				return err
			}
			if err := os.MkdirAll(out, 0o700); err != nil {
				return fmt.Errorf("certs: %w", err)
			}
			for name, content := range map[string][]byte{
				"tls.crt": credentials.Certificate, "tls.key": credentials.Key, "ca.crt": credentials.CA,
			} {
				if err := os.WriteFile(filepath.Join(out, name), content, 0o600); err != nil {
					return fmt.Errorf("certs: %w", err)
				}
			}
			fmt.Fprintf(cmd.OutOrStdout(), "wrote tls.crt, tls.key and ca.crt to %s, good for 24 hours\n", out)
			for _, part := range slices.Sorted(maps.Keys(credentials.Addresses)) {
				fmt.Fprintf(cmd.OutOrStdout(), "  %-13s %s\n", part, credentials.Addresses[part])
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&dataDir, "data-dir", standalone.DefaultConfig().DataDir, "data_dir of the running Sidelight")
	cmd.Flags().StringVar(&out, "out", "sidelight-certs", "directory to write to")
	return cmd
}
