// Package engine holds what every rule engine answers: which rules matched, and where in the request.
package engine

import detectionv1 "github.com/sidelight/sidelight/proto/gen/sidelight/detection/v1"

// Rule is what a verdict needs to know of a rule.
type Rule struct {
	ID uint32
	// Tags as the rule set wrote them: "attack-sqli", "paranoia-level/1".
	Tags []string
	// Operator is SecLang's name without "@": "rx", "detectSQLi".
	Operator string
	Message  string
	// Own: a person wrote it. It says by itself what a match means, and no weight is asked for.
	Own bool
	// Severity of an own rule.
	Severity detectionv1.Severity
}

// Match is one rule that matched.
type Match struct {
	Rule  *Rule
	Where []Where
}

// Where is one place of a match.
type Where struct {
	// Point is an index into the request's points.
	Point int
	// Start and End are a range in the raw value at the point.
	Start, End int
	// Exact: the range is proven to be what the rule matched. Else it is the whole value.
	Exact bool
	// Text is what matched, after the rule's transformations.
	Text string
}
