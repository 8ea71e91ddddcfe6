// Package coverage shows what the agents see and what they do not: per workload, and per TLS library in it.
package coverage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"
	"google.golang.org/grpc/status"

	"github.com/sidelight/sidelight/cli/internal/exit"
	"github.com/sidelight/sidelight/cli/internal/operator"
	"github.com/sidelight/sidelight/internal/render"
	"github.com/sidelight/sidelight/internal/rpc"
	cloudsyncv1 "github.com/sidelight/sidelight/proto/gen/sidelight/cloudsync/v1"
	statusv1 "github.com/sidelight/sidelight/proto/gen/sidelight/status/v1"

	"github.com/sidelight/sidelight/standalone"
)

const (
	// part is who must answer: it has the newest report of every part of the cluster.
	part = "cloudsync"
	// patience is for an answer that is in memory.
	patience = 15 * time.Second
)

type options struct {
	output    string
	cloudsync string
	operator  operator.Flags
	now       func() time.Time
}

// Command is the verb `coverage`.
func Command() *cobra.Command {
	o := options{now: time.Now}
	cmd := &cobra.Command{
		Use:   "coverage",
		Short: "Show what is mirrored and what is not, and which TLS libraries are hooked, and why",
		Long: `Show, for every agent, which workloads it mirrors and why, what it saw, skipped and lost of them, and at which functions
of which TLS libraries it sees their plaintext. Reports come every 10 s.

Skipped bytes were left out on purpose, such as the end of a long body; lost ones were not. Bytes that a workload moves by
io_uring are not inspected.`,
		Example: `  sidelight coverage
  sidelight coverage --cloudsync cloudsync.sidelight:7415 --cert tls.crt --key tls.key --ca ca.crt --output json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd) },
	}
	flags := cmd.Flags()
	flags.StringVar(&o.output, "output", "pretty", "pretty, or json: one object per line and agent")
	flags.StringVar(&o.cloudsync, "cloudsync", "", "`host:port` (default: where the running Sidelight of this host has it)")
	o.operator.Add(cmd, "cloudsync")
	return cmd
}

// check finds wrong use before anything is opened.
func (o *options) check() error {
	if o.output != "pretty" && o.output != "json" {
		return exit.Usage(fmt.Errorf("coverage: --output %q: want pretty or json", o.output))
	}
	return o.operator.Check("coverage", "--cloudsync", o.addresses())
}

func (o *options) addresses() []string {
	if o.cloudsync == "" {
		return nil
	}
	return []string{o.cloudsync}
}

func (o *options) run(cmd *cobra.Command) error {
	if err := o.check(); err != nil {
		return err
	}
	agents, err := o.ask(cmd.Context(), cmd.ErrOrStderr())
	if err != nil {
		return fmt.Errorf("coverage: %w", err)
	}
	if len(agents) == 0 {
		return errors.New("coverage: no agent has reported yet: they do so every 10 s")
	}
	print := pretty(o.now)
	if o.output == "json" {
		print = asJSON
	}
	for _, agent := range agents {
		if err := print(cmd.OutOrStdout(), agent); err != nil {
			return fmt.Errorf("coverage: writing: %w", err)
		}
	}
	return nil
}

// ask fetches the newest report of every agent.
func (o *options) ask(ctx context.Context, notes io.Writer) ([]*statusv1.PartStatus, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	conn, err := o.dial(ctx, notes)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	answer, err := cloudsyncv1.NewStatusServiceClient(conn).ListStatus(ctx, &cloudsyncv1.ListStatusRequest{})
	if err != nil {
		// What the other side says of it is shown on a terminal.
		s := status.Convert(err)
		return nil, fmt.Errorf("cloudsync: %s: %s", s.Code(), render.Terminal(s.Message()))
	}
	var agents []*statusv1.PartStatus
	for _, report := range answer.GetParts() {
		if report.GetPart() == "agent" {
			agents = append(agents, report)
		}
	}
	return agents, nil
}

func (o *options) dial(ctx context.Context, notes io.Writer) (*grpc.ClientConn, error) {
	if o.operator.Own() {
		source, err := o.operator.Source(notes)
		if err != nil {
			return nil, err
		}
		return rpc.Dial(rpc.ClientConfig{Address: o.cloudsync}, rpc.ClientDeps{TLS: source, Server: part})
	}
	credentials, err := standalone.FetchCredentials(ctx, o.operator.DataDir)
	if err != nil {
		return nil, err
	}
	if o.cloudsync != "" {
		return operator.DialAt(credentials, part, o.cloudsync)
	}
	return operator.Dial(credentials, part)
}
