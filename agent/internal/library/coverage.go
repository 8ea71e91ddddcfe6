package library

import (
	"strings"

	statusv1 "github.com/sidelight/sidelight/proto/gen/sidelight/status/v1"
)

// Coverage says of each TLS library of a process whether it has probes, where, and why not.
func (w *Watcher) Coverage(pid uint32) []*statusv1.TlsCoverage {
	w.mu.Lock()
	defer w.mu.Unlock()
	var list []*statusv1.TlsCoverage
	for _, l := range w.processes[pid] {
		c := &statusv1.TlsCoverage{Stack: "openssl", Library: strings.ToValidUTF8(l.file.Path, "\uFFFD"), Hooked: l.probes != nil}
		if l.plan != nil {
			c.Stack, c.Version, c.Site, c.Why = l.plan.Stack, l.plan.Version, l.plan.Site, l.plan.Why
		}
		if l.err != nil {
			c.Site, c.Why = "", strings.ToValidUTF8(l.err.Error(), "\uFFFD")
		}
		list = append(list, c)
	}
	return list
}
