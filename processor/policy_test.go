package processor

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	detectionv1 "github.com/sidelight/sidelight/proto/gen/sidelight/detection/v1"
	policyv1 "github.com/sidelight/sidelight/proto/gen/sidelight/policy/v1"

	"github.com/sidelight/sidelight/internal/policy"
)

const pinRule = `SecRule ARGS:pin "@rx ^0000$" "id:9000001,phase:2,pass,log,msg:'default pin',severity:'ERROR'"`

func ownRule(text string, hit, silent string) *policyv1.Rule {
	return &policyv1.Rule{Seclang: text, Cases: []*policyv1.RuleCase{
		{Method: "GET", Target: hit, Hit: true}, {Method: "GET", Target: silent, Headers: []string{"Accept: */*"}},
	}}
}

func withRules(t *testing.T, rules ...*policyv1.Rule) *Inspector {
	t.Helper()
	i, err := inspector(t).With(policy.Policy{Rules: &policyv1.Rules{Rules: rules}})
	require.NoError(t, err)
	return i
}

func TestOwnRuleMakesAHit(t *testing.T) {
	t.Parallel()
	base := inspector(t)
	i := withRules(t, ownRule(pinRule, "/a?pin=0000", "/a?pin=1234"))
	require.Same(t, base.engine, i.engine, "the rule set is not compiled again")
	x := exchange("GET", "/pay?pin=0000", nil, nil)
	require.Empty(t, base.Inspect(x).Hits)
	v := i.Inspect(x)
	require.Len(t, v.Hits, 1)
	h := v.Hits[0]
	require.Equal(t, "custom_rule", h.GetType())
	require.Equal(t, "query.pin", h.GetPoint())
	require.Equal(t, []uint32{9000001}, h.GetRules())
	require.Equal(t, detectionv1.Severity_SEVERITY_HIGH, h.GetSeverity())
	require.Equal(t, detectionv1.Confidence_CONFIDENCE_HIGH, h.GetConfidence())
	require.NotContains(t, string(h.GetRequest().GetMaskedRequest()), "0000", "a pin is masked all the same")
	require.Empty(t, i.Inspect(exchange("GET", "/pay?pin=1234", nil, nil)).Hits)
	require.Contains(t, types(i.Inspect(exchange("GET", "/etc/passwd", nil, nil))), "ptrav path", "beside the rule set, not instead of it")
}

func TestOwnRulesTypeAndPlace(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ text, hit, silent, want string }{
		"tag of the rule set": {`SecRule ARGS:q "@streq boom" "id:9000002,tag:'attack-sqli'"`, "/?q=boom", "/?q=x", "sqli query.q"},
		"its word for ours":   {`SecRule ARGS:q "@streq boom" "id:9000002,tag:'attack-lfi'"`, "/?q=boom", "/?q=x", "ptrav query.q"},
		"tag of ours":         {`SecRule ARGS:q "@streq boom" "id:9000002,tag:'x',tag:'sidelight/type/ssrf'"`, "/?q=boom", "/?q=x", "ssrf query.q"},
		"no type of ours":     {`SecRule ARGS:q "@streq boom" "id:9000002,tag:'attack-moon'"`, "/?q=boom", "/?q=x", "custom_rule query.q"},
		"a header":            {`SecRule REQUEST_HEADERS:X-A "@streq boom" "id:9000002,phase:1"`, "", "", "custom_rule header.X-A"},
		"no point":            {`SecRule &ARGS "@gt 2" "id:9000002"`, "/?a=1&b=2&c=3", "/?a=1", "custom_rule target"},
		"the method":          {`SecRule REQUEST_METHOD "@streq GET" "id:9000002,chain"` + "\n" + `SecRule REQUEST_URI "@beginsWith /admin" "t:none"`, "/admin", "/", "custom_rule target"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rule := ownRule(tc.text, tc.hit, tc.silent)
			x := exchange("GET", tc.hit, nil, nil)
			if tc.hit == "" {
				rule.Cases = []*policyv1.RuleCase{{Method: "GET", Target: "/", Headers: []string{"X-A: boom"}, Hit: true}, {Method: "GET", Target: "/"}}
				x = exchange("GET", "/", [][2]string{{"X-A", "boom"}}, nil)
			}
			require.Equal(t, []string{tc.want}, types(withRules(t, rule).Inspect(x)))
		})
	}
	i := withRules(t, ownRule(`SecRule ARGS:q "@contains union" "id:9000002,tag:'attack-sqli',severity:'EMERGENCY'"`, "/?q=union", "/?q=x"))
	hits := i.Inspect(exchange("GET", "/?q=%27%20union%20select%201,2%20from%20users--", nil, nil)).Hits
	require.Len(t, hits, 1, "one hit for one type at one point")
	require.Contains(t, hits[0].GetRules(), uint32(9000002))
	require.Contains(t, hits[0].GetRules(), uint32(942100))
	require.Equal(t, detectionv1.Severity_SEVERITY_CRITICAL, hits[0].GetSeverity())
}

func TestABodyOfEveryKindIsSeenByOwnRules(t *testing.T) {
	t.Parallel()
	i := withRules(t, ownRule(`SecRule ARGS "@streq boom" "id:9000003"`, "/?q=boom", "/?q=x"))
	require.Equal(t, []string{"custom_rule body.json.a"}, types(i.Inspect(exchange("POST", "/", [][2]string{{"Content-Type", "application/json"}}, []byte(`{"a":"boom"}`)))))
	form := "--b\r\nContent-Disposition: form-data; name=\"f\"\r\n\r\nboom\r\n--b--\r\n"
	require.Equal(t, []string{"custom_rule body.multipart.f"}, types(i.Inspect(exchange("POST", "/", [][2]string{{"Content-Type", "multipart/form-data; boundary=b"}}, []byte(form)))))
}

func TestWhatAPolicyIsRefusedFor(t *testing.T) {
	t.Parallel()
	secret := `/a?pin=canary-secret`
	for want, p := range map[string]policy.Policy{
		"rule 9000001: case 1 must match and does not":     {Rules: rules(ownRule(pinRule, secret, "/a"))},
		"rule 9000001: case 2 must not match and does":     {Rules: rules(ownRule(pinRule, "/a?pin=0000", "/a?pin=0000"))},
		"rule 9000001: give at least one case":             {Rules: rules(&policyv1.Rule{Seclang: pinRule})},
		"rule 1 of 1: operator @inspectFile":               {Rules: rules(ownRule(`SecRule ARGS "@inspectFile /bin/sh" "id:9000001"`, "/a", "/b"))},
		"rule 2 of 2: \"SecRuleEngine\"":                   {Rules: rules(ownRule(pinRule, "/a?pin=0000", "/a"), ownRule("SecRuleEngine Off", "/a", "/b"))},
		"rule 9000001: it does not compile":                {Rules: rules(ownRule(`SecRule ARGS "@rx (" "id:9000001"`, "/a", "/b"))},
		"rule 9000001: its id is taken by another rule":    {Rules: rules(ownRule(pinRule, "/a?pin=0000", "/a"), ownRule(pinRule, "/a?pin=0000", "/a"))},
		"rule 9000001: case 1: it needs a method":          {Rules: rules(ownRule(pinRule, "a", "/a"))},
		"mask 1: \"nowhere.x\" names no point":             {Masks: &policyv1.Masks{Points: []string{"nowhere.x"}}},
		"rule 1 of 1: \"SecRuleUpdateTargetById\"":         {Rules: rules(ownRule("SecRuleUpdateTargetById 942100 !ARGS", "/a", "/b"))},
		"rule 9000009: it does not compile: ":              {Rules: rules(ownRule(`SecRule NO_SUCH_VARIABLE "@rx a" "id:9000009"`, "/a", "/b"))},
		"rule 9000008: case 1: a header is written \"Name": {Rules: rules(&policyv1.Rule{Seclang: `SecRule ARGS "@rx a" "id:9000008"`, Cases: []*policyv1.RuleCase{{Method: "GET", Target: "/", Headers: []string{"x"}}}})},
	} {
		_, err := inspector(t).With(p)
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), "canary")
	}
}

func rules(list ...*policyv1.Rule) *policyv1.Rules { return &policyv1.Rules{Rules: list} }

func bundle(t *testing.T, sequence uint64, p policy.Policy) *policyv1.Bundle {
	t.Helper()
	manifest, blobs, err := policy.Seal(&policyv1.Manifest{Sequence: sequence, Organisation: "org"}, p)
	require.NoError(t, err)
	return &policyv1.Bundle{Manifest: manifest, Blobs: blobs}
}

// A policy comes over the lane, takes hold without a break, and one that cannot be obeyed changes nothing but the status.
func TestPolicyLane(t *testing.T) {
	t.Parallel()
	r := start(t)
	client := r.dial(t, "aggregator")
	inForce := func(sequence uint64) {
		require.Eventually(t, func() bool { return r.service.status.Now().GetPolicySequence() == sequence }, 10*time.Second, 5*time.Millisecond)
	}
	looks := func(id byte, target string) (hits []*detectionv1.Hit) {
		_, err := client.Inspect(t.Context(), batch(numbered(id, exchange("GET", target, nil, nil))))
		require.NoError(t, err)
		kept, _ := r.journal.kept()
		for _, h := range kept {
			if h.GetExchangeId()[0] == id {
				hits = append(hits, h)
			}
		}
		return hits
	}
	require.Empty(t, looks(1, "/?pin=0000"))
	r.journal.bundles <- bundle(t, 1, policy.Policy{Rules: rules(ownRule(pinRule, "/?pin=0000", "/")), Masks: &policyv1.Masks{Points: []string{"query.account"}}})
	inForce(1)
	hits := looks(2, "/?pin=0000&account=canary")
	require.Len(t, hits, 1)
	wire, err := proto.Marshal(hits[0])
	require.NoError(t, err)
	require.NotContains(t, string(wire), "canary")

	r.journal.bundles <- bundle(t, 2, policy.Policy{Rules: rules(ownRule(pinRule, "/?pin=1", "/"))})
	require.Eventually(t, func() bool { return r.service.status.Now().GetPolicyRefusedBecause() != "" }, 10*time.Second, 5*time.Millisecond)
	p := r.service.status.Now()
	require.Equal(t, uint64(1), p.GetPolicySequence())
	require.Contains(t, p.GetPolicyRefusedBecause(), "rule 9000001: case 1 must match and does not")
	require.Len(t, looks(3, "/?pin=0000"), 1, "the old one stays")

	r.journal.bundles <- bundle(t, 3, policy.Policy{})
	inForce(3)
	require.Empty(t, r.service.status.Now().GetPolicyRefusedBecause())
	require.Empty(t, looks(4, "/?pin=0000"))
	require.Len(t, looks(5, "/etc/passwd"), 1)
}

// What the engine says of a rule may be long.
func TestReasonsAreShort(t *testing.T) {
	t.Parallel()
	require.Equal(t, errors.New("short"), shortened(errors.New("short")))
	long := shortened(errors.New(string(make([]byte, 1000))))
	require.Less(t, len(long.Error()), 400)
}

func BenchmarkInspectGetWithOwnRule(b *testing.B) {
	i, err := inspector(b).With(policy.Policy{Rules: rules(ownRule(pinRule, "/?pin=0000", "/"))})
	if err != nil {
		b.Fatal(err)
	}
	x := browserGet()
	b.ReportAllocs()
	for b.Loop() {
		i.Inspect(x)
	}
}

func BenchmarkCompileOwnRule(b *testing.B) {
	for b.Loop() {
		if _, err := inspector(b).With(policy.Policy{Rules: rules(ownRule(pinRule, "/?pin=0000", "/"))}); err != nil {
			b.Fatal(err)
		}
	}
}
