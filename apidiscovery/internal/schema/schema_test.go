package schema

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	inventoryv1 "github.com/sidelight/sidelight/proto/gen/sidelight/inventory/v1"
)

const (
	text     = inventoryv1.ValueType_VALUE_TYPE_STRING
	boolean  = inventoryv1.ValueType_VALUE_TYPE_BOOLEAN
	int32t   = inventoryv1.ValueType_VALUE_TYPE_INT32
	int64t   = inventoryv1.ValueType_VALUE_TYPE_INT64
	bigint   = inventoryv1.ValueType_VALUE_TYPE_BIG_INTEGER
	number   = inventoryv1.ValueType_VALUE_TYPE_NUMBER
	uuid     = inventoryv1.ValueType_VALUE_TYPE_UUID
	date     = inventoryv1.ValueType_VALUE_TYPE_DATE
	null     = inventoryv1.ValueType_VALUE_TYPE_NULL
	array    = inventoryv1.ValueType_VALUE_TYPE_ARRAY
	inJSON   = inventoryv1.Location_LOCATION_JSON
	inQuery  = inventoryv1.Location_LOCATION_QUERY
	inBinary = inventoryv1.ValueType_VALUE_TYPE_BINARY
)

func TestWiden(t *testing.T) {
	t.Parallel()
	type types = []inventoryv1.ValueType
	for name, test := range map[string]struct {
		location inventoryv1.Location
		seen     types
		want     types
	}{
		"one":                     {inQuery, types{uuid}, types{uuid}},
		"integers":                {inQuery, types{int32t, int64t}, types{int64t}},
		"big integers":            {inQuery, types{int32t, bigint}, types{bigint}},
		"integers and numbers":    {inQuery, types{int64t, number}, types{number}},
		"query of kinds":          {inQuery, types{int32t, uuid}, types{text}},
		"query with booleans":     {inQuery, types{int32t, boolean}, types{text}},
		"query of formats":        {inQuery, types{date, uuid}, types{text}},
		"JSON keeps kinds":        {inJSON, types{int32t, text, boolean}, types{text, boolean, int32t}},
		"JSON widens within kind": {inJSON, types{int32t, number, uuid, date}, types{text, number}},
		"JSON null":               {inJSON, types{uuid, null}, types{uuid, null}},
		"JSON array or null":      {inJSON, types{array, null}, types{null, array}},
		"binary":                  {inventoryv1.Location_LOCATION_MULTIPART, types{inBinary}, types{inBinary}},
		"nothing":                 {inQuery, nil, nil},
		"of a newer version":      {inQuery, types{99, -1}, types{text}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, test.want, set(test.seen...).Widen(test.location).List())
		})
	}
}

func TestRequired(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		seen, requests uint64
		want           bool
	}{{2, 2, false}, {3, 3, true}, {2, 3, false}, {49, 49, true}, {48, 49, false}, {99, 100, true}, {98, 100, false}, {50, 50, true}, {49, 50, false}} {
		require.Equal(t, test.want, Required(test.seen, test.requests), "%d of %d", test.seen, test.requests)
	}
}

func TestMerge(t *testing.T) {
	t.Parallel()
	early, late := time.Unix(100, 0), time.Unix(200, 0)
	p := Parameter{Types: Of(int32t), Classes: []string{"email"}, Seen: 1, FirstSeen: late, LastSeen: late}
	require.True(t, p.Merge(Parameter{Types: Of(uuid), Classes: []string{"credit_card", "email"}, Seen: 2, FirstSeen: early, LastSeen: early}))
	require.Equal(t, Parameter{Types: set(int32t, uuid), Classes: []string{"credit_card", "email"}, Seen: 3, FirstSeen: early, LastSeen: late}, p)
	require.False(t, p.Merge(Parameter{Types: Of(uuid), Seen: 1}), "more of the same is no change")
	for _, class := range "abcdefghijklmnopqrstuvwxyz" {
		p.Merge(Parameter{Classes: []string{string(class)}})
	}
	require.Len(t, p.Classes, mostClasses)
}
