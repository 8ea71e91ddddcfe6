package observe

import (
	"cmp"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sidelight/sidelight/internal/render"
	detectionv1 "github.com/sidelight/sidelight/proto/gen/sidelight/detection/v1"
	processorv1 "github.com/sidelight/sidelight/proto/gen/sidelight/processor/v1"
	trafficv1 "github.com/sidelight/sidelight/proto/gen/sidelight/traffic/v1"
)

const (
	// longestField keeps a line readable; JSON has all of it.
	longestField = 120
	longestName  = 60
)

// pretty writes a line for people.
type pretty struct{ zone *time.Location }

func (p pretty) Print(w io.Writer, s *processorv1.Summary) error {
	r := s.GetRequest()
	at := "--:--:--.---"
	if s.GetObservedAt() != nil {
		at = s.GetObservedAt().AsTime().In(p.zone).Format("15:04:05.000")
	}
	status := "---"
	if r.GetStatus() != 0 {
		status = fmt.Sprint(r.GetStatus())
	}
	fields := []string{
		at,
		fmt.Sprintf("%-15s", field(cmp.Or(client(r), "-"), longestName)),
		fmt.Sprintf("%-6s", field(r.GetMethod(), longestName)),
		field(r.GetHost(), longestName) + field(r.GetPath(), longestField),
		status,
		workload(r.GetWorkload()),
	}
	for _, hit := range s.GetHits() {
		fields = append(fields, field(hit.GetType(), longestName)+"@"+field(hit.GetPoint(), longestField))
	}
	if !s.GetComplete() {
		why := cmp.Or(s.GetWhyIncomplete(), "no reason given")
		fields = append(fields, "not inspected: "+short(render.Terminal(why), longestField))
	}
	_, err := fmt.Fprintln(w, strings.Join(fields, "  "))
	return err
}

// field is hostile text as one word: a space in it could pretend to be the next column.
func field(text string, longest int) string {
	return short(strings.ReplaceAll(render.Terminal(text), " ", `\x20`), longest)
}

func short(text string, longest int) string {
	if utf8.RuneCountInString(text) <= longest {
		return text
	}
	return string([]rune(text)[:longest-1]) + "…"
}

// client is who sent the request: as far as trusted hops say, else the peer; "" = not known.
func client(r *detectionv1.RequestSummary) string {
	if address := r.GetClient().GetAddress(); address != "" {
		return address
	}
	if ip, ok := netip.AddrFromSlice(r.GetPeer().GetIp()); ok {
		return ip.Unmap().String()
	}
	return ""
}

// workload is the service and where it runs: pod, or host.
func workload(w *trafficv1.Workload) string {
	where := w.GetNode()
	if w.GetPod() != "" {
		where = w.GetNamespace() + "/" + w.GetPod()
	}
	name := field(cmp.Or(w.GetService(), w.GetContainer(), "-"), longestName)
	if where == "" {
		return name
	}
	return name + "(" + field(where, longestField) + ")"
}
