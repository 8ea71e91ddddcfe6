package store

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/google/go-cmp/cmp"

	"github.com/sidelight/sidelight/internal/pg/pgtest"
	inventoryv1 "github.com/sidelight/sidelight/proto/gen/sidelight/inventory/v1"

	"github.com/sidelight/sidelight/apidiscovery/internal/inventory"
	"github.com/sidelight/sidelight/apidiscovery/internal/schema"
	"github.com/sidelight/sidelight/apidiscovery/migrations"
)

var start = time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)

func database(t testing.TB) *pgxpool.Pool {
	s := migrations.Schema()
	return pgtest.Pool(t, s.Migrations, s.Dir, s.Name)
}

func open(t testing.TB, pool *pgxpool.Pool, instance string) *Store {
	s := New(pool, instance, time.Minute)
	_, err := s.Begin(t.Context(), start)
	require.NoError(t, err)
	return s
}

func delta(id, path string, requests uint64) inventory.EndpointDelta {
	return inventory.EndpointDelta{
		ID: id, Identity: inventory.Identity{Cluster: "c1", Service: "shop", Host: "shop.example", Method: "GET", Template: path, Protocol: 1},
		Requests: requests, Classes: [5]uint64{0, requests, 0, 0, 0}, Whole: requests, Auth: 1 << inventoryv1.AuthScheme_AUTH_SCHEME_NONE,
		ResponseTypes: []string{"application/json"}, FirstSeen: start, LastSeen: start.Add(time.Second), Structural: true,
	}
}

func parameter(endpoint, name string, kind inventoryv1.ValueType, seen uint64, classes ...string) inventory.ParameterDelta {
	return inventory.ParameterDelta{
		Cluster: "c1", Endpoint: endpoint, Key: schema.Key{Location: inventoryv1.Location_LOCATION_QUERY, Name: name},
		Parameter: schema.Parameter{Types: schema.Of(kind), Classes: classes, Seen: seen, FirstSeen: start, LastSeen: start},
	}
}

func TestDeltasAddUp(t *testing.T) {
	t.Parallel()
	s := open(t, database(t), "one")
	first := inventory.Batch{
		Endpoints: []inventory.EndpointDelta{delta("e1", "/search", 3)}, Parameters: []inventory.ParameterDelta{parameter("e1", "q", 3, 3, "email")}, Observations: 3,
	}
	second := inventory.Batch{
		Endpoints: []inventory.EndpointDelta{delta("e1", "/search", 2)}, Parameters: []inventory.ParameterDelta{parameter("e1", "q", 6, 2, "credit_card")}, Observations: 2,
	}
	second.Endpoints[0].Auth = 1 << inventoryv1.AuthScheme_AUTH_SCHEME_BEARER
	second.Endpoints[0].ResponseTypes = []string{"application/json", "text/html"}
	require.NoError(t, s.Apply(t.Context(), first, start))
	require.NoError(t, s.Apply(t.Context(), second, start))
	e, err := s.Get(t.Context(), "c1", "e1")
	require.NoError(t, err)
	require.EqualValues(t, 5, e.GetRequestCount())
	require.Equal(t, []uint64{0, 5, 0, 0, 0}, e.GetStatusClasses())
	require.EqualValues(t, 2, e.GetVersion())
	require.Equal(t, []inventoryv1.AuthScheme{inventoryv1.AuthScheme_AUTH_SCHEME_NONE, inventoryv1.AuthScheme_AUTH_SCHEME_BEARER}, e.GetAuthSchemes())
	require.Equal(t, []string{"application/json", "text/html"}, e.GetResponseContentTypes())
	require.Len(t, e.GetParameters(), 1)
	p := e.GetParameters()[0]
	require.EqualValues(t, 5, p.GetSeenCount())
	require.True(t, p.GetRequired())
	require.Equal(t, []string{"credit_card", "email"}, p.GetClasses())
	require.Equal(t, []inventoryv1.ValueType{inventoryv1.ValueType_VALUE_TYPE_STRING}, p.GetTypes(), "an integer and a UUID in a query are texts")
}

func TestABatchCountsOnce(t *testing.T) {
	t.Parallel()
	pool := database(t)
	s := open(t, pool, "one")
	batch := inventory.Batch{Endpoints: []inventory.EndpointDelta{delta("e1", "/a", 3)}, Observations: 3}
	require.NoError(t, s.Apply(t.Context(), batch, start))
	// As if the answer to the commit had been lost.
	s.sequence--
	require.NoError(t, s.Apply(t.Context(), batch, start))
	e, err := s.Get(t.Context(), "c1", "e1")
	require.NoError(t, err)
	require.EqualValues(t, 3, e.GetRequestCount())

	// Another process under the same name must not make this one lose its batches in silence.
	_ = open(t, pool, "one")
	require.ErrorContains(t, s.Apply(t.Context(), batch, start), `another process runs as instance "one"`)
}

func TestReplicasAddUp(t *testing.T) {
	t.Parallel()
	pool := database(t)
	var wg sync.WaitGroup
	for i := range 4 {
		s := open(t, pool, fmt.Sprint(i))
		wg.Go(func() {
			for range 10 {
				batch := inventory.Batch{Endpoints: []inventory.EndpointDelta{delta("e1", "/a", 1), delta("e2", "/b", 1)}, Parameters: []inventory.ParameterDelta{parameter("e1", "q", 3, 1), parameter("e2", "q", 3, 1)}}
				if err := s.Apply(context.Background(), batch, start); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	e, err := open(t, pool, "reader").Get(t.Context(), "c1", "e2")
	require.NoError(t, err)
	require.EqualValues(t, 40, e.GetRequestCount())
	require.EqualValues(t, 40, e.GetParameters()[0].GetSeenCount())
}

func TestMergesMoveWhatWasCounted(t *testing.T) {
	t.Parallel()
	s := open(t, database(t), "one")
	require.NoError(t, s.Apply(t.Context(), inventory.Batch{
		Endpoints:  []inventory.EndpointDelta{delta("alice", "/users/alice/orders", 3), delta("bob", "/users/bob/orders", 4)},
		Parameters: []inventory.ParameterDelta{parameter("alice", "q", 3, 3), parameter("bob", "q", 4, 4), parameter("bob", "p", 4, 1)},
	}, start))
	merge := inventory.Batch{
		Endpoints: []inventory.EndpointDelta{delta("all", "/users/{userId}/orders", 1)},
		Merges:    []inventory.Merge{{Cluster: "c1", From: "alice", Into: "all"}, {Cluster: "c1", From: "bob", Into: "all"}, {Cluster: "c1", From: "never-written", Into: "all"}},
	}
	require.NoError(t, s.Apply(t.Context(), merge, start))
	list, err := s.List(t.Context(), Filter{}, Cursor{}, 10)
	require.NoError(t, err)
	require.Len(t, list, 1)
	require.EqualValues(t, 8, list[0].GetRequestCount())
	require.Len(t, list[0].GetParameters(), 2)
	require.EqualValues(t, 7, list[0].GetParameters()[1].GetSeenCount())
	alias, err := s.Get(t.Context(), "c1", "alice")
	require.NoError(t, err)
	require.Equal(t, "all", alias.GetAliasOf())

	// A further merge takes the aliases along, and adds nothing twice.
	require.NoError(t, s.Apply(t.Context(), inventory.Batch{
		Endpoints: []inventory.EndpointDelta{delta("last", "/{x}/{y}", 0)},
		Merges:    []inventory.Merge{{Cluster: "c1", From: "all", Into: "last"}, {Cluster: "c1", From: "alice", Into: "last"}},
	}, start))
	alias, err = s.Get(t.Context(), "c1", "alice")
	require.NoError(t, err)
	require.Equal(t, "last", alias.GetAliasOf())
	last, err := s.Get(t.Context(), "c1", "last")
	require.NoError(t, err)
	require.EqualValues(t, 8, last.GetRequestCount())
	due, err := s.Due(t.Context(), start, 10)
	require.NoError(t, err)
	require.Len(t, due, 4, "aliases are told too")
}

func TestPagesMeetEveryEndpointOnce(t *testing.T) {
	t.Parallel()
	s := open(t, database(t), "one")
	var batch inventory.Batch
	for i := range 25 {
		d := delta(fmt.Sprintf("e%02d", i), fmt.Sprintf("/p%d", i%5), 1)
		d.Cluster, d.Host = fmt.Sprintf("c%d", i%2), fmt.Sprintf("h%d", i%3)
		batch.Endpoints = append(batch.Endpoints, d)
	}
	require.NoError(t, s.Apply(t.Context(), batch, start))
	for _, size := range []int32{1, 7, 25, 100} {
		seen := map[string]bool{}
		var after Cursor
		for {
			page, err := s.List(t.Context(), Filter{}, after, size)
			require.NoError(t, err)
			for _, e := range page {
				require.False(t, seen[e.GetId()])
				seen[e.GetId()] = true
			}
			if len(page) < int(size) {
				break
			}
			l := page[len(page)-1]
			after = Cursor{l.GetCluster(), l.GetService(), l.GetHost(), l.GetPathTemplate(), l.GetMethod(), l.GetId()}
		}
		require.Len(t, seen, 25)
	}
	some, err := s.List(t.Context(), Filter{Cluster: "c1", Host: "h2"}, Cursor{}, 100)
	require.NoError(t, err)
	require.Len(t, some, 4)
	_, err = s.Get(t.Context(), "c1", "nothing")
	require.ErrorIs(t, err, ErrNotFound)
}

func TestOutbox(t *testing.T) {
	t.Parallel()
	s := open(t, database(t), "one")
	apply := func(structural bool) {
		d := delta("e1", "/a", 1)
		d.Structural = structural
		require.NoError(t, s.Apply(t.Context(), inventory.Batch{Endpoints: []inventory.EndpointDelta{d}}, start))
	}
	due := func(after time.Duration) []*inventoryv1.Endpoint {
		list, err := s.Due(t.Context(), start.Add(after), 10)
		require.NoError(t, err)
		return list
	}
	apply(true)
	first := due(0)
	require.Len(t, first, 1)
	apply(true)
	require.NoError(t, s.Pushed(t.Context(), first))
	second := due(0)
	require.Len(t, second, 1, "it changed while it was pushed")
	require.Greater(t, second[0].GetVersion(), first[0].GetVersion())
	require.NoError(t, s.Pushed(t.Context(), second))
	require.NoError(t, s.Pushed(t.Context(), first), "an older acknowledgement changes nothing")
	require.Empty(t, due(time.Hour))
	apply(false)
	require.Empty(t, due(0), "counters alone wait")
	require.Len(t, due(time.Minute), 1)
	apply(true)
	require.Len(t, due(0), 1, "a change of structure does not wait for the counters")
	apply(false)
	require.Len(t, due(0), 1, "and is not put off by them")
}

func TestALifeThatDidNotEndIsSeen(t *testing.T) {
	t.Parallel()
	pool := database(t)
	first := New(pool, "one", time.Minute)
	crash, err := first.Begin(t.Context(), start)
	require.NoError(t, err)
	require.Nil(t, crash)
	require.NoError(t, first.Apply(t.Context(), inventory.Batch{Observations: 7}, start.Add(time.Second)))
	second := New(pool, "one", time.Minute)
	crash, err = second.Begin(t.Context(), start.Add(time.Minute))
	require.NoError(t, err)
	require.Equal(t, &Crash{start.Add(time.Second), 7}, &Crash{crash.LastFlush.UTC(), crash.Observations})
	require.NoError(t, second.End(t.Context(), start))
	crash, err = New(pool, "one", time.Minute).Begin(t.Context(), start)
	require.NoError(t, err)
	require.Nil(t, crash)
}

func TestWhatPostgresNeverTakesIsToldApart(t *testing.T) {
	t.Parallel()
	pool := database(t)
	s := open(t, pool, "one")
	bad := delta("e1", "/a\x00", 1)
	require.ErrorIs(t, s.Apply(t.Context(), inventory.Batch{Endpoints: []inventory.EndpointDelta{bad}}, start), ErrRefused)
	require.NoError(t, s.Apply(t.Context(), inventory.Batch{Endpoints: []inventory.EndpointDelta{delta("e2", "/b", 1)}}, start))
	pool.Close()
	err := s.Apply(t.Context(), inventory.Batch{Endpoints: []inventory.EndpointDelta{delta("e3", "/c", 1)}}, start)
	require.Error(t, err)
	require.NotErrorIs(t, err, ErrRefused)
}

func TestLoadGivesWhatWasStored(t *testing.T) {
	t.Parallel()
	s := open(t, database(t), "one")
	p := parameter("e1", "q", 3, 3)
	require.NoError(t, s.Apply(t.Context(), inventory.Batch{Endpoints: []inventory.EndpointDelta{delta("e1", "/search", 3)}, Parameters: []inventory.ParameterDelta{p}}, start))
	stored, err := s.Load(t.Context())
	require.NoError(t, err)
	for key, got := range stored[0].Parameters {
		got.FirstSeen, got.LastSeen = got.FirstSeen.UTC(), got.LastSeen.UTC()
		stored[0].Parameters[key] = got
	}
	p.Classes = []string{}
	want := []inventory.Stored{{
		ID: "e1", Identity: delta("e1", "/search", 3).Identity, Whole: 3, Auth: 2, RequestTypes: []string{}, ResponseTypes: []string{"application/json"},
		Parameters: map[schema.Key]schema.Parameter{p.Key: p.Parameter},
	}}
	require.Empty(t, cmp.Diff(want, stored, protocmp.Transform()))
}
