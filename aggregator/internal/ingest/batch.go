package ingest

import (
	"context"
	"sync"
	"time"

	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	aggregatorv1 "github.com/sidelight/sidelight/proto/gen/sidelight/aggregator/v1"
	trafficv1 "github.com/sidelight/sidelight/proto/gen/sidelight/traffic/v1"

	"github.com/sidelight/sidelight/aggregator/internal/route"
)

// giveBack is how much room a batch gathers before it gives it back while some of its exchanges still wait.
const giveBack = 64 << 10

// batch waits for the last of its exchanges. What is judged gives its room back before: one exchange that has to wait
// holds no more than its own.
type batch struct {
	stream   *stream
	sequence uint64

	mu      sync.Mutex
	left    int
	refused uint32
	// room is what it still holds; spare is how much of that it no longer needs.
	room, spare int64
}

// take hands a batch on; it waits while there is no room for it.
func (st *stream) take(ctx context.Context, b *aggregatorv1.Batch) error {
	s := st.service
	list := b.GetExchanges()
	sizes, costs, total := make([]int64, len(list)), make([]int64, len(list)), int64(perBatch)
	for _, w := range b.GetWorkloads() {
		total += sharedCost(w)
	}
	for _, c := range b.GetConnections() {
		total += sharedCost(c)
	}
	for i, x := range list {
		sizes[i] = int64(proto.Size(x))
		costs[i] = cost(x, sizes[i])
		total += costs[i]
	}
	select {
	case st.slots <- struct{}{}:
	case <-ctx.Done():
		return status.FromContextError(ctx.Err()).Err()
	}
	held, err := s.reserve(ctx, st.node, total)
	if err != nil {
		return status.FromContextError(err).Err()
	}
	open := &batch{stream: st, sequence: b.GetSequence(), room: held}
	select {
	case <-s.stopped:
		// The agent sends it again, elsewhere.
		s.release(st.node, held)
		<-st.slots
		return nil
	default:
	}
	s.Batches.Add(1)
	s.Exchanges.Add(int64(len(list)))
	common := tables{st.resolve(b.GetWorkloads()), b.GetConnections()}
	items := make([]route.Item, 0, len(list))
	now := s.deps.Now()
	for i, x := range list {
		size, reason := st.prepare(x, sizes[i], common, now)
		if reason != "" {
			s.deps.Losses.Add("ingest", reason, 1)
			open.refused++
			continue
		}
		items = append(items, route.Item{Exchange: x, Size: size, Source: st.node, Done: open.done(costs[i])})
	}
	st.mu.Lock()
	st.pending++
	st.mu.Unlock()
	open.left = len(items)
	if len(items) == 0 {
		open.answer()
		return nil
	}
	s.deps.Router.Submit(items)
	return nil
}

// done is called when one exchange is judged or refused.
func (b *batch) done(cost int64) func(refused bool) {
	return func(refused bool) {
		b.mu.Lock()
		b.left--
		if refused {
			b.refused++
		}
		last, back := b.left == 0, int64(0)
		// A batch over the whole bound holds less than it costs.
		if b.spare += cost; !last && b.spare >= giveBack && b.spare < b.room {
			back, b.spare = b.spare, 0
			b.room -= back
		}
		b.mu.Unlock()
		if back > 0 {
			b.stream.service.release(b.stream.node, back)
		}
		if last {
			b.answer()
		}
	}
}

// answer gives the batch to its stream to acknowledge. If that has ended, the agent sends the batch again, and the
// processor knows what it has judged.
func (b *batch) answer() {
	b.stream.service.release(b.stream.node, b.room)
	b.stream.service.Refused.Add(int64(b.refused))
	b.stream.mu.Lock()
	b.stream.pending--
	b.stream.answers = append(b.stream.answers, &aggregatorv1.Ack{Sequence: b.sequence, Refused: b.refused})
	b.stream.mu.Unlock()
	b.stream.signal()
}

// prepare checks what an exchange claims and adds what the aggregator knows. It gives its size as it goes on, or the
// reason why it is refused.
func (st *stream) prepare(x *trafficv1.Exchange, size int64, common tables, now time.Time) (int64, string) {
	grew, reason := st.place(x, common.workloads)
	if reason == "" {
		var more int64
		more, reason = common.connect(x)
		grew += more + nameHost(x)
	}
	if reason != "" {
		return 0, reason
	}
	if size += grew; size > maxExchange {
		return 0, "exchange_too_big"
	}
	x.Client = st.service.deps.Clients.Resolve(x)
	if x.Times == nil {
		x.Times = &trafficv1.Times{}
	}
	st.clock.expand(x.GetTimes())
	at, plausible := st.clock.observed(x, now)
	if !plausible {
		st.service.deps.Losses.Add("ingest", "implausible_time", 1)
	}
	x.Times.ObservedAt = timestamppb.New(at)
	return size, ""
}
