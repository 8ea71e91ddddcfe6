package inventory

import (
	"time"

	"github.com/sidelight/sidelight/apidiscovery/internal/schema"
	inventoryv1 "github.com/sidelight/sidelight/proto/gen/sidelight/inventory/v1"
)

// Identity is what an endpoint is, apart from its names.
type Identity struct {
	Cluster, Service, Host, Method, Template string
	Protocol                                 inventoryv1.Protocol
}

// EndpointDelta is what is new of one endpoint since the last flush.
type EndpointDelta struct {
	ID string
	Identity
	Requests uint64
	// Classes counts requests by status class, index 0 = 1xx.
	Classes [5]uint64
	Attacks uint64
	// Whole counts the requests that parameters were learned from.
	Whole                       uint64
	Auth                        uint32
	RequestTypes, ResponseTypes []string
	FirstSeen, LastSeen         time.Time
	// Structural: more than counters changed.
	Structural bool
}

// ParameterDelta is what is new of one parameter.
type ParameterDelta struct {
	Cluster, Endpoint string
	schema.Key
	schema.Parameter
}

// Merge says that one endpoint turned out to be part of another.
type Merge struct{ Cluster, From, Into string }

// Batch is all that is new since the last flush. It is applied once, or not at all.
type Batch struct {
	Endpoints  []EndpointDelta
	Parameters []ParameterDelta
	Merges     []Merge
	// Observations that went into it.
	Observations uint64
}

// Empty tells whether there is nothing to write.
func (b *Batch) Empty() bool { return len(b.Endpoints) == 0 && len(b.Merges) == 0 }

// Stored is an endpoint as an earlier life left it.
type Stored struct {
	ID string
	Identity
	Whole                       uint64
	Auth                        uint32
	RequestTypes, ResponseTypes []string
	Parameters                  map[schema.Key]schema.Parameter
}
