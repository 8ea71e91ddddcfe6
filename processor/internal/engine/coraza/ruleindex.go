package coraza

import (
	"regexp"
	"strings"
	"sync"

	"github.com/corazawaf/coraza/v3/types"

	detectionv1 "github.com/sidelight/sidelight/proto/gen/sidelight/detection/v1"

	"github.com/sidelight/sidelight/processor/internal/engine"
)

// rule is a rule with what is needed to find its match again.
type rule struct {
	engine.Rule
	transformations []string
	pattern         string
	// multi: the rule looks at the value after each transformation.
	multi bool

	once sync.Once
	re   *regexp.Regexp
}

// ruleIndex reads a rule's text when it first matches: most rules never do.
type ruleIndex struct {
	mu   sync.Mutex
	byID map[int]*rule
	own  bool
}

func newRuleIndex(own bool) *ruleIndex { return &ruleIndex{byID: map[int]*rule{}, own: own} }

func (x *ruleIndex) rule(m types.RuleMetadata) *rule {
	x.mu.Lock()
	defer x.mu.Unlock()
	r, ok := x.byID[m.ID()]
	if !ok {
		r = parseRule(m)
		r.Own, r.Severity = x.own, severity(m.Severity())
		x.byID[m.ID()] = r
	}
	return r
}

var (
	transformationRE = regexp.MustCompile(`\bt:([A-Za-z0-9]+)`)
	operatorRE       = regexp.MustCompile(`(?s)^SecRule\s+\S+\s+"!?@(\w+) ?((?:[^"\\]|\\.)*)"`)
	multiRE          = regexp.MustCompile(`\bmultiMatch\b`)
	messageRE        = regexp.MustCompile(`\bmsg:'((?:[^'\\]|\\.)*)'`)
)

// parseRule takes operator and transformations from the rule's own text.
func parseRule(m types.RuleMetadata) *rule {
	r := &rule{Rule: engine.Rule{ID: uint32(m.ID()), Tags: m.Tags()}}
	raw := strings.ReplaceAll(m.Raw(), "\\\n", "")
	actions := raw
	if op := operatorRE.FindStringSubmatch(raw); op != nil {
		r.Operator = op[1]
		if r.Operator == "rx" {
			r.pattern = strings.ReplaceAll(op[2], `\"`, `"`)
		}
		actions = raw[len(op[0]):]
	}
	r.multi = multiRE.MatchString(actions)
	if msg := messageRE.FindStringSubmatch(actions); msg != nil {
		r.Message = msg[1]
	}
	for _, t := range transformationRE.FindAllStringSubmatch(messageRE.ReplaceAllString(actions, ""), -1) {
		if t[1] == "none" {
			r.transformations = nil
			continue
		}
		r.transformations = append(r.transformations, t[1])
	}
	return r
}

// severity puts the engine's eight levels into ours; unspecified: the rule names none.
func severity(s types.RuleSeverity) detectionv1.Severity {
	switch s {
	case types.RuleSeverityEmergency, types.RuleSeverityAlert, types.RuleSeverityCritical:
		return detectionv1.Severity_SEVERITY_CRITICAL
	case types.RuleSeverityError:
		return detectionv1.Severity_SEVERITY_HIGH
	case types.RuleSeverityWarning:
		return detectionv1.Severity_SEVERITY_MEDIUM
	case types.RuleSeverityNotice:
		return detectionv1.Severity_SEVERITY_LOW
	case types.RuleSeverityInfo, types.RuleSeverityDebug:
		return detectionv1.Severity_SEVERITY_INFO
	default:
		return detectionv1.Severity_SEVERITY_UNSPECIFIED
	}
}

// find gives the first match of the rule's expression, as the engine that ran it saw it. Nil: not a regular expression that
// this package can run the same way.
func (r *rule) find(value []byte) []int {
	if r.pattern == "" {
		return nil
	}
	r.once.Do(func() {
		if re, err := regexp.Compile("(?sm)" + r.pattern); err == nil {
			r.re = re
		}
	})
	if r.re == nil {
		return nil
	}
	return r.re.FindIndex(value)
}
