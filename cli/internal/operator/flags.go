package operator

import (
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/spf13/cobra"

	"github.com/sidelight/sidelight/cli/internal/exit"
	"github.com/sidelight/sidelight/internal/logging"
	"github.com/sidelight/sidelight/internal/tlsreload"

	"github.com/sidelight/sidelight/standalone"
)

// Flags say who asks: with a certificate of their own, or one that the running Sidelight of this host gives.
type Flags struct {
	TLS     tlsreload.Config
	DataDir string
}

// Add makes them flags of a command; verified is whom the CA bundle verifies.
func (f *Flags) Add(cmd *cobra.Command, verified string) {
	flags := cmd.Flags()
	flags.StringVar(&f.TLS.Cert, "cert", "", "`file` with an operator certificate (default: one that the running Sidelight of this host gives)")
	flags.StringVar(&f.TLS.Key, "key", "", "`file` with its key")
	flags.StringVar(&f.TLS.CA, "ca", "", "`file` with the bundle that verifies "+verified)
	flags.StringVar(&f.DataDir, "data-dir", standalone.DefaultConfig().DataDir, "data_dir of the running Sidelight of this host")
}

// Own tells whether a certificate was given.
func (f *Flags) Own() bool { return f.TLS != (tlsreload.Config{}) }

// Check finds wrong use of them, and of the flag that names addresses, before anything is opened.
func (f *Flags) Check(command, flag string, addresses []string) error {
	for _, address := range addresses {
		if _, _, err := net.SplitHostPort(address); err != nil {
			return exit.Usage(fmt.Errorf("%s: %s %q: want host:port", command, flag, address))
		}
	}
	switch {
	case f.Own() && (f.TLS.Cert == "" || f.TLS.Key == "" || f.TLS.CA == ""):
		return exit.Usage(errors.New(command + ": --cert, --key and --ca go together"))
	case f.Own() && len(addresses) == 0:
		return exit.Usage(fmt.Errorf("%s: with a certificate of your own, name %s too", command, flag))
	}
	return nil
}

// Source reads the certificate that was given.
func (f *Flags) Source(notes io.Writer) (*tlsreload.Source, error) {
	log := logging.New(logging.Config{Level: "warn", Format: "text"}, notes)
	source := tlsreload.New(f.TLS, tlsreload.Deps{Log: log})
	if err := source.Ready(); err != nil {
		return nil, err
	}
	return source, nil
}
