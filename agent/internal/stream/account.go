package stream

import (
	"bytes"

	"github.com/sidelight/sidelight/agent/internal/http1"
	"github.com/sidelight/sidelight/agent/internal/workload"
	trafficv1 "github.com/sidelight/sidelight/proto/gen/sidelight/traffic/v1"
)

// account keeps the books of memory.
func (c *conn) account() {
	line := c.requests.Memory() + c.responses.Memory()
	if n := len(c.open); n > 0 {
		e := &c.open[n-1]
		if c.weigh(e); c.requests.UnderWay(e.Request()) {
			line -= e.kept
		}
	}
	if c.stash != nil {
		line += c.stash.size
	}
	if c.doubt != nil && c.doubt.held != nil {
		line += c.doubt.held.request.Memory()
	}
	c.grow(line - c.line)
	c.line = line
}

func (c *conn) weigh(e *entry) {
	more := e.Request().Memory() - e.kept
	e.kept += more
	c.grow(more)
}

func (c *conn) grow(n int) {
	c.kept += n
	c.table.kept += n
}

// unseen counts bytes of a message whose end is known: what is over a budget or goes by sendfile is left out on purpose.
func (t *Table) unseen(w *workload.Workload, n uint64, why trafficv1.GapReason) {
	switch why {
	case trafficv1.GapReason_GAP_REASON_BUDGET, trafficv1.GapReason_GAP_REASON_SENDFILE:
		t.skipped(w, n)
	default:
		t.lostBytes(w, n)
	}
}

func (t *Table) seen(w *workload.Workload, n uint64) {
	t.BytesSeen.Add(n)
	w.BytesSeen.Add(n)
}

func (t *Table) skipped(w *workload.Workload, n uint64) {
	t.BytesSkipped.Add(n)
	w.BytesSkipped.Add(n)
}

func (t *Table) lostBytes(w *workload.Workload, n uint64) {
	t.BytesLost.Add(n)
	w.BytesLost.Add(n)
}

// streams tells whether a response is of a kind that goes on while its reader stays.
func streams(r *http1.Response) bool {
	for _, h := range r.Headers {
		if !bytes.EqualFold(h.Name, []byte("Content-Type")) {
			continue
		}
		kind, _, _ := bytes.Cut(h.Value, []byte{';'})
		switch string(bytes.ToLower(bytes.TrimSpace(kind))) {
		case "text/event-stream", "application/x-ndjson", "application/stream+json", "multipart/x-mixed-replace":
			return true
		}
	}
	return false
}
