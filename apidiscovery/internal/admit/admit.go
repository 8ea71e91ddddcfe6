// Package admit decides what an observation may do: everything is counted, little makes an endpoint.
package admit

import (
	"path"
	"strings"
	"unicode"

	inventoryv1 "github.com/sidelight/sidelight/proto/gen/sidelight/inventory/v1"
)

// Verdict is what an observation may do.
type Verdict int

const (
	// Count: it is counted where it belongs, and teaches nothing.
	Count Verdict = iota
	// Candidate: the service knows the path, but refused this client. It is remembered, and not shown.
	Candidate
	// Evidence: it counts towards an endpoint, and its parameters are learned.
	Evidence
)

// Reasons why an observation teaches nothing.
const (
	Attack     = "attack"
	Method     = "method"
	Incomplete = "incomplete"
	NoStatus   = "no_status"
	Status     = "status"
	Path       = "path"
	StaticFile = "static_file"
)

const (
	mostSegments   = 32
	longestSegment = 128
)

// methods that an API's operations have. OPTIONS and HEAD speak about an endpoint, and make none.
var methods = map[string]bool{"GET": true, "POST": true, "PUT": true, "PATCH": true, "DELETE": true}

var staticFiles = map[string]bool{
	".css": true, ".js": true, ".mjs": true, ".map": true, ".png": true, ".jpg": true, ".jpeg": true, ".gif": true, ".svg": true,
	".ico": true, ".webp": true, ".avif": true, ".woff": true, ".woff2": true, ".ttf": true, ".otf": true, ".eot": true,
}

// Decide gives the verdict, with the reason when it is Count.
func Decide(o *inventoryv1.Observation) (Verdict, string) {
	switch {
	case o.GetAttack():
		return Count, Attack
	case !methods[o.GetMethod()]:
		return Count, Method
	case o.GetIncomplete():
		return Count, Incomplete
	case !plainPath(o.GetSegments()):
		return Count, Path
	}
	switch status := o.GetStatus(); {
	case status == 0:
		return Count, NoStatus
	case status == 401 || status == 403:
		return Candidate, ""
	case status != 101 && (status < 200 || status >= 400):
		return Count, Status
	}
	if o.GetMethod() == "GET" && isStaticFile(o.GetSegments()) {
		return Count, StaticFile
	}
	return Evidence, ""
}

// plainPath refuses paths that no router has: they would only fill the tree.
func plainPath(segments []*inventoryv1.PathSegment) bool {
	if len(segments) > mostSegments {
		return false
	}
	for _, segment := range segments {
		text := segment.GetText()
		if text == "" || text == "." || text == ".." || len(text) > longestSegment && segment.GetType() == inventoryv1.ValueType_VALUE_TYPE_STRING {
			return false
		}
		if strings.ContainsFunc(text, func(r rune) bool { return unicode.IsControl(r) || r == unicode.ReplacementChar }) {
			return false
		}
	}
	return true
}

func isStaticFile(segments []*inventoryv1.PathSegment) bool {
	return len(segments) > 0 && staticFiles[strings.ToLower(path.Ext(segments[len(segments)-1].GetText()))]
}
