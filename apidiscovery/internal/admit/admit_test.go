package admit

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	inventoryv1 "github.com/sidelight/sidelight/proto/gen/sidelight/inventory/v1"
)

func observation(method, path string, status uint32) *inventoryv1.Observation {
	o := &inventoryv1.Observation{Method: method, Status: status}
	for segment := range strings.SplitSeq(strings.Trim(path, "/"), "/") {
		if segment != "" {
			o.Segments = append(o.Segments, &inventoryv1.PathSegment{Text: segment, Type: inventoryv1.ValueType_VALUE_TYPE_STRING})
		}
	}
	return o
}

func TestDecide(t *testing.T) {
	t.Parallel()
	attack, incomplete := observation("GET", "/a", 200), observation("GET", "/a", 200)
	attack.Attack, incomplete.Incomplete = true, true
	for name, test := range map[string]struct {
		o      *inventoryv1.Observation
		want   Verdict
		reason string
	}{
		"success":      {observation("GET", "/a", 200), Evidence, ""},
		"created":      {observation("POST", "/a", 201), Evidence, ""},
		"redirect":     {observation("GET", "/a", 302), Evidence, ""},
		"websocket":    {observation("GET", "/a", 101), Evidence, ""},
		"root":         {observation("GET", "/", 200), Evidence, ""},
		"unauthorised": {observation("GET", "/a", 401), Candidate, ""},
		"forbidden":    {observation("GET", "/a", 403), Candidate, ""},
		"not found":    {observation("GET", "/a", 404), Count, Status},
		"bad request":  {observation("GET", "/a", 400), Count, Status},
		"failed":       {observation("GET", "/a", 500), Count, Status},
		"continue":     {observation("GET", "/a", 100), Count, Status},
		"no answer":    {observation("GET", "/a", 0), Count, NoStatus},
		"attack":       {attack, Count, Attack},
		"incomplete":   {incomplete, Count, Incomplete},
		"options":      {observation("OPTIONS", "/a", 200), Count, Method},
		"head":         {observation("HEAD", "/a", 200), Count, Method},
		"invented":     {observation("FROB", "/a", 200), Count, Method},
		"lower case":   {observation("get", "/a", 200), Count, Method},
		"dots":         {observation("GET", "/a/../b", 200), Count, Path},
		"control":      {observation("GET", "/a\x07", 200), Count, Path},
		"not UTF-8":    {observation("GET", "/a\uFFFD", 200), Count, Path},
		"long segment": {observation("GET", "/"+strings.Repeat("a", 200), 200), Count, Path},
		"deep":         {observation("GET", strings.Repeat("/a", 40), 200), Count, Path},
		"static file":  {observation("GET", "/app/main.JS", 200), Count, StaticFile},
		"upload":       {observation("PUT", "/files/logo.png", 200), Evidence, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			verdict, reason := Decide(test.o)
			require.Equal(t, test.want, verdict)
			require.Equal(t, test.reason, reason)
		})
	}
}
