package inspect

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	detectionv1 "github.com/sidelight/sidelight/proto/gen/sidelight/detection/v1"
	trafficv1 "github.com/sidelight/sidelight/proto/gen/sidelight/traffic/v1"

	"github.com/sidelight/sidelight/processor"
)

func TestParse(t *testing.T) {
	t.Parallel()
	exchange, id, err := parse([]byte(`{"id":{"any":1},"time":"2026-11-27T10:00:00Z","client":"203.0.113.7","method":"PO\u0053T","target":"/\u00ff\u0000","version":"HTTP/1.0",
		"headers":[["Host","a"],["X","1"],["x","2"],["X","3"]],"body_base64":"AP8=","response":{"status":404,"headers":[["A","b"]]},
		"workload":{"cluster":"c","namespace":"n","pod":"p","container":"k"},"unknown":1}`), 7)
	require.NoError(t, err)
	require.JSONEq(t, `{"any":1}`, string(id))
	r := exchange.GetRequest()
	require.Equal(t, "POST", string(r.GetMethod()))
	require.Equal(t, []byte("/\xff\x00"), r.GetTarget(), "a character is a byte")
	require.Equal(t, []byte{0, 0xff}, r.GetBody()[0].GetData())
	require.Equal(t, trafficv1.Protocol_PROTOCOL_HTTP10, r.GetProtocol())
	require.Equal(t, "a", string(r.GetAuthority()))
	var order []string
	for _, h := range r.GetHeaders() {
		order = append(order, string(h.GetName())+string(h.GetValue()))
	}
	require.Equal(t, []string{"Hosta", "X1", "x2", "X3"}, order)
	require.Equal(t, uint32(404), exchange.GetResponse().GetStatus())
	require.Equal(t, "203.0.113.7", exchange.GetClient().GetAddress())
	require.Equal(t, "n", exchange.GetWorkload().GetNamespace())
}

func TestParseSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		`{}`:                             `"method" and "target" are required`,
		`{"method":"GET"}`:               `"method" and "target" are required`,
		`[]`:                             "not a recorded exchange",
		`{"method":"GET","target":"/Δ"}`: "target: character U+0394 is no byte",
		`{"method":"GET","target":"/","headers":[["A","é€"]]}`: "header A: character U+20AC is no byte",
		`{"method":"GET","target":"/","headers":[["A"]]}`:      `"headers" entry 1 has 1 texts`,
		`{"method":"GET","target":"/","version":"3"}`:          `"version" "3"`,
		`{"method":"GET","target":"/","client":"here"}`:        `"client" "here" is no IP address`,
		`{"method":"GET","target":"/","body_base64":"%"}`:      "not a recorded exchange",
	} {
		_, _, err := parse([]byte(line), 1)
		require.ErrorContains(t, err, want, line)
	}
}

// slow answers late for early lines.
type echo struct{}

func (echo) Inspect(e *trafficv1.Exchange) processor.Verdict {
	return processor.Verdict{Complete: true, Hits: []*detectionv1.Hit{{Type: string(e.GetRequest().GetTarget())}}}
}

func TestAnswersComeInTheOrderOfTheLines(t *testing.T) {
	t.Parallel()
	var in, out bytes.Buffer
	for i := range 500 {
		fmt.Fprintf(&in, "{\"id\":%d,\"method\":\"GET\",\"target\":\"/%d\"}\n", i, i)
		if i%100 == 0 {
			in.WriteString("bad\n\n")
		}
	}
	var complaints []int
	bad, err := inspectLines(&in, echo{}, &out, func(n int, _ error) { complaints = append(complaints, n) })
	require.NoError(t, err)
	require.Equal(t, 5, bad)
	require.Equal(t, []int{2, 104, 206, 308, 410}, complaints)
	i := 0
	for line := range strings.Lines(out.String()) {
		var r struct {
			ID   int
			Hits []struct{ Type string }
		}
		require.NoError(t, json.Unmarshal([]byte(line), &r))
		require.Equal(t, i, r.ID)
		require.Equal(t, fmt.Sprintf("/%d", i), r.Hits[0].Type)
		i++
	}
	require.Equal(t, 500, i)
}

func TestEvidence(t *testing.T) {
	t.Parallel()
	e := asEvidence(&detectionv1.Evidence{Offset: 12, Length: 3, TextOffset: 10, Text: []byte("ab\xffcdef")})
	require.Equal(t, "\u00ffcd", e.Text)
	require.Equal(t, "ab\u00ffcdef", e.Context)
	e = asEvidence(&detectionv1.Evidence{Offset: 2, Length: 99, TextOffset: 10, Text: []byte("abc")})
	require.Equal(t, "abc", e.Text, "a range that is not within the text shows all of it")
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"method":"GET","target":"/","headers":[["Host","a"]],"body_base64":"YQ=="}`))
	f.Add([]byte(`{"id":1,"method":"\u00ff","target":"/","response":{"status":1}}`))
	f.Add([]byte(`nonsense`))
	f.Fuzz(func(t *testing.T, line []byte) {
		exchange, _, err := parse(line, 1)
		if err == nil && (len(exchange.GetRequest().GetMethod()) == 0 || len(exchange.GetRequest().GetTarget()) == 0) {
			t.Fatal(errors.New("an exchange without method or target"))
		}
	})
}
