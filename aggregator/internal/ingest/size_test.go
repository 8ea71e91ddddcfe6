package ingest

import (
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	aggregatorv1 "github.com/sidelight/sidelight/proto/gen/sidelight/aggregator/v1"
	trafficv1 "github.com/sidelight/sidelight/proto/gen/sidelight/traffic/v1"

	"github.com/sidelight/sidelight/aggregator/internal/route"
)

// keeper is a router that judges nothing.
type keeper struct{ items []route.Item }

func (k *keeper) Submit(items []route.Item) { k.items = append(k.items, items...) }

func many(n int, make func(i int) *trafficv1.Exchange) []*trafficv1.Exchange {
	var list []*trafficv1.Exchange
	for i := range n {
		list = append(list, make(i))
	}
	return list
}

func headers(n int, name, value string) []*trafficv1.Header {
	var list []*trafficv1.Header
	for range n {
		list = append(list, &trafficv1.Header{Name: []byte(name), Value: []byte(value)})
	}
	return list
}

// What a batch is said to hold is not less than what it costs in memory, whatever it is made of: else the bound on what is
// pending would be none. This measures the heap, and so runs alone.
func TestAccountingIsAnUpperBound(t *testing.T) {
	socket := func(b byte) *trafficv1.SocketAddress {
		return &trafficv1.SocketAddress{Ip: []byte{10, 0, 0, b}, Port: 80}
	}
	usual := func(int) *trafficv1.Exchange {
		return &trafficv1.Exchange{
			Id: make([]byte, 16), Revision: 1, Connection: &trafficv1.Connection{Id: make([]byte, 16), Peer: socket(1), Local: socket(9)},
			Request:  &trafficv1.Request{Method: []byte("GET"), Target: []byte("/orders/1042?expand=items"), Authority: []byte("shop"), Headers: headers(12, "X-Some-Header", "some value")},
			Response: &trafficv1.Response{Status: 200, Headers: headers(6, "X-Some-Header", "some value")},
			Times:    &trafficv1.Times{RequestStartMonoNs: 1000e9},
		}
	}
	big := &trafficv1.Workload{
		Node: "n1", Namespace: strings.Repeat("n", 60), Pod: strings.Repeat("p", 60), PodUid: strings.Repeat("u", 36), Container: "app", ContainerId: strings.Repeat("c", 64),
		Owner: "shop", OwnerKind: "Deployment", Service: "shop", Process: &trafficv1.Process{Pid: 1, Executable: "/usr/bin/shop"},
	}
	table := make([]*trafficv1.Workload, 2000)
	for i := range table {
		table[i] = &trafficv1.Workload{}
	}
	own := make([]*trafficv1.Workload, 500)
	for i := range own {
		own[i] = &trafficv1.Workload{Service: strings.Repeat("s", 8<<10)}
	}
	for name, b := range map[string]*aggregatorv1.Batch{
		"usual":           {Exchanges: many(2000, usual)},
		"with a workload": {Exchanges: many(2000, func(i int) *trafficv1.Exchange { x := usual(i); x.Workload = proto.CloneOf(big); return x })},
		"shared workload": {Workloads: []*trafficv1.Workload{big}, Exchanges: many(2000, func(i int) *trafficv1.Exchange { x := usual(i); x.WorkloadRef = 1; return x })},
		"own workloads":   {Workloads: own, Exchanges: many(500, func(i int) *trafficv1.Exchange { return &trafficv1.Exchange{WorkloadRef: uint32(i + 1)} })},
		"empty":           {Exchanges: many(5000, func(int) *trafficv1.Exchange { return &trafficv1.Exchange{} })},
		"empty workloads": {Workloads: table},
		"tiny headers": {Exchanges: many(20, func(int) *trafficv1.Exchange {
			return &trafficv1.Exchange{Request: &trafficv1.Request{Headers: headers(5000, "a", "b")}}
		})},
		"tiny body parts": {Exchanges: many(20, func(int) *trafficv1.Exchange {
			return &trafficv1.Exchange{Request: &trafficv1.Request{Body: make([]*trafficv1.BodySegment, 5000)}}
		})},
		"gaps": {Exchanges: many(20, func(int) *trafficv1.Exchange { return &trafficv1.Exchange{Gaps: make([]*trafficv1.Gap, 5000)} })},
		"anomalies": {Exchanges: many(20, func(int) *trafficv1.Exchange {
			return &trafficv1.Exchange{Request: &trafficv1.Request{Anomalies: make([]trafficv1.Anomaly, 50_000)}}
		})},
		"bodies": {Exchanges: many(100, func(int) *trafficv1.Exchange {
			return &trafficv1.Exchange{Request: &trafficv1.Request{Body: []*trafficv1.BodySegment{{Data: make([]byte, 65<<10)}}}}
		})},
	} {
		t.Run(name, func(t *testing.T) {
			for _, x := range b.GetExchanges() {
				for i := range x.GetGaps() {
					x.Gaps[i] = &trafficv1.Gap{}
				}
				for i := range x.GetRequest().GetBody() {
					if x.Request.Body[i] == nil {
						x.Request.Body[i] = &trafficv1.BodySegment{Data: []byte("x")}
					}
				}
			}
			data, err := proto.Marshal(b)
			require.NoError(t, err)
			r, keep := newRig(t, 1<<40), &keeper{}
			r.service.deps.Router = keep
			st := &stream{service: r.service, wire: &wire{ctx: t.Context()}, node: "n1", ready: make(chan struct{}, 1), slots: make(chan struct{}, 1)}
			before := heap()
			received := &aggregatorv1.Batch{}
			require.NoError(t, proto.Unmarshal(data, received))
			require.NoError(t, st.take(t.Context(), received))
			if len(keep.items) > 0 {
				received = nil
			}
			grown := heap() - before
			held := r.service.PendingBytes.Load()
			if len(keep.items) == 0 {
				// Nothing to wait for: it was answered, and only what was asked for can be compared.
				held = int64(perBatch)
				for _, w := range received.GetWorkloads() {
					held += sharedCost(w)
				}
			}
			t.Logf("held %d, heap %d (%.2f)", held, grown, float64(grown)/float64(held))
			require.GreaterOrEqual(t, held, grown)
			require.Less(t, held, 4*grown, "a bound that nothing comes near wastes memory")
			runtime.KeepAlive(keep)
			runtime.KeepAlive(received)
			runtime.KeepAlive(data)
			runtime.KeepAlive(b)
		})
	}
}

// One exchange that has to wait holds no more than its own, however many were judged beside it.
func TestWhatIsJudgedGivesItsRoomBack(t *testing.T) {
	t.Parallel()
	r, keep := newRig(t, 1<<30), &keeper{}
	r.service.deps.Router = keep
	st := &stream{service: r.service, wire: &wire{ctx: t.Context()}, node: "n1", ready: make(chan struct{}, 1), slots: make(chan struct{}, 1)}
	require.NoError(t, st.take(t.Context(), &aggregatorv1.Batch{Exchanges: many(200, func(int) *trafficv1.Exchange {
		return &trafficv1.Exchange{Request: &trafficv1.Request{Body: []*trafficv1.BodySegment{{Data: make([]byte, 10<<10)}}}}
	})}))
	require.Greater(t, r.service.PendingBytes.Load(), int64(2<<20))
	for _, item := range keep.items[1:] {
		item.Done(false)
	}
	require.Less(t, r.service.PendingBytes.Load(), int64(giveBack+20<<10))
	require.Empty(t, st.answers)
	keep.items[0].Done(true)
	require.Zero(t, r.service.PendingBytes.Load())
	require.EqualValues(t, 1, st.answers[0].GetRefused())
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
