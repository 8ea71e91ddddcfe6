package group

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	detectionv1 "github.com/sidelight/sidelight/proto/gen/sidelight/detection/v1"
	trafficv1 "github.com/sidelight/sidelight/proto/gen/sidelight/traffic/v1"
)

func TestShape(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		"":                         "/",
		"/":                        "/",
		"/orders":                  "/orders",
		"/orders/":                 "/orders/",
		"/orders/1042/items":       "/orders/{int}/items",
		"/orders/-7/3.14":          "/orders/{number}/{number}",
		"/v2/oauth2/iso-8601/utf8": "/v2/oauth2/iso-8601/utf8",
		"/u/6ba7b810-9dad-11d1-80b4-00c04fd430c8": "/u/{uuid}",
		"/o/507f1f77bcf86cd799439011":             "/o/{hex}",
		"/o/01J9Z3NDEKTSV4RRFFQ69G5FAV":           "/o/{id}",
		"/c/cus_9aXk2bQ1":                         "/c/{id}",
		"/d/2026-11-27":                           "/d/{date}",
		"/m/ann.lee@example.com":                  "/m/{email}",
		"/files/../../etc/passwd":                 "/files/{text}/etc/passwd",
		"/files/../../../../etc/passwd":           "/files/{text}/etc/passwd",
		"/files/%2e%2e%2f/<script>/' or 1=1/":     "/files/{text}/",
		"/facade/decade/face":                     "/facade/decade/face",
		"/" + strings.Repeat("x", 100):            "/{text}",
		strings.Repeat("/a", 100):                 strings.Repeat("/a", maxSegments) + "/{text}",
		"orders/1":                                "/orders/{int}",
	} {
		require.Equal(t, want, Shape(path), "path %q", path)
	}
}

func FuzzShape(f *testing.F) {
	for _, seed := range []string{"/orders/1", "//", "/a/../b", "/\xff/%00", "/{int}/{text}/x", strings.Repeat("/1", 50)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, path string) {
		s := Shape(path)
		require.True(t, strings.HasPrefix(s, "/"))
		require.LessOrEqual(t, len(s), (maxSegments+1)*(maxLiteral+1))
		require.NotContains(t, s, anything+"/"+anything)
	})
}

func TestKey(t *testing.T) {
	t.Parallel()
	h := hit(1, 0, noon)
	h.Request.Host = "Shop.Example.:8443"
	require.Equal(t, Key{"sqli", "query.q", "shop", "shop.example", "GET", "/orders/{int}"}, KeyOf(h))
	require.Equal(t, "/orders/{int}", KeyOf(h).Target().GetPath())
	a, b := Key{Type: "ab", Point: "c"}, Key{Type: "a", Point: "bc"}
	require.NotEqual(t, a.Hash(), b.Hash())
	h.Request.Method = strings.Repeat("é", 300)
	require.LessOrEqual(t, len(KeyOf(h).Method), maxMethod)
	require.Equal(t, Key{Type: "sqli", Point: "query.q", Path: "/"}, KeyOf(&detectionv1.Hit{Type: "sqli", Point: "query.q"}))
}

var noon = time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)

func hit(exchange uint64, payload byte, at time.Time) *detectionv1.Hit {
	return &detectionv1.Hit{
		ExchangeId: binary.BigEndian.AppendUint64(make([]byte, 8), exchange), Revision: 1, Type: "sqli", Point: "query.q",
		Severity: detectionv1.Severity_SEVERITY_MEDIUM, Confidence: detectionv1.Confidence_CONFIDENCE_LOW, PayloadHash: []byte{payload},
		ObservedAt: timestamppb.New(at),
		Request: &detectionv1.RequestSummary{
			Method: "GET", Path: fmt.Sprintf("/orders/%d", exchange), Host: "shop.example", Workload: &trafficv1.Workload{Service: "shop"},
			Client: &trafficv1.Client{Address: fmt.Sprintf("198.51.100.%d", exchange%50)}, MaskedRequest: []byte("GET /orders/…"),
		},
	}
}

// memory is the record in maps, as simple as can be.
type memory struct {
	attacks map[string]*held
	clients map[string]map[string]bool
	saves   int
}

type held struct {
	key    Key
	attack *detectionv1.Attack
}

func newMemory() *memory {
	return &memory{attacks: map[string]*held{}, clients: map[string]map[string]bool{}}
}

func (m *memory) Around(k Key, t time.Time) (before, after *detectionv1.Attack, err error) {
	for _, h := range m.attacks {
		first := h.attack.GetFirstSeen().AsTime()
		switch {
		case h.key != k:
		case !first.After(t):
			if before == nil || first.After(before.GetFirstSeen().AsTime()) {
				before = h.attack
			}
		case after == nil || first.Before(after.GetFirstSeen().AsTime()):
			after = h.attack
		}
	}
	return before, after, nil
}

func (m *memory) Save(k Key, a *detectionv1.Attack) error {
	if a.GetId() == "" {
		a.Id = fmt.Sprint(len(m.clients) + 1)
		m.attacks[a.GetId()] = &held{k, a}
		m.clients[a.GetId()] = map[string]bool{}
	}
	m.saves++
	return nil
}

func (m *memory) Absorb(_ Key, into, from *detectionv1.Attack) (uint64, error) {
	for address := range m.clients[from.GetId()] {
		m.clients[into.GetId()][address] = true
	}
	delete(m.attacks, from.GetId())
	return uint64(len(m.clients[into.GetId()])), nil
}

func (m *memory) Client(a *detectionv1.Attack, address string) (bool, error) {
	known := m.clients[a.GetId()][address]
	m.clients[a.GetId()][address] = true
	return !known, nil
}

func (m *memory) list() []*detectionv1.Attack {
	var list []*detectionv1.Attack
	for _, h := range m.attacks {
		a := proto.CloneOf(h.attack)
		a.Id = ""
		list = append(list, a)
	}
	slices.SortFunc(list, func(a, b *detectionv1.Attack) int {
		return strings.Compare(a.GetFirstSeen().AsTime().Format(time.RFC3339Nano)+a.GetTarget().String(), b.GetFirstSeen().AsTime().Format(time.RFC3339Nano)+b.GetTarget().String())
	})
	return list
}

func TestSilenceEndsAnAttack(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		minutes []int
		counts  []uint64
	}{
		"one":                          {[]int{0}, []uint64{1}},
		"an hour is no silence yet":    {[]int{0, 60, 120}, []uint64{3}},
		"more than an hour":            {[]int{0, 61}, []uint64{1, 1}},
		"a late hit closes the gap":    {[]int{0, 100, 50}, []uint64{3}},
		"a late hit extends backwards": {[]int{100, 50}, []uint64{2}},
		"a late hit closes two gaps":   {[]int{0, 200, 100, 50, 150}, []uint64{5}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMemory()
			for i, minute := range c.minutes {
				_, err := Add(m, hit(uint64(i), 0, noon.Add(time.Duration(minute)*time.Minute)))
				require.NoError(t, err)
			}
			var counts []uint64
			for _, a := range m.list() {
				counts = append(counts, a.GetHitCount())
			}
			require.Equal(t, c.counts, counts)
		})
	}
}

func TestSamples(t *testing.T) {
	t.Parallel()
	m := newMemory()
	var gone []*detectionv1.Hit
	// Backwards, so that each pushes a later one out.
	for i := 19; i >= 0; i-- {
		out, err := Add(m, hit(uint64(i), 1, noon.Add(time.Duration(i)*time.Minute)))
		require.NoError(t, err)
		gone = append(gone, out...)
	}
	a := m.list()[0]
	require.Len(t, a.GetSamples(), perSlot)
	require.Len(t, gone, 15)
	for i, s := range a.GetSamples() {
		require.Equal(t, hit(uint64(i), 1, noon).GetExchangeId(), s.GetExchangeId(), "the first five of the hour")
	}
	for payload := range byte(30) {
		_, err := Add(m, hit(100+uint64(payload), payload, noon.Add(90*time.Minute)))
		require.NoError(t, err)
	}
	require.LessOrEqual(t, len(m.list()[0].GetSamples()), maxSlots*perSlot)
}

func TestClientsAreBoundedAndCounted(t *testing.T) {
	t.Parallel()
	m := newMemory()
	for i := range uint64(200) {
		_, err := Add(m, hit(i, 0, noon))
		require.NoError(t, err)
	}
	a := m.list()[0]
	require.Len(t, a.GetClients(), maxClients)
	require.EqualValues(t, 50, a.GetClientCount())
}

func TestTheSameAgainChangesNothing(t *testing.T) {
	t.Parallel()
	m := newMemory()
	h := hit(1, 0, noon)
	record := NewRecord(proto.CloneOf(h))
	_, err := Add(m, Hit(record))
	require.NoError(t, err)
	saves := m.saves
	require.False(t, Revise(record, proto.CloneOf(h)))
	sampled, err := Again(m, record.GetHits()[0], Report{Severity: h.GetSeverity(), Confidence: h.GetConfidence()})
	require.NoError(t, err)
	require.True(t, sampled)
	require.Equal(t, saves, m.saves)

	// A newer revision with an outcome does.
	h.Revision, h.Outcome, h.Request.Status, h.Severity = 2, detectionv1.Outcome_OUTCOME_REACHED_APP, 200, detectionv1.Severity_SEVERITY_HIGH
	require.True(t, Revise(record, proto.CloneOf(h)))
	_, err = Again(m, record.GetHits()[0], Report{Severity: h.GetSeverity(), Outcome: h.GetOutcome(), Changed: true})
	require.NoError(t, err)
	require.Equal(t, detectionv1.Severity_SEVERITY_HIGH, m.list()[0].GetSeverity())
	require.Equal(t, detectionv1.Outcome_OUTCOME_REACHED_APP, m.list()[0].GetOutcome())
	require.EqualValues(t, 1, m.list()[0].GetHitCount())
}

func TestOutcomes(t *testing.T) {
	t.Parallel()
	record := NewRecord(hit(1, 0, noon))
	up := func(revision uint32, o detectionv1.Outcome, status uint32) bool {
		return SetOutcome(record, &detectionv1.OutcomeUpdate{Revision: revision, Outcome: o, Status: status})
	}
	require.False(t, up(2, detectionv1.Outcome_OUTCOME_UNSPECIFIED, 0))
	require.True(t, up(3, detectionv1.Outcome_OUTCOME_APP_ERROR, 500))
	require.False(t, up(3, detectionv1.Outcome_OUTCOME_APP_ERROR, 500), "the same again")
	require.False(t, up(2, detectionv1.Outcome_OUTCOME_REACHED_APP, 200), "older")
	got := Hit(record)
	require.Equal(t, detectionv1.Outcome_OUTCOME_APP_ERROR, got.GetOutcome())
	require.EqualValues(t, 500, got.GetRequest().GetStatus())
	// A newer revision of the hit that does not know the outcome takes nothing away.
	newer := hit(1, 0, noon)
	newer.Revision = 4
	require.True(t, Revise(record, newer))
	require.Equal(t, detectionv1.Outcome_OUTCOME_APP_ERROR, Hit(record).GetOutcome())
}

// oracle groups a set of hits in the plainest way: all at once, sorted.
func oracle(hits []*detectionv1.Hit) []*detectionv1.Attack {
	groups := map[Key][]*detectionv1.Hit{}
	for _, h := range hits {
		groups[KeyOf(h)] = append(groups[KeyOf(h)], h)
	}
	m := newMemory()
	id := 0
	for k, list := range groups {
		slices.SortFunc(list, before)
		for len(list) > 0 {
			n := 1
			for n < len(list) && list[n].GetObservedAt().AsTime().Sub(list[n-1].GetObservedAt().AsTime()) <= Silence {
				n++
			}
			run := list[:n]
			list = list[n:]
			a := &detectionv1.Attack{Type: k.Type, Point: k.Point, Target: k.Target(), HitCount: uint64(n), FirstSeen: run[0].GetObservedAt(), LastSeen: run[n-1].GetObservedAt()}
			clients := map[string]bool{}
			inSlot := map[slot]int{}
			var slots []slot
			for _, h := range run {
				a.Severity, a.Confidence = max(a.GetSeverity(), h.GetSeverity()), max(a.GetConfidence(), h.GetConfidence())
				if rank(h.GetOutcome()) > rank(a.GetOutcome()) {
					a.Outcome = h.GetOutcome()
				}
				clients[h.GetRequest().GetClient().GetAddress()] = true
				if inSlot[slotOf(h)]++; inSlot[slotOf(h)] == 1 {
					slots = append(slots, slotOf(h))
				}
				if inSlot[slotOf(h)] <= perSlot {
					a.Samples = append(a.Samples, &detectionv1.Hit{ExchangeId: h.GetExchangeId(), ObservedAt: h.GetObservedAt(), PayloadHash: h.GetPayloadHash()})
				}
			}
			slices.SortFunc(slots, newest)
			slots = slots[:min(len(slots), maxSlots)]
			a.Samples = slices.DeleteFunc(a.GetSamples(), func(h *detectionv1.Hit) bool { return !slices.Contains(slots, slotOf(h)) })
			a.ClientCount = uint64(len(clients))
			for c := range clients {
				a.Clients = append(a.Clients, c)
			}
			a.Clients = smallest(a.GetClients())
			id++
			m.attacks[fmt.Sprint(id)] = &held{k, a}
		}
	}
	return m.list()
}

// Whatever the order and however often hits come, the attacks are those of the set.
func TestOrderAndRepetitionDoNotMatter(t *testing.T) {
	t.Parallel()
	for seed := range uint64(60) {
		random := rand.New(rand.NewPCG(seed, 1))
		var hits []*detectionv1.Hit
		for i := range uint64(1 + random.IntN(250)) {
			h := hit(i, byte(random.IntN(6)), noon.Add(time.Duration(random.IntN(24*60))*time.Minute))
			h.Request.Path = fmt.Sprintf("/%d/%s", i, []string{"a", "b"}[random.IntN(2)])
			h.Severity, h.Confidence = detectionv1.Severity(1+random.IntN(5)), detectionv1.Confidence(1+random.IntN(3))
			h.Outcome = detectionv1.Outcome(random.IntN(6))
			hits = append(hits, h)
		}
		want := oracle(hits)
		for range 3 {
			m := newMemory()
			records := map[string]*Record{}
			deliver := append(slices.Clone(hits), hits[:len(hits)/2]...)
			// Some came first without their outcome, and with less certainty.
			for _, h := range hits[:len(hits)/3] {
				early := proto.CloneOf(h)
				early.Revision, early.Outcome, early.Confidence = 0, detectionv1.Outcome_OUTCOME_UNSPECIFIED, detectionv1.Confidence_CONFIDENCE_LOW
				deliver = append(deliver, early)
			}
			random.Shuffle(len(deliver), func(i, j int) { deliver[i], deliver[j] = deliver[j], deliver[i] })
			for _, h := range deliver {
				h = proto.CloneOf(h)
				record, known := records[string(h.GetExchangeId())]
				if !known {
					record = NewRecord(h)
					records[string(h.GetExchangeId())] = record
					_, err := Add(m, Hit(record))
					require.NoError(t, err)
					continue
				}
				first := proto.CloneOf(record.GetHits()[0])
				report := Report{Severity: h.GetSeverity(), Confidence: h.GetConfidence(), Outcome: h.GetOutcome()}
				report.Changed = Revise(record, h)
				_, err := Again(m, first, report)
				require.NoError(t, err)
			}
			if diff := cmp.Diff(want, m.list(), protocmp.Transform()); diff != "" {
				t.Fatalf("seed %d (-oracle +folded):\n%s", seed, diff)
			}
		}
	}
}

func BenchmarkShape(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		Shape("/api/v1/customers/6ba7b810-9dad-11d1-80b4-00c04fd430c8/orders/1042")
	}
}
