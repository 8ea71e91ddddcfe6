package stream

import (
	"bytes"

	"github.com/sidelight/sidelight/agent/internal/http1"
	"github.com/sidelight/sidelight/agent/internal/workload"
	trafficv1 "github.com/sidelight/sidelight/proto/gen/sidelight/traffic/v1"
)

// received reads bytes of requests, in their order.
func (c *conn) received(data []byte, mono uint64) {
	if !c.requests.LineUnderWay() {
		c.begun = mono
	}
	c.now = mono
	before := c.requests.Lost
	c.requests.Feed(data)
	c.unplaced(c.requests.Lost - before)
}

// missed tells of bytes of requests that were not seen.
func (c *conn) missed(n uint64, why trafficv1.GapReason, mono uint64) {
	c.now = mono
	c.table.losses.Add("request_bytes", gapWords[why], int64(n))
	wasLost := c.requests.IsLost()
	c.requests.Skip(n, why)
	switch {
	case wasLost:
		c.unplaced(n)
	case c.requests.IsLost():
		// Requests may have been among them.
		c.gapped = true
		c.table.lostBytes(c.info.Workload, n)
	default:
		c.table.unseen(c.info.Workload, n, why)
	}
}

// unplaced counts bytes that no request can be made of: behind a gap they are lost, and else they are not HTTP.
func (c *conn) unplaced(n uint64) {
	switch {
	case n == 0:
	case c.gapped:
		c.table.lostBytes(c.info.Workload, n)
	default:
		c.table.skipped(c.info.Workload, n)
	}
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
