package table

import (
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/sidelight/sidelight/internal/render"
)

// Print prints sent / seen / verdict / expected.
func Print(out io.Writer, rows []Row) {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "\n\tKIND\tREQUEST\tSENT\tSEEN\tVERDICT\tEXPECTED\t")
	for _, r := range rows {
		fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%d\t%s\t%s\t%s\n", mark(r.Good), r.Kind, render.Terminal(r.Name), r.Sent, r.Seen,
			render.Terminal(orDash(r.Verdict)), render.Terminal(r.Expected), render.Terminal(r.Why))
	}
	_ = table.Flush()
}

// PrintEndpoints prints the shop's routes beside what was found.
func PrintEndpoints(out io.Writer, rows []EndpointRow) {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "\n\tROUTE OF THE SHOP\tENDPOINT FOUND\t")
	for _, r := range rows {
		fmt.Fprintf(table, "%s\t%s\t%s\t\n", mark(r.Good), orDash(r.Route), render.Terminal(orDash(r.Found)))
	}
	_ = table.Flush()
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
