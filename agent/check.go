package agent

import "github.com/sidelight/sidelight/agent/internal/probe"

// Finding is one answer to "can this host be mirrored", with what to do if not.
type Finding struct {
	Name, Detail, Do string
	OK               bool
}

// Check looks at this host: kernel, types, capabilities, and whether the programs load and attach.
func Check() []Finding {
	var list []Finding
	for _, f := range probe.Check() {
		list = append(list, Finding{f.Name, f.Detail, f.Do, f.OK})
	}
	return list
}
