// Package hostcheck says what a host and its kernel let the agent do, and what is lost where they do not.
package hostcheck

import (
	"fmt"
	"slices"

	"github.com/sidelight/sidelight/agent/internal/privilege"
)

// Finding is one answer.
type Finding struct {
	Name string
	// OK is false where nothing can be mirrored; Limited where something is lost.
	OK, Limited bool
	Detail      string
	// Do says what to do about it.
	Do string
}

// Check asks the kernel itself wherever it can: distributions port features back, and security modules take them away.
func Check() []Finding {
	list := Capabilities()
	if slices.ContainsFunc(list, func(f Finding) bool { return !f.OK }) {
		// The kernel would refuse to answer.
		return append(list, lockedMemory(), uretprobes(), seccomp())
	}
	list = append(list, ringBuffer(), lockedMemory(), functions(), uprobes(), uretprobes(), ioUring(), seccomp())
	return append(list, securityModules()...)
}

// Capabilities tells which are there, and for each that is not what is lost without it.
func Capabilities() []Finding {
	wanted := privilege.Wanted()
	missing, err := privilege.Missing(wanted)
	if err != nil {
		return []Finding{{Name: "capabilities", Detail: err.Error()}}
	}
	if len(missing) == 0 {
		return []Finding{{Name: "capabilities", OK: true, Detail: fmt.Sprintf("all %d that the agent can use", len(wanted))}}
	}
	list := make([]Finding, 0, len(missing))
	for _, c := range missing {
		f := Finding{Name: "capabilities", OK: !c.Required, Limited: true, Detail: c.Name + " is missing: " + c.Without,
			Do: "run as root (sudo), or give the agent this capability: it is there to " + c.Use}
		list = append(list, f)
	}
	return list
}
