package observe

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sidelight/sidelight/cli/internal/exit"
	"github.com/sidelight/sidelight/cli/internal/operator"
	"github.com/sidelight/sidelight/internal/app"
	"github.com/sidelight/sidelight/internal/filter"
	aggregatorv1 "github.com/sidelight/sidelight/proto/gen/sidelight/aggregator/v1"

	"github.com/sidelight/sidelight/standalone"
)

type options struct {
	filter      string
	attacksOnly bool
	output      string
	aggregators []string
	operator    operator.Flags
}

// Command is the verb `observe`.
func Command() *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use:   "observe",
		Short: "Show what passes, live and masked, with what was found in it",
		Long:  help(),
		Example: `  sidelight observe --attacks
  sidelight observe --filter 'service:shop status:>=500 -path:/health*'
  sidelight observe --aggregator aggregator.sidelight:8443 --cert tls.crt --key tls.key --ca ca.crt --output json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd) },
	}
	flags := cmd.Flags()
	flags.StringVar(&o.filter, "filter", "", "show only what matches, see above")
	flags.BoolVar(&o.attacksOnly, "attacks", false, "show only what has hits")
	flags.StringVar(&o.output, "output", "pretty", "pretty, or json: one object per line")
	flags.StringSliceVar(&o.aggregators, "aggregator", nil, "`host:port`, may be given again; a name stands for all its addresses (default: where the running Sidelight of this host has it)")
	o.operator.Add(cmd, "the aggregators")
	return cmd
}

func help() string {
	var b strings.Builder
	b.WriteString(`Show what passes, live and masked, from all aggregators. It ends with Ctrl-C.

Terms of a filter that stand side by side must all hold; OR, NOT (or -) and parentheses do what they say. A bare word is
looked for in path and host. A value may be a list with commas; * in it stands for anything, unless it is in quotes.

`)
	for _, key := range filter.Keys() {
		fmt.Fprintf(&b, "  %-11s %s\n", key[0]+":", key[1])
	}
	return strings.TrimRight(b.String(), "\n")
}

// check finds wrong use before anything is opened.
func (o *options) check() error {
	if _, err := filter.Parse(o.filter); err != nil {
		return exit.Usage(fmt.Errorf("observe: --filter: %w", err))
	}
	if o.output != "pretty" && o.output != "json" {
		return exit.Usage(fmt.Errorf("observe: --output %q: want pretty or json", o.output))
	}
	return o.operator.Check("observe", "--aggregator", o.aggregators)
}

func (o *options) run(cmd *cobra.Command) error {
	if err := o.check(); err != nil {
		return err
	}
	connect, tasks, err := o.connector(cmd.Context(), cmd.ErrOrStderr())
	if err != nil {
		return fmt.Errorf("observe: %w", err)
	}
	f := &fleet{
		find: behind(o.aggregators, defaultLookup), pauses: defaultPauses(),
		open: tail(connect, &aggregatorv1.TailRequest{Filter: o.filter, AttacksOnly: o.attacksOnly}),
	}
	if len(o.aggregators) == 0 {
		f.find = ofRunning(o.operator.DataDir)
	}
	var p printer = pretty{time.Local}
	if o.output == "json" {
		p = asJSON{}
	}
	shown := newObserver(cmd.OutOrStdout(), cmd.ErrOrStderr(), p)
	return app.Run(cmd.Context(), append(tasks, app.Task{
		Name: "observe", Run: func(ctx context.Context) error { return shown.run(ctx, f.run) },
	})...)
}

// connector has a certificate, or says why there is none, before anything is watched.
func (o *options) connector(ctx context.Context, notes io.Writer) (dial, []app.Task, error) {
	if !o.operator.Own() {
		if _, err := standalone.FetchCredentials(ctx, o.operator.DataDir); err != nil {
			return nil, nil, err
		}
		return withRunning(o.operator.DataDir), nil, nil
	}
	source, err := o.operator.Source(notes)
	if err != nil {
		return nil, nil, err
	}
	return withFiles(source), []app.Task{{Name: "certificates", Run: source.Run}}, nil
}
