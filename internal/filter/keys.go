package filter

import (
	"net/netip"
	"strings"

	processorv1 "github.com/sidelight/sidelight/proto/gen/sidelight/processor/v1"
)

// value is what a term asks for; which field is set depends on its key.
type value struct {
	text pattern
	// A second text that is as good.
	also pattern
	// A range of status codes.
	low, high int64
	prefix    netip.Prefix
	yes       bool
}

// key is one thing that can be asked for.
type key struct {
	name string
	// What a value looks like, for errors and help.
	want string
	kind Kind
	// Letters of either case are the same.
	fold  bool
	read  func(text string, quoted bool) (value, bool)
	match func(*processorv1.Summary, *value) bool
	show  func(*value) string
}

// order is how keys are listed for people.
var order = []string{
	"type", "point", "attack", "status", "method", "host", "path", "client", "service", "namespace", "pod", "node", "cluster",
	"trace", "phase", "complete",
}

func names() string { return strings.Join(order, ", ") }

const wantText = "text, where * stands for anything"

var keys = map[string]*key{
	"type": hitKey("type", "the code of an attack type, as sqli or xss",
		func(h *processorv1.SummaryHit) string { return h.GetType() }).lowered(),
	"point": hitKey("point", "a place in the request, as query.q or body.json.*",
		func(h *processorv1.SummaryHit) string { return h.GetPoint() }),
	"attack": boolKey("attack", func(s *processorv1.Summary) bool { return len(s.GetHits()) > 0 }),
	"status": statusKey(),
	"method": foldKey("method", "a method, as POST", func(s *processorv1.Summary) string { return s.GetRequest().GetMethod() }),
	"host":   hostKey(),
	"path":   textKey("path", "a path, as /api/*", func(s *processorv1.Summary) string { return s.GetRequest().GetPath() }),
	"client": clientKey(),
	"service": textKey("service", wantText, func(s *processorv1.Summary) string {
		return s.GetRequest().GetWorkload().GetService()
	}),
	"namespace": textKey("namespace", wantText, func(s *processorv1.Summary) string {
		return s.GetRequest().GetWorkload().GetNamespace()
	}),
	"pod":     textKey("pod", wantText, func(s *processorv1.Summary) string { return s.GetRequest().GetWorkload().GetPod() }),
	"node":    textKey("node", wantText, func(s *processorv1.Summary) string { return s.GetRequest().GetWorkload().GetNode() }),
	"cluster": textKey("cluster", wantText, func(s *processorv1.Summary) string { return s.GetRequest().GetWorkload().GetCluster() }),
	"trace": textKey("trace", "a trace id, 32 hex digits or some and a *", func(s *processorv1.Summary) string {
		return s.GetRequest().GetTraceId()
	}).lowered(),
	"phase":    phaseKey(),
	"complete": boolKey("complete", (*processorv1.Summary).GetComplete),
}

// Keys lists the keys and what their values look like, for help.
func Keys() [][2]string {
	list := make([][2]string, len(order))
	for i, name := range order {
		list[i] = [2]string{name, keys[name].want}
	}
	return list
}
