package processor

import (
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	detectionv1 "github.com/sidelight/sidelight/proto/gen/sidelight/detection/v1"
	trafficv1 "github.com/sidelight/sidelight/proto/gen/sidelight/traffic/v1"

	"github.com/sidelight/sidelight/processor/cases"
)

func types(v Verdict) []string {
	var out []string
	for _, h := range v.Hits {
		out = append(out, h.GetType()+" "+h.GetPoint())
	}
	return out
}

// The three requests that anyone tries first.
func TestTheThreeLines(t *testing.T) {
	t.Parallel()
	i := inspector(t)
	for target, want := range map[string][]string{
		"/etc/passwd":                   {"ptrav path"},
		"/?q=%27%20or%201%3D1--%20-":    {"sqli query.q"},
		"/docs/etc/passwords":           nil,
		"/docs/etc/passwords?ok=1#etc/": nil,
	} {
		for _, host := range []string{"127.0.0.1:8080", "localhost", "[::1]:8080", "shop.example"} {
			v := i.Inspect(exchange("GET", target, [][2]string{{"Host", host}, {"User-Agent", "curl/7.88.1"}}, nil))
			require.Equal(t, want, types(v), "%s at %s: %v", target, host, v.Matches)
			require.True(t, v.Complete, v.WhyIncomplete)
		}
	}
	v := i.Inspect(exchange("GET", "/", [][2]string{{"Host", "127.0.0.1:8080"}}, nil))
	require.Contains(t, v.Matches, uint32(920350), "what is only evidence is still a match")
}

func TestIncomplete(t *testing.T) {
	t.Parallel()
	i := inspector(t)
	x := exchange("POST", "/login", [][2]string{{"Content-Type", "application/json"}}, []byte(`{"user":"admin' or '1'='1","x":"`))
	x.Request.BodySize = 1000
	x.Gaps = []*trafficv1.Gap{{Part: trafficv1.Gap_PART_REQUEST_BODY, Offset: 32, Reason: trafficv1.GapReason_GAP_REASON_BUDGET}}
	v := i.Inspect(x)
	require.False(t, v.Complete)
	require.True(t, strings.HasPrefix(v.WhyIncomplete, "not inspected: gap in body: budget"), v.WhyIncomplete)
	require.Equal(t, v.WhyIncomplete, v.Summary.GetWhyIncomplete())
	require.Contains(t, types(v), "sqli body.json.user", "what was seen is judged nevertheless")
	require.True(t, v.Observation.GetIncomplete())
	require.True(t, v.Observation.GetAttack())

	x = exchange("GET", "/orders/1", nil, nil)
	x.Resumed = true
	require.Nil(t, i.Inspect(x).Observation, "a resumed exchange teaches nothing")
}

func TestOutcomeOfAHit(t *testing.T) {
	t.Parallel()
	x := exchange("GET", "/etc/passwd", nil, nil)
	x.Response.Status = 403
	require.Equal(t, detectionv1.Outcome_OUTCOME_REJECTED_BY_PROXY, inspector(t).Inspect(x).Hits[0].GetOutcome())
	x.Response, x.CloseReason = nil, trafficv1.CloseReason_CLOSE_REASON_RESET
	require.Equal(t, detectionv1.Outcome_OUTCOME_NO_ANSWER, inspector(t).Inspect(x).Hits[0].GetOutcome())
}

// Equal payloads have equal hashes, at different points too, and the hash says nothing without the key.
func TestPayloadHash(t *testing.T) {
	t.Parallel()
	i := inspector(t)
	a := i.Inspect(exchange("GET", "/a?x=UNION%20SELECT%201,2%20FROM%20users--", nil, nil)).Hits[0]
	b := i.Inspect(exchange("GET", "/b?y=UNION%20SELECT%201,2%20FROM%20users--&z=1", nil, nil)).Hits[0]
	require.Equal(t, a.GetPayloadHash(), b.GetPayloadHash())
	other, err := NewInspector(DefaultInspectorConfig())
	require.NoError(t, err)
	require.NotEqual(t, a.GetPayloadHash(), other.Inspect(exchange("GET", "/a?x=UNION%20SELECT%201,2%20FROM%20users--", nil, nil)).Hits[0].GetPayloadHash())
}

// Secrets of a request with hits are in nothing that leaves.
func TestCanaries(t *testing.T) {
	t.Parallel()
	body := []byte(`{"q":"' union select 1,2 from users--","password":"canary-a","nested":{"api_key":["canary-b"]}}`)
	x := exchange("POST", "/login/4111111111111111?token=canary-c&x=/etc/passwd", [][2]string{
		{"Content-Type", "application/json"}, {"Cookie", "sid=canary-d; x=1"}, {"Authorization", "Bearer canary-e"},
		{"X-Api-Key", "canary-f"}, {"Referer", "https://u:canary-g@shop.example/?access_token=canary-h"},
	}, body)
	v := inspector(t).Inspect(x)
	require.NotEmpty(t, v.Hits)
	for _, h := range v.Hits {
		wire, err := proto.Marshal(h)
		require.NoError(t, err)
		require.NotContains(t, string(wire), "canary")
		require.NotContains(t, string(wire), "4111111111111111")
	}
	wire, err := proto.Marshal(v.Summary)
	require.NoError(t, err)
	require.NotContains(t, string(wire), "canary")
	require.NotContains(t, string(wire), "4111111111111111")
	v.Observation.Segments = nil // In memory only, by contract.
	wire, err = proto.Marshal(v.Observation)
	require.NoError(t, err)
	require.NotContains(t, string(wire), "canary")
}

// Two goroutines that judge the same exchanges at the same time come to the same verdicts.
func TestConcurrency(t *testing.T) {
	t.Parallel()
	all, err := cases.All()
	require.NoError(t, err)
	i := inspector(t)
	var wg sync.WaitGroup
	got := make([][][]string, 4)
	for g := range got {
		wg.Go(func() {
			for _, c := range all {
				got[g] = append(got[g], types(i.Inspect(caseExchange(c))))
			}
		})
	}
	wg.Wait()
	for g := range got {
		require.Equal(t, got[0], got[g])
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	require.NoError(t, DefaultConfig().Validate())
	c := DefaultConfig()
	c.Inspect.Body, c.Inspect.Depth, c.Inspect.HashKey, c.CloudSync.Address, c.CommitTimeout = 1, 0, "short", "", 0
	err := c.Validate()
	for _, want := range []string{"inspect.body is 1: give a value from", "inspect.depth", "inspect.hash_key", "cloudsync.address", "commit_timeout"} {
		require.ErrorContains(t, err, want)
	}
	_, err = NewInspector(c.Inspect)
	require.Error(t, err)
}

// FuzzInspect: whatever is on the wire, the verdict can be sent.
func FuzzInspect(f *testing.F) {
	f.Add([]byte("GET"), []byte("/?\xff=\x00"), []byte("Cookie"), []byte("\xfe=\xff"), []byte("body"))
	f.Add([]byte("POST"), []byte("http://"), []byte("Content-Type"), []byte("application/json"), []byte(`{"a":{"$ne":"' or 1=1--"}}`))
	f.Add([]byte(""), []byte(""), []byte("content-type"), []byte("multipart/form-data; boundary=a"), []byte("--a\r\nContent-Disposition: form-data; name=\"<script>\"; filename=\"../../etc/passwd\"\r\n\r\nx"))
	f.Add([]byte("\xff"), []byte("/%"), []byte("Content-Type"), []byte("text/xml"), []byte("<!DOCTYPE a [<!ENTITY b SYSTEM 'c'>]>&b;"))
	i := inspector(f)
	f.Fuzz(func(t *testing.T, method, target, name, value, body []byte) {
		x := exchange(string(method), string(target), [][2]string{{string(name), string(value)}}, body)
		v := i.Inspect(x)
		for _, m := range []proto.Message{v.Summary, v.Observation} {
			_, err := proto.Marshal(m)
			require.NoError(t, err)
		}
		for _, h := range v.Hits {
			_, err := proto.Marshal(h)
			require.NoError(t, err)
		}
		require.Equal(t, v.Complete, v.WhyIncomplete == "")
	})
}
