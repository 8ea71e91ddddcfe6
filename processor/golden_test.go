package processor

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protojson"

	detectionv1 "github.com/sidelight/sidelight/proto/gen/sidelight/detection/v1"

	"github.com/sidelight/sidelight/internal/testkit"

	"github.com/sidelight/sidelight/processor/cases"
)

// TestEvidence shows, for each attack case, what a person would see: the matched bytes between » and «, in place. A ~ means that
// the place is not known and the whole value is shown.
func TestEvidence(t *testing.T) {
	t.Parallel()
	all, err := cases.All()
	require.NoError(t, err)
	i := inspector(t)
	var out bytes.Buffer
	for _, c := range all {
		for _, h := range i.Inspect(caseExchange(c)).Hits {
			e := h.GetEvidence()
			text, from := e.GetText(), e.GetOffset()-e.GetTextOffset()
			to := min(from+e.GetLength(), uint64(len(text)))
			mark := " "
			if e.GetWholeValue() {
				mark = "~"
			}
			fmt.Fprintf(&out, "%s/%s\n  %s %s %s %s %v\n %s%s»%s«%s\n", c.File, c.Name, h.GetType(), h.GetPoint(),
				short(h.GetSeverity()), short(h.GetConfidence()), h.GetRules(), mark,
				printable(text[:from]), printable(text[from:to]), printable(text[to:]))
		}
	}
	testkit.Golden(t, "testdata/evidence.golden", out.Bytes())
}

func short(e fmt.Stringer) string {
	s := e.String()
	return strings.ToLower(s[strings.LastIndexByte(s, '_')+1:])
}

func printable(b []byte) string {
	q := fmt.Sprintf("%+q", b)
	return strings.ReplaceAll(q[1:len(q)-1], `\"`, `"`)
}

// TestHit holds the whole of one hit still.
func TestHit(t *testing.T) {
	t.Parallel()
	body := []byte(`{"user":"admin' or '1'='1","password":"hunter2-canary","card":"4111 1111 1111 1111"}`)
	x := exchange("POST", "/login?api_key=canary-key&next=%2F", [][2]string{
		{"Content-Type", "application/json"}, {"Cookie", "sid=canary-cookie"}, {"Authorization", "Bearer canary-bearer"},
		{"traceparent", traceparent}, {"User-Agent", "curl/7.88.1"},
	}, body)
	v := inspector(t).Inspect(x)
	require.Len(t, v.Hits, 1)
	testkit.Golden(t, "testdata/hit.golden.json", stable(t, v.Hits[0]))
}

// stable writes JSON without the spaces that protojson varies on purpose.
func stable(t *testing.T, h *detectionv1.Hit) []byte {
	t.Helper()
	text, err := protojson.MarshalOptions{Multiline: true, Indent: "  "}.Marshal(h)
	require.NoError(t, err)
	masked := h.GetRequest().GetMaskedRequest()
	return append(bytes.ReplaceAll(text, []byte(":  "), []byte(": ")), "\n\n"+string(masked)+"\n"...)
}
