package ship

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/sidelight/sidelight/agent/internal/workload"
	"github.com/sidelight/sidelight/internal/losses"
	aggregatorv1 "github.com/sidelight/sidelight/proto/gen/sidelight/aggregator/v1"
	trafficv1 "github.com/sidelight/sidelight/proto/gen/sidelight/traffic/v1"
)

func named(service string) *workload.Workload {
	return workload.New(&trafficv1.Workload{Service: service})
}

func shop() *workload.Workload { return named("shop") }

// quick is an exchange that has it all, with a body and an answer.
func quick(name string, body int) *trafficv1.Exchange {
	e := &trafficv1.Exchange{
		Id: []byte(fmt.Sprintf("%016s", name)), Revision: 1, ContentRevision: 1, Phase: trafficv1.Phase_PHASE_CLOSED,
		Request:  &trafficv1.Request{Target: []byte(name), Headers: []*trafficv1.Header{{Name: []byte("Host"), Value: []byte("a")}}},
		Response: &trafficv1.Response{Status: 200, Headers: []*trafficv1.Header{{Name: []byte("Server"), Value: bytes.Repeat([]byte("s"), 100)}}},
		Times:    &trafficv1.Times{RequestStartMonoNs: 1},
	}
	if body > 0 {
		e.Request.Body = []*trafficv1.BodySegment{{Data: bytes.Repeat([]byte("x"), body)}}
	}
	return e
}

func decode(t testing.TB, it *item) *trafficv1.Exchange {
	t.Helper()
	e := &trafficv1.Exchange{}
	require.NoError(t, proto.Unmarshal(it.wire, e))
	return e
}

func sent(t testing.TB, b *batch) *aggregatorv1.Batch {
	t.Helper()
	m := &aggregatorv1.MirrorRequest{}
	require.NoError(t, proto.Unmarshal(b.frame.bytes, m))
	return m.GetBatch()
}

func bodyOf(e *trafficv1.Exchange) int {
	n := 0
	for _, s := range e.GetRequest().GetBody() {
		n += len(s.GetData())
	}
	return n
}

// count gives one counter.
func count(l *losses.Losses, place, reason string) int64 {
	for _, loss := range l.Snapshot() {
		if loss.Place == place && loss.Reason == reason {
			return loss.Count
		}
	}
	return 0
}

func TestShedsInOrder(t *testing.T) {
	t.Parallel()
	size := newItemSize(t, 10_000)
	tests := map[string]struct {
		room int // of 4 exchanges with bodies of 10 000
		want string
	}{
		"room for all":           {4 * size, "10000+h 10000+h 10000+h 10000+h"},
		"one tail":               {4*size - 1, "4096+h 10000+h 10000+h 10000+h"},
		"two tails":              {4*size - 7000, "4096+h 4096+h 10000+h 10000+h"},
		"all tails and one body": {4*(size-5904) - 1000, "0+h 4096+h 4096+h 4096+h"},
		"all bodies, one head":   {4*(size-10_000) - 40, "0 0+h 0+h 0+h"},
		"all heads, one whole":   {4*(size-10_000-80) - 200, "0 0 0"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lost, w := losses.NewLosses(nil, "agent"), shop()
			b := newBuffer(1<<30, lost)
			for i := range 4 {
				b.addMessage(quick(fmt.Sprint(i), 10_000), w)
			}
			b.maxBytes = test.room
			b.shed()
			require.LessOrEqual(t, b.bytes, test.room)
			var got []string
			gone := 0
			for _, it := range b.account(w).queue {
				e := decode(t, it)
				state := fmt.Sprint(bodyOf(e))
				if len(e.GetResponse().GetHeaders()) > 0 {
					state += "+h"
				}
				require.Equal(t, uint32(200), e.GetResponse().GetStatus(), "the status stays")
				require.NotEmpty(t, e.GetRequest().GetHeaders())
				for _, gap := range e.GetGaps() {
					require.Equal(t, trafficv1.GapReason_GAP_REASON_SHED, gap.GetReason())
					if gap.GetPart() == trafficv1.Gap_PART_REQUEST_BODY {
						gone += int(gap.GetLength())
					}
				}
				require.Equal(t, 10_000, bodyOf(e)+bodyGaps(e), "what is not there is a gap")
				got = append(got, state)
			}
			require.Equal(t, test.want, strings.Join(got, " "))
			require.Equal(t, uint64(4-len(got)), w.Lost.Load())
			require.Equal(t, int64(4-len(got)), count(lost, "exchanges", "buffer_full"))
			require.GreaterOrEqual(t, count(lost, "body_bytes", "shed"), int64(gone))
		})
	}
}

func bodyGaps(e *trafficv1.Exchange) int {
	n := 0
	for _, gap := range e.GetGaps() {
		if gap.GetPart() == trafficv1.Gap_PART_REQUEST_BODY {
			n += int(gap.GetLength())
		}
	}
	return n
}

func newItemSize(t testing.TB, body int) int {
	b := newBuffer(1<<30, losses.NewLosses(nil, "agent"))
	b.addMessage(quick("0", body), shop())
	require.Positive(t, b.bytes)
	return b.bytes
}

// One workload floods the buffer: another keeps all that it has, up to its share.
func TestFloodTakesFromItself(t *testing.T) {
	t.Parallel()
	lost, flood, quiet := losses.NewLosses(nil, "agent"), named("flood"), named("quiet")
	b := newBuffer(200_000, lost)
	for i := range 10 {
		b.addMessage(quick(fmt.Sprintf("q%d", i), 5000), quiet)
	}
	for i := range 5000 {
		b.addMessage(quick(fmt.Sprintf("f%d", i), 1000), flood)
		require.LessOrEqual(t, b.bytes, 200_000)
	}
	for _, it := range b.account(quiet).queue {
		require.Equal(t, 5000, bodyOf(decode(t, it)))
	}
	require.Len(t, b.account(quiet).queue, 10)
	require.Zero(t, quiet.Lost.Load())
	require.Equal(t, uint64(5000), flood.Exchanges.Load())
	require.Equal(t, 5000, int(flood.Lost.Load())+len(b.account(flood).queue))
	require.Equal(t, "f4999", string(decode(t, b.account(flood).queue[len(b.account(flood).queue)-1]).GetRequest().GetTarget()), "the oldest go")

	// A batch takes from both in turn.
	list := sent(t, b.cut(6, 1<<20)).GetExchanges()
	from := map[uint32]int{}
	for _, e := range list {
		from[e.GetWorkloadRef()]++
	}
	require.Equal(t, map[uint32]int{1: 3, 2: 3}, from)
}

// What is in flight counts, cannot be taken back, and never fills the whole buffer.
func TestInFlightIsInTheBound(t *testing.T) {
	t.Parallel()
	w := shop()
	b := newBuffer(100_000, losses.NewLosses(nil, "agent"))
	for i := range 1000 {
		b.addMessage(quick(fmt.Sprint(i), 1000), w)
		b.cut(1, 1<<20)
		require.LessOrEqual(t, b.bytes, 100_000)
	}
	require.LessOrEqual(t, b.inflightBytes, 52_000)
	require.Positive(t, b.waiting)
	for _, sent := range b.unacknowledged() {
		require.True(t, b.acknowledge(sent.sequence, 0))
	}
	require.Zero(t, b.inflightBytes)
	require.Equal(t, b.account(w).bytes, b.bytes)
}

func TestBatchOnTheWire(t *testing.T) {
	t.Parallel()
	one, two := named("one"), named("two")
	b := newBuffer(1<<20, losses.NewLosses(nil, "agent"))
	var want []*trafficv1.Exchange
	for i := range 6 {
		e, w := quick(fmt.Sprint(i), 300*i), one
		if i%2 == 1 {
			w = two
		}
		e.Request.Headers = []*trafficv1.Header{{Name: []byte("hOST"), Value: []byte("shop")}, {Name: []byte("Host"), Value: []byte("other")}}
		e.Request.Authority = []byte("shop")
		if i == 3 {
			e.Request.Authority = []byte("other") // not what its first Host header says
		}
		if i > 0 {
			e.Connection = &trafficv1.Connection{Netns: uint32(i/3 + 1)}
		}
		b.addMessage(e, w)
		require.Equal(t, i > 0, e.GetConnection() != nil, "the exchange is as it was")
		require.NotEmpty(t, e.GetRequest().GetAuthority())
		e.WorkloadRef = uint32(i%2 + 1)
		if e.Connection = nil; i > 0 {
			e.ConnectionRef = uint32(i/3 + 1)
		}
		if i != 3 {
			e.Request.Authority = nil
		}
		want = append(want, e)
	}
	got := b.cut(100, 1<<20)
	message := &aggregatorv1.MirrorRequest{Message: &aggregatorv1.MirrorRequest_Batch{
		Batch: &aggregatorv1.Batch{Sequence: 1, Exchanges: want, Workloads: []*trafficv1.Workload{one.Name, two.Name},
			Connections: []*trafficv1.Connection{{Netns: 1}, {Netns: 2}}},
	}}
	read := &aggregatorv1.MirrorRequest{}
	require.NoError(t, proto.Unmarshal(got.frame.bytes, read))
	require.True(t, proto.Equal(message, read))
	require.Len(t, got.frame.bytes, proto.Size(message), "as short as it can be")
}

func TestAcknowledgementsInAnyOrder(t *testing.T) {
	t.Parallel()
	w := shop()
	b := newBuffer(1<<20, losses.NewLosses(nil, "agent"))
	for i := range 3 {
		b.addMessage(quick(fmt.Sprint(i), 10), w)
		require.Equal(t, uint64(i+1), b.cut(10, 1000).sequence)
	}
	require.True(t, b.acknowledge(2, 0))
	require.False(t, b.acknowledge(2, 1))
	left := b.unacknowledged()
	require.Len(t, left, 2)
	require.Equal(t, []uint64{1, 3}, []uint64{left[0].sequence, left[1].sequence})
	b.acknowledge(1, 0)
	b.acknowledge(3, 1)
	require.True(t, b.empty())
	require.Zero(t, b.bytes)
	require.Equal(t, []uint64{3, 2, 1}, []uint64{w.Exchanges.Load(), w.Acknowledged.Load(), w.Lost.Load()})
}

// What was refused is shared out among the workloads of a batch, and the sum is right.
func TestRefusedOfSeveralWorkloads(t *testing.T) {
	t.Parallel()
	for refused := range 12 {
		lost := losses.NewLosses(nil, "agent")
		list := []*workload.Workload{named("a"), named("b"), named("c")}
		b := newBuffer(1<<20, lost)
		for i := range 10 {
			b.addMessage(quick(fmt.Sprint(i), 0), list[i*i%3])
		}
		b.cut(100, 1<<20)
		b.acknowledge(1, refused)
		sum := uint64(0)
		for _, w := range list {
			require.Equal(t, w.Exchanges.Load(), w.Acknowledged.Load()+w.Lost.Load())
			sum += w.Lost.Load()
		}
		require.Equal(t, uint64(min(refused, 10)), sum)
		require.Equal(t, int64(sum), count(lost, "exchanges", "refused"))
	}
}

func TestOldest(t *testing.T) {
	t.Parallel()
	w := shop()
	b := newBuffer(1<<20, losses.NewLosses(nil, "agent"))
	at := func(name string, mono uint64, revision uint32) {
		e := quick(name, 0)
		e.Times.RequestStartMonoNs, e.Revision = mono, revision
		b.addMessage(e, w)
	}
	require.Equal(t, ^uint64(0), b.oldest())
	at("a", 20, 1)
	at("b", 30, 1)
	b.cut(1, 1000)
	require.Equal(t, uint64(20), b.oldest(), "in flight")
	b.acknowledge(1, 0)
	require.Equal(t, uint64(30), b.oldest(), "waiting")
	b.cut(1, 1000)
	b.acknowledge(2, 0)
	at("c", 5, 2)
	require.Equal(t, ^uint64(0), b.oldest(), "an older revision of it is acknowledged")
}
