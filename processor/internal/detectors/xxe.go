// Package detectors finds what a rule engine cannot see in its variables. Detectors answer matches as rules do, with ids of
// Sidelight's range.
package detectors

import (
	"bytes"
	"regexp"

	"github.com/sidelight/sidelight/processor/internal/decode"
	"github.com/sidelight/sidelight/processor/internal/engine"
)

var (
	entityRule  = &engine.Rule{ID: 9500301, Tags: []string{"attack-xxe"}, Operator: "rx", Message: "XML external entity"}
	doctypeRule = &engine.Rule{ID: 9500302, Tags: []string{"attack-xxe"}, Operator: "rx", Message: "XML document type from elsewhere"}

	entityRE  = regexp.MustCompile(`(?i)<!ENTITY\s+(?:%\s+)?[^\s<>]+\s+(?:SYSTEM|PUBLIC)\s+["'][^"']*["']`)
	doctypeRE = regexp.MustCompile(`(?i)<!DOCTYPE\s+[^\s<>\[]+\s+SYSTEM\s+["'](?:https?|ftp|file|gopher|jar|php|expect):[^"']*["']`)
	opening   = []byte("<!")
)

// Match looks for external entities in every value: a body with a wrong media type, or XML within JSON or a form, reaches a
// parser as well.
func Match(r *decode.Request) []engine.Match {
	var out []engine.Match
	for i := range r.Points {
		p := &r.Points[i]
		switch p.Location {
		case decode.XML, decode.Body, decode.Form, decode.JSON, decode.Multipart, decode.FileContent, decode.Query:
		default:
			continue
		}
		if !bytes.Contains(p.Value, opening) {
			continue
		}
		out = append(out, find(r, i, entityRule, entityRE)...)
		out = append(out, find(r, i, doctypeRule, doctypeRE)...)
	}
	return out
}

func find(r *decode.Request, i int, rule *engine.Rule, re *regexp.Regexp) []engine.Match {
	p := r.Points[i]
	at := re.FindIndex(p.Value)
	if at == nil {
		return nil
	}
	start, end := r.Text(p).Source(at[0], at[1])
	return []engine.Match{{Rule: rule, Where: []engine.Where{{Point: i, Start: start, End: end, Exact: true, Text: string(p.Value[at[0]:at[1]])}}}}
}
