package verdict

import (
	"testing"

	"github.com/stretchr/testify/require"

	detectionv1 "github.com/sidelight/sidelight/proto/gen/sidelight/detection/v1"
	trafficv1 "github.com/sidelight/sidelight/proto/gen/sidelight/traffic/v1"

	"github.com/sidelight/sidelight/processor/internal/decode"
	"github.com/sidelight/sidelight/processor/internal/engine"
)

// judge runs rules over the value of ?v=, each with the whole value as its match.
func judge(value string, texts map[uint32]string) []Finding {
	r := decode.Decode(&trafficv1.Request{Target: []byte("/?v=" + value), BodyComplete: true}, nil, decode.DefaultLimits())
	var ms []engine.Match
	for id, text := range texts {
		ms = append(ms, engine.Match{Rule: &engine.Rule{ID: id}, Where: []engine.Where{{Point: 1, End: len(value), Exact: true, Text: text}}})
	}
	return Judge(r, ms)
}

func TestPolicy(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		value string
		rules map[uint32]string
		want  string
	}{
		"protocol enforcement alone":       {"x", map[uint32]string{920350: "x", 911100: "x", 922110: "x"}, ""},
		"one weak rule":                    {"x", map[uint32]string{941180: "x"}, ""},
		"one fair rule":                    {"x", map[uint32]string{941160: "x"}, ""},
		"two of one group":                 {"x", map[uint32]string{941130: "x", 941170: "x"}, ""},
		"fair and weak":                    {"x", map[uint32]string{941160: "x", 941390: "x"}, "xss low"},
		"two fair":                         {"x", map[uint32]string{942190: "x", 942360: "x"}, "sqli medium"},
		"libinjection alone":               {"x", map[uint32]string{942100: "s&1c"}, "sqli medium"},
		"libinjection on a bare word":      {"x", map[uint32]string{942100: "n&1"}, ""},
		"libinjection and an expression":   {"x", map[uint32]string{942100: "s&1c", 942190: "x"}, "sqli high"},
		"certain":                          {"x", map[uint32]string{9500101: "/etc/passwd/"}, "ptrav high"},
		"one step up":                      {"../a", map[uint32]string{930110: "../"}, ""},
		"two steps up":                     {"../../a", map[uint32]string{930110: "../"}, "ptrav medium"},
		"session id without a referer":     {"x", map[uint32]string{943120: "x"}, ""},
		"file name of the system in prose": {"see+the+/etc/hosts", map[uint32]string{930120: "etc/hosts"}, ""},
		"file of the system":               {"/etc/hosts", map[uint32]string{930120: "etc/hosts"}, "ptrav medium"},
		"longer than the file":             {"/etc/hostsfile", map[uint32]string{930120: "etc/hosts"}, ""},
		"template rather than command":     {"x", map[uint32]string{9500201: "x", 933100: "x"}, "ssti medium"},
		"localhost":                        {"http://localhost/", map[uint32]string{934110: "http://localhost"}, ""},
		"metadata":                         {"http://169.254.169.254/", map[uint32]string{934110: "http://169.254.169.254"}, "ssrf medium"},
		"command in prose":                 {"x;+find+the+thing", map[uint32]string{932235: "; find"}, ""},
		"unknown rule":                     {"x", map[uint32]string{1: "x"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := ""
			for _, f := range judge(tt.value, tt.rules) {
				got += f.Type + " " + map[detectionv1.Confidence]string{1: "low", 2: "medium", 3: "high"}[f.Confidence]
				require.NotEmpty(t, f.References)
				require.NotZero(t, f.Severity)
			}
			require.Equal(t, tt.want, got)
		})
	}
}

func TestOneHitPerTypeAndPoint(t *testing.T) {
	t.Parallel()
	r := decode.Decode(&trafficv1.Request{Target: []byte("/?v=a&v=b"), BodyComplete: true}, nil, decode.DefaultLimits())
	ms := []engine.Match{
		{Rule: &engine.Rule{ID: 942160}, Where: []engine.Where{{Point: 1, End: 1}, {Point: 3, End: 1, Exact: true}}},
		{Rule: &engine.Rule{ID: 942100}, Where: []engine.Where{{Point: 1, End: 1, Text: "s&1"}}},
	}
	got := Judge(r, ms)
	require.Len(t, got, 1)
	require.Equal(t, []uint32{942100, 942160}, got[0].Rules)
	require.True(t, got[0].Best.Exact, "an exact range shows more")
	require.Equal(t, []uint32{942100, 942160}, Rules(append(ms, ms...)))
}

func TestAdvisories(t *testing.T) {
	t.Parallel()
	require.Contains(t, judge("$%7Bjndi:ldap://x%7D", map[uint32]string{944150: "${jndi:"})[0].References, "CVE-2021-44228")
}

// Every type of the policy has what a hit needs.
func TestKinds(t *testing.T) {
	t.Parallel()
	for id := uint32(900000); id < 950000; id++ {
		if g := graded(id); g.kind != "" {
			require.NotEmpty(t, kindOf(g.kind).references, "%d %s", id, g.kind)
			require.NotZero(t, g.weight, id)
		}
	}
}

func TestOutcome(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		status uint32
		phase  trafficv1.Phase
		why    trafficv1.CloseReason
		want   string
	}{
		{0, 1, 0, "UNSPECIFIED"}, {0, 2, 0, "UNSPECIFIED"}, {0, 3, trafficv1.CloseReason_CLOSE_REASON_RESET, "NO_ANSWER"},
		{0, 3, trafficv1.CloseReason_CLOSE_REASON_IDLE, "NO_ANSWER"}, {0, 3, trafficv1.CloseReason_CLOSE_REASON_AGENT_STOP, "UNKNOWN"},
		{100, 2, 0, "UNSPECIFIED"}, {101, 3, trafficv1.CloseReason_CLOSE_REASON_UPGRADED, "REACHED_APP"}, {200, 2, 0, "REACHED_APP"},
		{302, 3, 1, "REACHED_APP"}, {404, 3, 1, "REACHED_APP"}, {401, 3, 1, "REACHED_APP"}, {403, 3, 1, "REJECTED_BY_PROXY"},
		{429, 3, 1, "REJECTED_BY_PROXY"}, {494, 3, 1, "REJECTED_BY_PROXY"}, {499, 3, 1, "REACHED_APP"}, {500, 3, 1, "APP_ERROR"}, {503, 3, 1, "APP_ERROR"},
	} {
		require.Equal(t, "OUTCOME_"+tt.want, Outcome(tt.status, tt.phase, tt.why).String(), "%d %v", tt.status, tt.why)
	}
}
