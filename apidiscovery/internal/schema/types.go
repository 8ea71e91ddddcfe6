// Package schema says what was learned of a parameter: the types that its values had, its sensitive classes, and whether
// every request carries it.
package schema

import (
	"math/bits"

	inventoryv1 "github.com/sidelight/sidelight/proto/gen/sidelight/inventory/v1"
)

// Types is the set of types that values of one parameter had, one bit each: the union of two observers is their "or".
type Types uint32

// highest is the last type that has a bit. A type of a newer version counts as a string.
const highest = inventoryv1.ValueType_VALUE_TYPE_BIG_INTEGER

// Of is the set of one type.
func Of(t inventoryv1.ValueType) Types {
	if t <= inventoryv1.ValueType_VALUE_TYPE_UNSPECIFIED || t > highest {
		t = inventoryv1.ValueType_VALUE_TYPE_STRING
	}
	return 1 << uint(t)
}

func set(list ...inventoryv1.ValueType) Types {
	var all Types
	for _, t := range list {
		all |= Of(t)
	}
	return all
}

var (
	integers = set(inventoryv1.ValueType_VALUE_TYPE_INT32, inventoryv1.ValueType_VALUE_TYPE_INT64, inventoryv1.ValueType_VALUE_TYPE_BIG_INTEGER)
	numbers  = integers | Of(inventoryv1.ValueType_VALUE_TYPE_NUMBER)
	// texts are kinds of string with a form of their own.
	texts = set(inventoryv1.ValueType_VALUE_TYPE_STRING, inventoryv1.ValueType_VALUE_TYPE_UUID, inventoryv1.ValueType_VALUE_TYPE_ULID,
		inventoryv1.ValueType_VALUE_TYPE_OBJECT_ID, inventoryv1.ValueType_VALUE_TYPE_HEX, inventoryv1.ValueType_VALUE_TYPE_DATE,
		inventoryv1.ValueType_VALUE_TYPE_DATE_TIME, inventoryv1.ValueType_VALUE_TYPE_EMAIL, inventoryv1.ValueType_VALUE_TYPE_IPV4,
		inventoryv1.ValueType_VALUE_TYPE_IPV6, inventoryv1.ValueType_VALUE_TYPE_URI, inventoryv1.ValueType_VALUE_TYPE_JWT,
		inventoryv1.ValueType_VALUE_TYPE_BASE64, inventoryv1.ValueType_VALUE_TYPE_PREFIXED_ID)
	scalars = texts | numbers | Of(inventoryv1.ValueType_VALUE_TYPE_BOOLEAN)
)

// Only gives the type if there is one alone.
func (t Types) Only() (inventoryv1.ValueType, bool) {
	return inventoryv1.ValueType(bits.TrailingZeros32(uint32(t))), bits.OnesCount32(uint32(t)) == 1
}

// Has tells whether a value had the type.
func (t Types) Has(v inventoryv1.ValueType) bool { return t&Of(v) != 0 }

// List gives the types in the order of their numbers.
func (t Types) List() []inventoryv1.ValueType {
	var list []inventoryv1.ValueType
	for rest := uint32(t); rest != 0; rest &= rest - 1 {
		list = append(list, inventoryv1.ValueType(bits.TrailingZeros32(rest)))
	}
	return list
}

// Widen gives the narrowest types that hold all values: one for each kind that JSON tells apart. Outside JSON all values
// are texts, so what differs there is a string.
func (t Types) Widen(location inventoryv1.Location) Types {
	out := t &^ scalars
	if location != inventoryv1.Location_LOCATION_JSON {
		switch found := t & scalars; {
		case found == 0:
		case found&^numbers == 0:
			out |= widest(found)
		case isOne(found):
			out |= found
		default:
			out |= Of(inventoryv1.ValueType_VALUE_TYPE_STRING)
		}
		return out
	}
	out |= t & Of(inventoryv1.ValueType_VALUE_TYPE_BOOLEAN)
	if found := t & numbers; found != 0 {
		out |= widest(found)
	}
	if found := t & texts; isOne(found) {
		out |= found
	} else if found != 0 {
		out |= Of(inventoryv1.ValueType_VALUE_TYPE_STRING)
	}
	return out
}

// widest of a set of numbers.
func widest(found Types) Types {
	for _, t := range []inventoryv1.ValueType{
		inventoryv1.ValueType_VALUE_TYPE_NUMBER, inventoryv1.ValueType_VALUE_TYPE_BIG_INTEGER, inventoryv1.ValueType_VALUE_TYPE_INT64,
	} {
		if found.Has(t) {
			return Of(t)
		}
	}
	return Of(inventoryv1.ValueType_VALUE_TYPE_INT32)
}

func isOne(t Types) bool { return bits.OnesCount32(uint32(t)) == 1 }
