// Package rules holds the SecLang of Sidelight: the set-up of the OWASP Core Rule Set and the rules that it lacks.
package rules

import "embed"

// FS holds setup.conf (before the rule set) and sidelight.conf (after it).
//
//go:embed *.conf
var FS embed.FS
