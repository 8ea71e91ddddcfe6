package demo

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sidelight/sidelight/examples/shop"
	"github.com/sidelight/sidelight/processor/cases"
	inventoryv1 "github.com/sidelight/sidelight/proto/gen/sidelight/inventory/v1"
	processorv1 "github.com/sidelight/sidelight/proto/gen/sidelight/processor/v1"
)

// row is one line of the demo's table: the requests of one case, or of one route.
type row struct {
	kind       kind
	name       string
	sent, seen int
	verdict    string
	expected   string
	good       bool
	// Why it is not good.
	why string
}

// judgeTraffic holds what was seen against what was sent.
func judgeTraffic(list []planned, w *watcher, inConsole map[string][]string) []row {
	byName := map[string]*row{}
	var order []string
	for _, p := range list {
		key := p.kind.String() + p.name
		r := byName[key]
		if r == nil {
			r = &row{kind: p.kind, name: p.name, good: true, expected: expectation(p.expect)}
			byName[key] = r
			order = append(order, key)
		}
		r.sent++
		times, summary, _ := w.of(p.nonce)
		r.seen += times
		verdict, why := judgeOne(p, times, summary, inConsole[p.nonce])
		if verdict != "" {
			r.verdict = verdict
		}
		if why != "" {
			r.good, r.why = false, why
		}
	}
	rows := make([]row, 0, len(order))
	for _, key := range order {
		rows = append(rows, *byName[key])
	}
	slices.SortStableFunc(rows, func(a, b row) int {
		if a.kind != b.kind {
			return int(a.kind) - int(b.kind)
		}
		return strings.Compare(a.name, b.name)
	})
	return rows
}

// judgeOne says what the verdict on one request was, and what is wrong with it, if anything.
func judgeOne(p planned, times int, summary *processorv1.Summary, inConsole []string) (verdict, why string) {
	switch {
	case times == 0:
		return "", "not seen"
	case times > 1:
		return "", fmt.Sprintf("seen %d times", times)
	case !summary.GetComplete():
		return "not inspected", "not inspected: " + summary.GetWhyIncomplete()
	}
	var found []cases.Expectation
	for _, hit := range summary.GetHits() {
		found = append(found, cases.Expectation{Type: hit.GetType(), Point: hit.GetPoint()})
	}
	verdict = expectation(found)
	for _, want := range p.expect {
		if !slices.Contains(found, want) {
			return verdict, fmt.Sprintf("%s at %s is missing", want.Type, want.Point)
		}
		if !slices.Contains(inConsole, want.Type) {
			return verdict, want.Type + " is not in the console"
		}
	}
	for _, hit := range found {
		if !slices.ContainsFunc(p.expect, func(e cases.Expectation) bool { return e.Type == hit.Type }) {
			return verdict, fmt.Sprintf("%s at %s was not expected", hit.Type, hit.Point)
		}
	}
	return verdict, ""
}

func expectation(list []cases.Expectation) string {
	if len(list) == 0 {
		return "silent"
	}
	var texts []string
	for _, e := range list {
		texts = append(texts, e.Type+" "+e.Point)
	}
	slices.Sort(texts)
	return strings.Join(slices.Compact(texts), ", ")
}

// endpointRow holds one endpoint against the shop's route table.
type endpointRow struct {
	route, found string
	good         bool
}

func judgeEndpoints(found []*inventoryv1.Endpoint) []endpointRow {
	extra := map[string]bool{}
	for _, e := range found {
		extra[e.GetMethod()+" "+e.GetPathTemplate()] = true
	}
	var rows []endpointRow
	for _, route := range shop.Routes() {
		name := route.Method + " " + route.Template
		r := endpointRow{route: name, good: extra[name]}
		if r.good {
			r.found = name
		}
		rows = append(rows, r)
		delete(extra, name)
	}
	for _, name := range slices.Sorted(maps.Keys(extra)) {
		rows = append(rows, endpointRow{found: name})
	}
	return rows
}

func endpointsEqual(rows []endpointRow) bool {
	return !slices.ContainsFunc(rows, func(r endpointRow) bool { return !r.good })
}
