package pg_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	detectionv1 "github.com/sidelight/sidelight/proto/gen/sidelight/detection/v1"
	processorv1 "github.com/sidelight/sidelight/proto/gen/sidelight/processor/v1"
	trafficv1 "github.com/sidelight/sidelight/proto/gen/sidelight/traffic/v1"

	"github.com/sidelight/sidelight/internal/filter"
	"github.com/sidelight/sidelight/internal/pg/pgtest"
)

// The two back ends of the filter grammar agree: what a tail shows of a filter is what a page lists for it. The test is here
// because Postgres is.
func TestFilterInSQLIsTheFilterInMemory(t *testing.T) {
	t.Parallel()
	conn, err := pgx.Connect(t.Context(), pgtest.DSN(t))
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	random := rand.New(rand.NewPCG(7, 11))
	rows := summaries(t, conn, random, 300)
	columns := map[string]filter.Column{
		"type": {Expr: "t.types", Kind: filter.Array}, "point": {Expr: "t.points", Kind: filter.Array},
		"attack": {Expr: "cardinality(t.types) > 0", Kind: filter.Bool}, "status": {Expr: "t.status", Kind: filter.Int},
		"client": {Expr: "t.client", Kind: filter.Inet}, "complete": {Expr: "t.complete", Kind: filter.Bool},
	}
	for _, name := range []string{"method", "host", "path", "service", "pod", "trace", "phase"} {
		columns[name] = filter.Column{Expr: "t." + name, Kind: filter.Text}
	}
	for _, text := range filters(random, 400) {
		f, err := filter.Parse(text)
		require.NoError(t, err, text)
		where, args, err := f.SQL(columns, 2)
		require.NoError(t, err)
		found, err := conn.Query(t.Context(), "select id from t where id >= $1 and "+where+" order by id", append([]any{0}, args...)...)
		require.NoError(t, err, where)
		got, err := pgx.CollectRows(found, pgx.RowTo[int])
		require.NoError(t, err, "%s: %s", text, where)
		want := []int{}
		for i, s := range rows {
			if f.Match(s) {
				want = append(want, i)
			}
		}
		require.Equal(t, fmt.Sprint(want), fmt.Sprint(got), "%s: %s", text, where)
	}
}

func summaries(t *testing.T, conn *pgx.Conn, random *rand.Rand, n int) []*processorv1.Summary {
	t.Helper()
	_, err := conn.Exec(t.Context(), `create table t (id int, method text, path text, host text, status smallint, client inet, service text,
		types text[], points text[], complete bool, phase text, trace text, pod text)`)
	require.NoError(t, err)
	pick := func(list ...string) string { return list[random.IntN(len(list))] }
	var all []*processorv1.Summary
	for i := range n {
		r := &detectionv1.RequestSummary{
			Method: pick("GET", "post", "POST"), Path: pick("/api/a", "/API/b", "/a_b", "/a%b", `/a\b`, "/ÄÖ", "/äö", "", " x "),
			Host: pick("Shop.example:80", "shop.example", "a.b", "[::1]:80", ""), Status: []uint32{0, 200, 404, 500}[random.IntN(4)],
			Client: &trafficv1.Client{Address: pick("10.1.2.3", "::1", "2001:db8::5", "192.168.1.1", "")}, TraceId: pick("", "4bf9"),
			Workload: &trafficv1.Workload{Service: pick("shop", ""), Pod: pick("p-1", "p_1")},
		}
		s := &processorv1.Summary{Complete: random.IntN(2) == 0, Phase: trafficv1.Phase(1 + random.IntN(3)), Request: r}
		types, points := []string{}, []string{}
		for range random.IntN(3) {
			h := &processorv1.SummaryHit{Type: pick("sqli", "xss", "rce"), Point: pick("query.q", "path", "body.json.a")}
			s.Hits, types, points = append(s.Hits, h), append(types, h.GetType()), append(points, h.GetPoint())
		}
		// What is not known yet may be 0 or NULL.
		var status, client any = int(r.GetStatus()), r.GetClient().GetAddress()
		if r.GetStatus() == 0 && i%2 == 0 {
			status = nil
		}
		if client == "" {
			client = nil
		}
		phase := map[trafficv1.Phase]string{1: "request", 2: "update", 3: "closed"}[s.GetPhase()]
		_, err := conn.Exec(t.Context(), `insert into t values ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13)`, i, r.GetMethod(), r.GetPath(), r.GetHost(),
			status, client, r.GetWorkload().GetService(), types, points, s.GetComplete(), phase, r.GetTraceId(), r.GetWorkload().GetPod())
		require.NoError(t, err)
		all = append(all, s)
	}
	return all
}

// filters are all terms, their opposites, and random combinations of them.
func filters(random *rand.Rand, n int) []string {
	terms := []string{
		"type:sqli", "type:s*,rce", "point:query.*", "attack:true", "attack:false", "status:404", "status:4xx,none", "status:<500", "status:>=404",
		"method:post", "method:P*", "host:shop.example", "host:*.example", "host:a.b", `host:""`, "host:[::1]:80", "path:/api/*", "path:*_*", "path:*%*",
		`path:*\*`, `path:" x "`, "path:/äö", "ä", "ÄÖ", "api", "shop", "client:10.0.0.0/8", "client:::/0,192.168.1.1", "client:0.0.0.0/0", "service:shop",
		`service:""`, "pod:p_1", "trace:4B*", "phase:closed,request", "complete:true", "a*b", `"%"`,
	}
	var combined func(depth int) string
	combined = func(depth int) string {
		switch {
		case depth == 0:
			return terms[random.IntN(len(terms))]
		case random.IntN(3) == 0:
			return "-(" + combined(depth-1) + ")"
		case random.IntN(2) == 0:
			return "(" + combined(depth-1) + " OR " + combined(depth-1) + ")"
		default:
			return "(" + combined(depth-1) + " " + combined(depth-1) + ")"
		}
	}
	texts := append([]string{""}, terms...)
	for _, term := range terms {
		texts = append(texts, "-"+term)
	}
	for range n {
		texts = append(texts, combined(1+random.IntN(4)))
	}
	return texts
}
