package table

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

// Row is one line of the table: the requests of one case, or of one route.
type Row struct {
	Kind       Kind
	Name       string
	Sent, Seen int
	Verdict    string
	Expected   string
	Good       bool
	// Why it is not good.
	Why string
}

// Judge holds what was seen against what was sent.
func Judge(list []Request, w *Watcher, inConsole map[string][]string) []Row {
	byName := map[string]*Row{}
	var order []string
	for _, p := range list {
		key := p.Kind.String() + p.Name
		r := byName[key]
		if r == nil {
			r = &Row{Kind: p.Kind, Name: p.Name, Good: true, Expected: expectation(p.Expect)}
			byName[key] = r
			order = append(order, key)
		}
		r.Sent++
		times, summary, _ := w.Of(p.Nonce)
		r.Seen += times
		verdict, why := judgeOne(p, times, summary, inConsole[p.Nonce])
		if verdict != "" {
			r.Verdict = verdict
		}
		if why != "" {
			r.Good, r.Why = false, why
		}
	}
	rows := make([]Row, 0, len(order))
	for _, key := range order {
		rows = append(rows, *byName[key])
	}
	slices.SortStableFunc(rows, func(a, b Row) int {
		if a.Kind != b.Kind {
			return int(a.Kind) - int(b.Kind)
		}
		return strings.Compare(a.Name, b.Name)
	})
	return rows
}

// judgeOne says what the verdict on one request was, and what is wrong with it, if anything.
func judgeOne(p Request, times int, summary *processorv1.Summary, inConsole []string) (verdict, why string) {
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
	for _, want := range p.Expect {
		if !slices.Contains(found, want) {
			return verdict, fmt.Sprintf("%s at %s is missing", want.Type, want.Point)
		}
		if !slices.Contains(inConsole, want.Type) {
			return verdict, want.Type + " is not in the console"
		}
	}
	for _, hit := range found {
		if !slices.ContainsFunc(p.Expect, func(e cases.Expectation) bool { return e.Type == hit.Type }) {
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

// EndpointRow holds one endpoint against the shop's route table.
type EndpointRow struct {
	Route, Found string
	Good         bool
}

// JudgeEndpoints holds what was found against the shop's routes.
func JudgeEndpoints(found []*inventoryv1.Endpoint) []EndpointRow {
	extra := map[string]bool{}
	for _, e := range found {
		extra[e.GetMethod()+" "+e.GetPathTemplate()] = true
	}
	var rows []EndpointRow
	for _, route := range shop.Routes() {
		name := route.Method + " " + route.Template
		r := EndpointRow{Route: name, Good: extra[name]}
		if r.Good {
			r.Found = name
		}
		rows = append(rows, r)
		delete(extra, name)
	}
	for _, name := range slices.Sorted(maps.Keys(extra)) {
		rows = append(rows, EndpointRow{Found: name})
	}
	return rows
}

// Equal tells whether the endpoints are the routes.
func Equal(rows []EndpointRow) bool {
	return !slices.ContainsFunc(rows, func(r EndpointRow) bool { return !r.Good })
}

// Good tells whether every row is.
func Good(rows []Row) bool {
	return !slices.ContainsFunc(rows, func(r Row) bool { return !r.Good })
}
