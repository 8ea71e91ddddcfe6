package ingest

import (
	"sync"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	aggregatorv1 "github.com/sidelight/sidelight/proto/gen/sidelight/aggregator/v1"
	trafficv1 "github.com/sidelight/sidelight/proto/gen/sidelight/traffic/v1"
)

// batch waits for the last of its exchanges.
type batch struct {
	stream   *stream
	sequence uint64
	release  func()

	mu      sync.Mutex
	left    int
	refused uint32
}

func (b *batch) done(refused bool) {
	b.mu.Lock()
	b.left--
	if refused {
		b.refused++
	}
	last := b.left == 0
	b.mu.Unlock()
	if last {
		b.answer()
	}
}

// answer gives the batch to its stream to acknowledge. If that has ended, the agent sends the batch again, and the
// processor knows what it has judged.
func (b *batch) answer() {
	b.release()
	b.stream.service.Refused.Add(int64(b.refused))
	b.stream.mu.Lock()
	b.stream.pending--
	b.stream.answers = append(b.stream.answers, &aggregatorv1.Ack{Sequence: b.sequence, Refused: b.refused})
	b.stream.mu.Unlock()
	select {
	case b.stream.ready <- struct{}{}:
	default:
	}
}

// prepare checks what an exchange claims and adds what the aggregator knows. A reason says why it is refused.
func (st *stream) prepare(x *trafficv1.Exchange, size int64, now time.Time) string {
	if size > maxExchange {
		return "exchange_too_big"
	}
	if x.Workload == nil {
		x.Workload = &trafficv1.Workload{}
	}
	switch x.Workload.GetNode() {
	case "":
		x.Workload.Node = st.node
	case st.node:
	default:
		// An agent speaks for its own node only.
		return "foreign_node"
	}
	x.Workload.Cluster = st.service.cfg.Cluster
	x.Client = st.service.deps.Clients.Resolve(x)
	if x.Times == nil {
		x.Times = &trafficv1.Times{}
	}
	at, plausible := st.clock.observed(x, now)
	if !plausible {
		st.service.deps.Losses.Add("ingest", "implausible_time", 1)
	}
	x.Times.ObservedAt = timestamppb.New(at)
	return ""
}
