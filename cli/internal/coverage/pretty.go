package coverage

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sidelight/sidelight/internal/render"
	statusv1 "github.com/sidelight/sidelight/proto/gen/sidelight/status/v1"
	trafficv1 "github.com/sidelight/sidelight/proto/gen/sidelight/traffic/v1"
)

const (
	longestName = 60
	// longestText keeps a line readable; JSON has all of it.
	longestText = 160
)

type printer func(io.Writer, *statusv1.PartStatus) error

var columns = []string{"SERVICE", "WORKLOAD", "MIRRORED", "SEEN", "SKIPPED", "LOST", "IO_URING", "EXCHANGES", "WHY"}

// pretty writes an agent's table for people.
func pretty(now func() time.Time) printer {
	return func(to io.Writer, agent *statusv1.PartStatus) error {
		w := bufio.NewWriter(to)
		fmt.Fprintf(w, "agent %s%s\n", word(cmp.Or(agent.GetInstance(), "-")), health(agent, now()))
		if shed := agent.GetShedding(); shed != "" {
			fmt.Fprintf(w, "  sheds: %s\n", text(shed))
		}
		rows := [][]string{columns}
		for _, c := range agent.GetCoverage() {
			rows = append(rows, row(c))
		}
		if len(rows) == 1 {
			fmt.Fprintln(w, "  nothing is selected here")
			return w.Flush()
		}
		for i, line := range aligned(rows) {
			fmt.Fprintln(w, "  "+line)
			if i == 0 {
				continue
			}
			for _, tls := range agent.GetCoverage()[i-1].GetTls() {
				fmt.Fprintln(w, "      "+library(tls))
			}
		}
		return w.Flush()
	}
}

func health(agent *statusv1.PartStatus, now time.Time) string {
	var b strings.Builder
	if agent.GetCaptureBackend() != "" {
		b.WriteString(", capture by " + word(agent.GetCaptureBackend()))
	}
	if agent.GetReportedAt() != nil {
		fmt.Fprintf(&b, ", reported %s ago", max(now.Sub(agent.GetReportedAt().AsTime()), 0).Round(time.Second))
	}
	if !agent.GetReady() {
		b.WriteString(", not ready: " + text(cmp.Or(agent.GetNotReadyBecause(), "no reason given")))
	}
	return b.String()
}

func row(c *statusv1.Coverage) []string {
	mirrored := "no"
	if c.GetMirrored() {
		mirrored = "yes"
	}
	uring := "-"
	if c.GetIoUring() || c.GetBytesIoUring() > 0 {
		uring = "uses it"
		if c.GetBytesIoUring() > 0 {
			uring = size(c.GetBytesIoUring())
		}
	}
	exchanges := fmt.Sprint(c.GetExchanges())
	if lost := c.GetExchangesLost(); lost > 0 {
		exchanges += fmt.Sprintf(" (%d lost)", lost)
	}
	return []string{
		word(cmp.Or(c.GetWorkload().GetService(), "-")), where(c.GetWorkload()), mirrored, size(c.GetBytesSeen()), size(c.GetBytesSkipped()),
		size(c.GetBytesLost()), uring, exchanges, text(cmp.Or(c.GetWhy(), "-")),
	}
}

// where is a container of a pod, or a process of a host.
func where(w *trafficv1.Workload) string {
	if w.GetPod() != "" {
		name := w.GetNamespace() + "/" + w.GetPod()
		if w.GetContainer() != "" {
			name += "/" + w.GetContainer()
		}
		return word(name)
	}
	if p := w.GetProcess(); p != nil {
		return fmt.Sprintf("%d:%s", p.GetPid(), word(p.GetExecutable()))
	}
	return "-"
}

func library(tls *statusv1.TlsCoverage) string {
	name := word(cmp.Or(tls.GetStack(), "tls"))
	if tls.GetVersion() != "" {
		name += " " + word(tls.GetVersion())
	}
	if tls.GetLibrary() != "" {
		name += " " + word(tls.GetLibrary())
	}
	if !tls.GetHooked() {
		return name + ": not hooked: " + text(cmp.Or(tls.GetWhy(), "no reason given"))
	}
	name += ": hooked at " + text(cmp.Or(tls.GetSite(), "its exported functions"))
	if tls.GetWhy() != "" {
		name += " (" + text(tls.GetWhy()) + ")"
	}
	return name
}

// size is short: 3 digits say enough, and JSON has the rest.
func size(n uint64) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	v, unit := float64(n)/1000, 0
	for ; v >= 999.5 && unit < len("kMGTPE")-1; unit++ {
		v /= 1000
	}
	digits := 0
	if v < 9.95 {
		digits = 1
	}
	return fmt.Sprintf("%.*f%c", digits, v, "kMGTPE"[unit])
}

// text is hostile text in a place of its own.
func text(s string) string { return short(render.Terminal(s), longestText) }

// word is hostile text as one word: a space in it could pretend to be the next column.
func word(s string) string {
	return short(strings.ReplaceAll(render.Terminal(s), " ", `\x20`), longestName)
}

// short keeps both ends of a path: what it is, and which.
func short(s string, longest int) string {
	if utf8.RuneCountInString(s) <= longest {
		return s
	}
	runes := []rune(s)
	head := longest / 2
	return string(runes[:head]) + "…" + string(runes[len(runes)-(longest-head-1):])
}

// aligned pads all columns but the last, by characters.
func aligned(rows [][]string) []string {
	widths := make([]int, len(columns))
	for _, r := range rows {
		for i, cell := range r {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	lines := make([]string, len(rows))
	for i, r := range rows {
		var b strings.Builder
		for j, cell := range r {
			b.WriteString(cell)
			if j < len(r)-1 {
				b.WriteString(strings.Repeat(" ", widths[j]-utf8.RuneCountInString(cell)+2))
			}
		}
		lines[i] = b.String()
	}
	return lines
}
