package demo

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/sidelight/sidelight/internal/render"
)

// printTraffic prints sent / seen / verdict / expected.
func printTraffic(out io.Writer, rows []row) {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "\n\tKIND\tREQUEST\tSENT\tSEEN\tVERDICT\tEXPECTED\t")
	for _, r := range rows {
		fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%d\t%s\t%s\t%s\n", mark(r.good), r.kind, render.Terminal(r.name), r.sent, r.seen,
			render.Terminal(orDash(r.verdict)), render.Terminal(r.expected), render.Terminal(r.why))
	}
	_ = table.Flush()
}

// printEndpoints prints the shop's routes beside what was found.
func printEndpoints(out io.Writer, rows []endpointRow) {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "\n\tROUTE OF THE SHOP\tENDPOINT FOUND\t")
	for _, r := range rows {
		fmt.Fprintf(table, "%s\t%s\t%s\t\n", mark(r.good), orDash(r.route), render.Terminal(orDash(r.found)))
	}
	_ = table.Flush()
}

// delays are the times between sending and seeing.
type delays []time.Duration

func (d delays) quantile(q float64) time.Duration {
	if len(d) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(d))
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))].Round(time.Millisecond)
}

func mark(good bool) string {
	if good {
		return "ok"
	}
	return "!!"
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}
