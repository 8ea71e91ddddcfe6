// Package workload is what is mirrored, with what was counted of it: one object per process, shared by the parts of the agent
// that see its bytes, make its exchanges and send them.
package workload

import (
	"sync/atomic"

	trafficv1 "github.com/sidelight/sidelight/proto/gen/sidelight/traffic/v1"
)

// Workload is one process. Its counters only grow.
type Workload struct {
	// Name is never changed.
	Name *trafficv1.Workload

	// BytesSeen were copied. BytesSkipped are known and were not looked at on purpose: over a budget, sent from a file, not HTTP.
	// BytesLost should have been seen: those of requests that make no exchange are among them.
	BytesSeen, BytesSkipped, BytesLost atomic.Uint64
	// Exchanges were made; each is acknowledged or lost in the end.
	Exchanges, Acknowledged, Lost atomic.Uint64
}

// New makes a workload of which nothing was seen yet.
func New(name *trafficv1.Workload) *Workload { return &Workload{Name: name} }
