package verdict

import (
	"slices"
	"strings"

	detectionv1 "github.com/sidelight/sidelight/proto/gen/sidelight/detection/v1"

	"github.com/sidelight/sidelight/processor/internal/decode"
	"github.com/sidelight/sidelight/processor/internal/engine"
)

// addOwn makes a finding of every match of a person's own rule: they wrote and proved it, so it is not weighed. Where a finding
// of the same type stands at the same point already, the rule joins it.
func addOwn(r *decode.Request, ms []engine.Match, out []Finding) []Finding {
	for _, m := range ms {
		if !m.Rule.Own {
			continue
		}
		for _, w := range m.Where {
			out = addOwnAt(r, m.Rule, w, out)
		}
	}
	return out
}

func addOwnAt(r *decode.Request, rule *engine.Rule, w engine.Where, out []Finding) []Finding {
	t := ownType(rule.Tags)
	severity, references := About(t)
	if rule.Severity != detectionv1.Severity_SEVERITY_UNSPECIFIED {
		severity = rule.Severity
	}
	name := r.Points[w.Point].Name
	k := slices.IndexFunc(out, func(f Finding) bool { return f.Type == t && r.Points[f.Point].Name == name })
	if k < 0 {
		return append(out, Finding{
			Type: t, Point: w.Point, Severity: severity, Confidence: detectionv1.Confidence_CONFIDENCE_HIGH,
			Rules: []uint32{rule.ID}, References: slices.Clone(references), Best: w,
		})
	}
	f := &out[k]
	f.Severity, f.Confidence = max(f.Severity, severity), detectionv1.Confidence_CONFIDENCE_HIGH
	if !slices.Contains(f.Rules, rule.ID) {
		f.Rules = append(f.Rules, rule.ID)
		slices.Sort(f.Rules)
	}
	if w.Exact && !f.Best.Exact {
		f.Point, f.Best = w.Point, w
	}
	return out
}

// ownType takes the type out of the tags "attack-<type>" and "sidelight/type/<type>".
func ownType(tags []string) string {
	for _, tag := range tags {
		tag = strings.ToLower(tag)
		name, ok := strings.CutPrefix(tag, "sidelight/type/")
		if !ok {
			if name, ok = strings.CutPrefix(tag, "attack-"); !ok {
				continue
			}
		}
		switch name {
		case SQLi, XSS, RCE, PathTrav, SSTI, SSI, NoSQLi, LDAPi, SSRF, XXE, CRLF, Smuggling, Scanner:
			return name
		case "lfi":
			return PathTrav // The core rule set's words for the same things.
		case "rfi":
			return SSRF
		}
	}
	return Custom
}
