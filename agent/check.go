package agent

import (
	"github.com/sidelight/sidelight/agent/internal/hostcheck"
	"github.com/sidelight/sidelight/agent/internal/probe"
)

// Finding is one answer to "can this host be mirrored", with what to do if not.
type Finding struct {
	Name, Detail, Do string
	OK               bool
	// Limited: it can be mirrored, and something is lost.
	Limited bool
}

// Check looks at this host: kernel, types, capabilities, and whether the programs load and attach.
func Check() []Finding {
	var list []Finding
	for _, f := range hostcheck.Check() {
		list = append(list, Finding{f.Name, f.Detail, f.Do, f.OK, f.Limited})
	}
	for _, f := range probe.Check() {
		list = append(list, Finding{f.Name, f.Detail, f.Do, f.OK, false})
	}
	return list
}
