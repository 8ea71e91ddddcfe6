package coverage

import (
	"encoding/json"
	"fmt"
	"io"
	"time"
	"unicode/utf16"

	"github.com/sidelight/sidelight/internal/render"
	statusv1 "github.com/sidelight/sidelight/proto/gen/sidelight/status/v1"
)

// line is an agent for programs: every key is always there, named as in the proto.
type line struct {
	Instance string `json:"instance"`
	Cluster  string `json:"cluster"`
	// "" when it is not known.
	ReportedAt      string     `json:"reported_at"`
	Ready           bool       `json:"ready"`
	NotReadyBecause string     `json:"not_ready_because"`
	Shedding        string     `json:"shedding"`
	Coverage        []workload `json:"coverage"`
}

type workload struct {
	Workload              location  `json:"workload"`
	Mirrored              bool      `json:"mirrored"`
	Why                   string    `json:"why"`
	TLS                   []hooking `json:"tls"`
	BytesSeen             uint64    `json:"bytes_seen"`
	BytesSkipped          uint64    `json:"bytes_skipped"`
	BytesLost             uint64    `json:"bytes_lost"`
	BytesIOUring          uint64    `json:"bytes_io_uring"`
	IOUring               bool      `json:"io_uring"`
	Exchanges             uint64    `json:"exchanges"`
	ExchangesAcknowledged uint64    `json:"exchanges_acknowledged"`
	ExchangesLost         uint64    `json:"exchanges_lost"`
}

type location struct {
	Node      string `json:"node"`
	Namespace string `json:"namespace"`
	Pod       string `json:"pod"`
	Container string `json:"container"`
	Service   string `json:"service"`
	// 0: it is no process of a plain host.
	PID        uint32 `json:"pid"`
	Executable string `json:"executable"`
}

type hooking struct {
	Stack   string `json:"stack"`
	Version string `json:"version"`
	Library string `json:"library"`
	Hooked  bool   `json:"hooked"`
	Site    string `json:"site"`
	Why     string `json:"why"`
}

// asJSON writes one object on one line.
func asJSON(w io.Writer, agent *statusv1.PartStatus) error {
	safe := render.JSONSafe
	out := line{
		Instance: safe(agent.GetInstance()), Cluster: safe(agent.GetCluster()), Ready: agent.GetReady(),
		NotReadyBecause: safe(agent.GetNotReadyBecause()), Shedding: safe(agent.GetShedding()), Coverage: []workload{},
	}
	if agent.GetReportedAt() != nil {
		out.ReportedAt = agent.GetReportedAt().AsTime().Format(time.RFC3339Nano)
	}
	for _, c := range agent.GetCoverage() {
		l := c.GetWorkload()
		one := workload{
			Workload: location{
				safe(l.GetNode()), safe(l.GetNamespace()), safe(l.GetPod()), safe(l.GetContainer()), safe(l.GetService()),
				l.GetProcess().GetPid(), safe(l.GetProcess().GetExecutable()),
			},
			Mirrored: c.GetMirrored(), Why: safe(c.GetWhy()), TLS: []hooking{},
			BytesSeen: c.GetBytesSeen(), BytesSkipped: c.GetBytesSkipped(), BytesLost: c.GetBytesLost(),
			BytesIOUring: c.GetBytesIoUring(), IOUring: c.GetIoUring(),
			Exchanges: c.GetExchanges(), ExchangesAcknowledged: c.GetExchangesAcknowledged(), ExchangesLost: c.GetExchangesLost(),
		}
		for _, t := range c.GetTls() {
			one.TLS = append(one.TLS, hooking{
				safe(t.GetStack()), safe(t.GetVersion()), safe(t.GetLibrary()), t.GetHooked(), safe(t.GetSite()), safe(t.GetWhy()),
			})
		}
		out.Coverage = append(out.Coverage, one)
	}
	encoded, err := json.Marshal(out)
	if err != nil {
		return fmt.Errorf("encoding the report of agent %q: %w", agent.GetInstance(), err)
	}
	_, err = w.Write(append(ascii(encoded), '\n'))
	return err
}

// ascii escapes, as JSON does, all that is not ASCII: a terminal obeys and hides none of it, and a program reads the same text.
func ascii(encoded []byte) []byte {
	out := make([]byte, 0, len(encoded))
	for _, r := range string(encoded) {
		switch {
		case r < 0x7f:
			out = append(out, byte(r))
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			out = fmt.Appendf(out, `\u%04x\u%04x`, high, low)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
	}
	return out
}
