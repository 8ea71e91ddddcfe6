package observe

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/sidelight/sidelight/internal/render"
	processorv1 "github.com/sidelight/sidelight/proto/gen/sidelight/processor/v1"
)

// line is a summary for programs: every key is always there, named as in the proto.
type line struct {
	// Hexadecimal.
	ExchangeID string `json:"exchange_id"`
	Revision   uint32 `json:"revision"`
	// "request", "update" or "closed".
	Phase string `json:"phase"`
	// "" when it is not known.
	ObservedAt    string  `json:"observed_at"`
	Request       request `json:"request"`
	Hits          []hit   `json:"hits"`
	Complete      bool    `json:"complete"`
	WhyIncomplete string  `json:"why_incomplete"`
	Duplicate     bool    `json:"duplicate"`
}

type request struct {
	Client string `json:"client"`
	Method string `json:"method"`
	Host   string `json:"host"`
	Path   string `json:"path"`
	// 0: no answer yet.
	Status    uint32   `json:"status"`
	TraceID   string   `json:"trace_id"`
	UserAgent string   `json:"user_agent"`
	Workload  location `json:"workload"`
}

type location struct {
	Cluster   string `json:"cluster"`
	Node      string `json:"node"`
	Namespace string `json:"namespace"`
	Pod       string `json:"pod"`
	Container string `json:"container"`
	Service   string `json:"service"`
}

type hit struct {
	Type  string `json:"type"`
	Point string `json:"point"`
}

// asJSON writes one object per line.
type asJSON struct{}

func (asJSON) Print(w io.Writer, s *processorv1.Summary) error {
	r, l := s.GetRequest(), s.GetRequest().GetWorkload()
	text := render.JSONSafe
	out := line{
		ExchangeID: hex.EncodeToString(s.GetExchangeId()), Revision: s.GetRevision(),
		Phase: strings.ToLower(strings.TrimPrefix(s.GetPhase().String(), "PHASE_")),
		Request: request{
			Client: text(client(r)), Method: text(r.GetMethod()), Host: text(r.GetHost()), Path: text(r.GetPath()),
			Status: r.GetStatus(), TraceID: text(r.GetTraceId()), UserAgent: text(r.GetUserAgent()),
			Workload: location{
				text(l.GetCluster()), text(l.GetNode()), text(l.GetNamespace()), text(l.GetPod()), text(l.GetContainer()), text(l.GetService()),
			},
		},
		Hits: []hit{}, Complete: s.GetComplete(), WhyIncomplete: text(s.GetWhyIncomplete()), Duplicate: s.GetDuplicate(),
	}
	if s.GetObservedAt() != nil {
		out.ObservedAt = s.GetObservedAt().AsTime().Format(time.RFC3339Nano)
	}
	for _, h := range s.GetHits() {
		out.Hits = append(out.Hits, hit{text(h.GetType()), text(h.GetPoint())})
	}
	var encoded bytes.Buffer
	encoder := json.NewEncoder(&encoded)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(out); err != nil {
		return fmt.Errorf("encoding a summary: %w", err)
	}
	_, err := w.Write(visible(encoded.Bytes()))
	return err
}

// visible escapes, as JSON does, what a terminal would obey or hide. A program reads the same text.
func visible(encoded []byte) []byte {
	out := make([]byte, 0, len(encoded))
	for len(encoded) > 0 {
		r, size := utf8.DecodeRune(encoded)
		switch char := string(encoded[:size]); {
		case r == '\n' || render.Terminal(char) == char:
			out = append(out, char...)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			out = fmt.Appendf(out, `\u%04x\u%04x`, high, low)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
		encoded = encoded[size:]
	}
	return out
}
