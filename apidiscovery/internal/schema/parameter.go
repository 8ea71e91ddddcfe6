package schema

import (
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	inventoryv1 "github.com/sidelight/sidelight/proto/gen/sidelight/inventory/v1"
)

// Key names a parameter of an endpoint.
type Key struct {
	Location inventoryv1.Location
	Name     string
}

// Compare orders keys by location and name.
func (k Key) Compare(other Key) int {
	if k.Location != other.Location {
		return int(k.Location) - int(other.Location)
	}
	return strings.Compare(k.Name, other.Name)
}

// Parameter is what is known, or what is new, of one parameter.
type Parameter struct {
	Types   Types
	Classes []string
	// Seen counts requests that carried it.
	Seen                uint64
	FirstSeen, LastSeen time.Time
}

// mostClasses bounds the classes of one parameter.
const mostClasses = 16

// Merge takes in what another observer knows, and tells whether types or classes grew.
func (p *Parameter) Merge(other Parameter) (grew bool) {
	grew = p.Types|other.Types != p.Types
	p.Types |= other.Types
	for _, class := range other.Classes {
		at, found := slices.BinarySearch(p.Classes, class)
		if !found && len(p.Classes) < mostClasses {
			p.Classes = slices.Insert(p.Classes, at, class)
			grew = true
		}
	}
	p.Seen += other.Seen
	p.FirstSeen, p.LastSeen = Earlier(p.FirstSeen, other.FirstSeen), Later(p.LastSeen, other.LastSeen)
	return grew
}

// Earlier of two times; a zero time is none.
func Earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// Later of two times.
func Later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

const (
	// confident is how many requests a share needs to mean something.
	confident = 50
	// fewest requests that must all carry a parameter below that.
	fewest = 3
)

// Required tells whether a parameter was in (nearly) all of so many whole requests.
func Required(seen, requests uint64) bool {
	switch {
	case requests >= confident:
		return seen*100 >= requests*99
	case requests >= fewest:
		return seen >= requests
	}
	return false
}

// Proto is the parameter as others see it, of an endpoint with so many whole requests.
func (p Parameter) Proto(key Key, requests uint64) *inventoryv1.EndpointParameter {
	return &inventoryv1.EndpointParameter{
		Location: key.Location, Name: key.Name, Types: p.Types.Widen(key.Location).List(), Classes: p.Classes,
		Required: key.Location == inventoryv1.Location_LOCATION_PATH || Required(p.Seen, requests), SeenCount: p.Seen,
		FirstSeen: timestamppb.New(p.FirstSeen), LastSeen: timestamppb.New(p.LastSeen),
	}
}
