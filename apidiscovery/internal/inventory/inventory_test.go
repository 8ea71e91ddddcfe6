package inventory

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/sidelight/sidelight/internal/losses"
	inventoryv1 "github.com/sidelight/sidelight/proto/gen/sidelight/inventory/v1"

	"github.com/sidelight/sidelight/apidiscovery/internal/schema"
)

var start = time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)

type bench struct {
	*Inventory
	losses *losses.Losses
	now    time.Time
	serial int
}

func newBench(change func(*Limits)) *bench {
	limits := DefaultLimits()
	limits.Requests = 1
	if change != nil {
		change(&limits)
	}
	b := &bench{losses: losses.NewLosses(nil, "test"), now: start}
	b.Inventory = New(limits, b.losses, func() time.Time { return b.now })
	return b
}

// see makes an observation of its own exchange and adds it.
func (b *bench) see(line string, status uint32, change ...func(*inventoryv1.Observation)) *inventoryv1.Observation {
	method, path, _ := strings.Cut(line, " ")
	b.serial++
	o := &inventoryv1.Observation{
		ExchangeId: fmt.Appendf(nil, "%016d", b.serial), Revision: 1, Cluster: "c1", Service: "shop", Host: "shop.example", Method: method, Status: status,
		ObservedAt: timestamppb.New(b.now), Auth: inventoryv1.AuthScheme_AUTH_SCHEME_NONE, Protocol: inventoryv1.Protocol_PROTOCOL_REST,
	}
	for segment := range strings.SplitSeq(strings.Trim(path, "/"), "/") {
		if segment != "" {
			o.Segments = append(o.Segments, &inventoryv1.PathSegment{Text: segment})
		}
	}
	for _, f := range change {
		f(o)
	}
	b.Add([]*inventoryv1.Observation{o})
	return o
}

func query(name string, kind inventoryv1.ValueType, classes ...string) func(*inventoryv1.Observation) {
	return func(o *inventoryv1.Observation) {
		o.Parameters = append(o.Parameters, &inventoryv1.Parameter{Location: inventoryv1.Location_LOCATION_QUERY, Name: name, Type: kind, Classes: classes, Count: 1})
	}
}

func attack(o *inventoryv1.Observation) { o.Attack = true }

// routes lists what a batch writes, with its counts of requests.
func routes(batch Batch) []string {
	var list []string
	for _, e := range batch.Endpoints {
		list = append(list, fmt.Sprintf("%s %s %d", e.Method, e.Template, e.Requests))
	}
	slices.Sort(list)
	return list
}

func TestOnlyWhatWasAnsweredMakesAnEndpoint(t *testing.T) {
	t.Parallel()
	b := newBench(func(l *Limits) { l.Requests = 3 })
	b.see("GET /wp-admin", 404)
	b.see("GET /secret", 403)
	b.see("GET /products/1", 200, attack)
	b.see("GET /products/1", 200)
	b.see("GET /products/2", 200)
	require.Empty(t, b.Take().Endpoints, "two are too few")
	b.see("GET /products/3", 200)
	b.see("GET /products/4", 200, attack)
	b.see("GET /products/5", 404)
	batch := b.Take()
	require.Equal(t, []string{"GET /products/{productId} 5"}, routes(batch))
	e := batch.Endpoints[0]
	require.Equal(t, [5]uint64{0, 4, 0, 1, 0}, e.Classes)
	require.EqualValues(t, 1, e.Attacks)
	require.EqualValues(t, 3, e.Whole)
	require.True(t, e.Structural)
	require.Equal(t, map[string]uint64{"status": 1, "attack": 1}, b.Counts().Unconfirmed)
	require.Equal(t, 2, b.Counts().Endpoints, "the refused one is remembered")
}

func TestCountersAloneAreNoChangeOfStructure(t *testing.T) {
	t.Parallel()
	b := newBench(nil)
	b.see("GET /search", 200, query("q", inventoryv1.ValueType_VALUE_TYPE_STRING))
	first := b.Take()
	require.True(t, first.Endpoints[0].Structural)
	b.see("GET /search", 200, query("q", inventoryv1.ValueType_VALUE_TYPE_STRING))
	second := b.Take()
	require.False(t, second.Endpoints[0].Structural)
	require.EqualValues(t, 1, second.Endpoints[0].Requests)
	require.EqualValues(t, 1, second.Parameters[0].Seen)
	b.see("GET /search", 200, query("q", inventoryv1.ValueType_VALUE_TYPE_INT32, "credit_card"))
	third := b.Take()
	require.True(t, third.Endpoints[0].Structural)
	require.Equal(t, []string{"credit_card"}, third.Parameters[0].Classes)
	empty := b.Take()
	require.True(t, empty.Empty())
}

func TestAParameterOfTwoTypesIsInOneRequest(t *testing.T) {
	t.Parallel()
	b := newBench(nil)
	b.see("GET /search", 200, query("id", inventoryv1.ValueType_VALUE_TYPE_INT32), query("id", inventoryv1.ValueType_VALUE_TYPE_UUID))
	p := b.Take().Parameters[0]
	require.EqualValues(t, 1, p.Seen)
	require.Len(t, p.Types.List(), 2)
}

func TestParametersOfAttacksAndFailuresAreNotLearned(t *testing.T) {
	t.Parallel()
	b := newBench(nil)
	b.see("GET /search", 200, query("q", inventoryv1.ValueType_VALUE_TYPE_STRING))
	b.see("GET /search", 200, query("evil", inventoryv1.ValueType_VALUE_TYPE_STRING), attack)
	b.see("GET /search", 400, query("typo", inventoryv1.ValueType_VALUE_TYPE_STRING))
	batch := b.Take()
	require.Len(t, batch.Parameters, 1)
	require.Equal(t, "q", batch.Parameters[0].Name)
	require.EqualValues(t, 3, batch.Endpoints[0].Requests)
}

func TestMergedEndpointsAreAliases(t *testing.T) {
	t.Parallel()
	b := newBench(nil)
	for _, name := range []string{"alice", "bob", "carol"} {
		b.see("GET /users/"+name+"/orders", 200)
	}
	before := b.Take()
	require.Len(t, before.Endpoints, 3)
	require.Empty(t, before.Merges)
	b.see("GET /users/alice/orders", 200)
	b.see("GET /users/dave/orders", 200)
	after := b.Take()
	require.Equal(t, []string{"GET /users/{userId}/orders 2"}, routes(after))
	into := after.Endpoints[0].ID
	require.Len(t, after.Merges, 3, "dave was never shown")
	for _, m := range after.Merges {
		require.Equal(t, into, m.Into)
		require.True(t, slices.ContainsFunc(before.Endpoints, func(e EndpointDelta) bool { return e.ID == m.From }))
	}
	require.Equal(t, 1, b.Counts().Endpoints)
	learned, _ := b.Learned(HostKey{"c1", "shop", "shop.example"}, 0)
	require.Len(t, learned.GetEndpoints(), 1)
	require.Equal(t, into, learned.GetEndpoints()[0].GetId())
}

func TestChainsOfMergesEndAtTheLast(t *testing.T) {
	t.Parallel()
	got := resolve([]Merge{{"c", "a", "b"}, {"c", "x", "b"}, {"c", "b", "d"}, {"other", "d", "z"}})
	require.Equal(t, []Merge{{"c", "a", "d"}, {"c", "x", "d"}, {"c", "b", "d"}, {"other", "d", "z"}}, got)
}

func TestLearnedIsToldOncePerChange(t *testing.T) {
	t.Parallel()
	b := newBench(nil)
	key := HostKey{"c1", "shop", "shop.example"}
	o := b.see("GET /products/1", 200)
	require.Equal(t, key, HostOf(o))
	learned, at := b.Learned(key, 0)
	require.Equal(t, "/products/{productId}", learned.GetEndpoints()[0].GetPathTemplate())
	require.Equal(t, inventoryv1.Location_LOCATION_PATH, learned.GetEndpoints()[0].GetParameters()[0].GetLocation())
	b.see("GET /products/2", 200)
	none, same := b.Learned(key, at)
	require.Nil(t, none)
	require.Equal(t, at, same)
	b.see("POST /products", 201)
	learned, _ = b.Learned(key, at)
	require.Len(t, learned.GetEndpoints(), 2)
}

func TestALateStatusIsCounted(t *testing.T) {
	t.Parallel()
	b := newBench(nil)
	b.see("GET /slow", 200)
	o := b.see("GET /slow", 0)
	b.now = b.now.Add(2 * time.Minute)
	b.Sweep()
	late := &inventoryv1.Observation{
		ExchangeId: o.GetExchangeId(), Revision: 2, OutcomeOnly: true, Incomplete: true, Status: 504, Cluster: "c1", Service: "shop",
		Host: "shop.example", Method: "GET", Segments: o.GetSegments(),
	}
	b.Add([]*inventoryv1.Observation{late})
	e := b.Take().Endpoints[0]
	require.EqualValues(t, 2, e.Requests)
	require.Equal(t, [5]uint64{0, 1, 0, 0, 1}, e.Classes)
}

func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	b := newBench(func(l *Limits) { l.Hosts, l.HostsPerService, l.Endpoints, l.Parameters = 5, 3, 10, 4 })
	for i := range 20 {
		b.see("GET /", 200, func(o *inventoryv1.Observation) { o.Host = fmt.Sprintf("h%d.example", i) })
		b.see("GET /a", 200, func(o *inventoryv1.Observation) { o.Service = fmt.Sprintf("s%d", i) })
		b.see("GET /p"+string(rune('a'+i))+"/x", 200, func(o *inventoryv1.Observation) { o.Host = "h0.example" })
		b.see("GET /", 200, func(o *inventoryv1.Observation) { o.Host = "h0.example" }, query(fmt.Sprintf("q%d", i), inventoryv1.ValueType_VALUE_TYPE_STRING))
	}
	b.see("GET /", 200, func(o *inventoryv1.Observation) { o.Host = "h0.example" }, query(strings.Repeat("n", 500), inventoryv1.ValueType_VALUE_TYPE_STRING))
	c := b.Counts()
	require.LessOrEqual(t, c.Hosts, 5)
	require.LessOrEqual(t, c.Endpoints, 10)
	lost := map[string]bool{}
	for _, l := range b.losses.Snapshot() {
		lost[l.Reason] = l.Count > 0
	}
	require.Equal(t, map[string]bool{"hosts_full": true, "endpoints_full": true, "parameters_full": true, "parameter_name_too_long": true}, lost)
}

func TestARestartGoesOnWithTheSameEndpoints(t *testing.T) {
	t.Parallel()
	first := newBench(nil)
	first.see("GET /orders/ord_9aXk2", 200, query("q", inventoryv1.ValueType_VALUE_TYPE_STRING))
	batch := first.Take()
	stored := Stored{ID: batch.Endpoints[0].ID, Identity: batch.Endpoints[0].Identity, Whole: 1, Auth: batch.Endpoints[0].Auth, Parameters: map[schema.Key]schema.Parameter{}}
	for _, p := range batch.Parameters {
		stored.Parameters[p.Key] = p.Parameter
	}
	second := newBench(func(l *Limits) { l.Requests = 3 })
	second.Restore([]Stored{stored})
	second.see("GET /orders/ord_8bYl3", 200, query("q", inventoryv1.ValueType_VALUE_TYPE_STRING))
	again := second.Take()
	require.Equal(t, []string{"GET /orders/{orderId} 1"}, routes(again))
	require.Equal(t, batch.Endpoints[0].ID, again.Endpoints[0].ID)
	require.False(t, again.Endpoints[0].Structural)
}

func BenchmarkAdd(b *testing.B) {
	bench := newBench(nil)
	observations := make([]*inventoryv1.Observation, 1000)
	for i := range observations {
		observations[i] = bench.see(fmt.Sprintf("GET /products/%d/reviews", i), 200, query("q", inventoryv1.ValueType_VALUE_TYPE_STRING), query("page", inventoryv1.ValueType_VALUE_TYPE_INT32))
	}
	b.ReportAllocs()
	revision := uint64(0)
	for b.Loop() {
		revision++
		o := observations[revision%1000]
		o.ExchangeId = fmt.Appendf(nil, "%016d", revision+1_000_000)
		bench.Add([]*inventoryv1.Observation{o})
		if revision%10_000 == 0 {
			bench.now = bench.now.Add(time.Minute)
			bench.Sweep()
			bench.Take()
		}
	}
}

func lost(b *bench) string {
	var all []string
	for _, l := range b.losses.Snapshot() {
		all = append(all, fmt.Sprintf("%s %s %d", l.Place, l.Reason, l.Count))
	}
	return strings.Join(all, ", ")
}
