package cli

import (
	"github.com/spf13/cobra"

	"github.com/sidelight/sidelight/cli/internal/certs"
	"github.com/sidelight/sidelight/cli/internal/check"
	"github.com/sidelight/sidelight/cli/internal/coverage"
	"github.com/sidelight/sidelight/cli/internal/demo"
	"github.com/sidelight/sidelight/cli/internal/observe"
	"github.com/sidelight/sidelight/cli/internal/run"
)

func platformCommands() []*cobra.Command {
	return []*cobra.Command{
		run.Command(), run.ChildCommand(), demo.Command(), check.Command(), certs.Command(), observe.Command(), coverage.Command(),
	}
}
