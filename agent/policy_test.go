package agent

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sidelight/sidelight/internal/testkit"
	"github.com/sidelight/sidelight/internal/testkit/testpki"
	policyv1 "github.com/sidelight/sidelight/proto/gen/sidelight/policy/v1"
)

func TestObey(t *testing.T) {
	t.Parallel()
	pki := testpki.TLS(t, "agent")
	policy := func(sequence, request, response uint64) *policyv1.AgentPolicy {
		return &policyv1.AgentPolicy{Sequence: sequence, RequestBudget: request, ResponseBudget: response}
	}
	tests := map[string]struct {
		told     []*policyv1.AgentPolicy
		sequence uint64
		refused  string
		budgets  [2]uint64
	}{
		"defaults":                 {nil, 0, "", [2]uint64{64 << 10, 4 << 10}},
		"none":                     {[]*policyv1.AgentPolicy{policy(0, 0, 0)}, 0, "", [2]uint64{64 << 10, 4 << 10}},
		"first":                    {[]*policyv1.AgentPolicy{policy(3, 1000, 0)}, 3, "", [2]uint64{1000, 4 << 10}},
		"higher":                   {[]*policyv1.AgentPolicy{policy(3, 1000, 0), policy(4, 0, 200)}, 4, "", [2]uint64{64 << 10, 200}},
		"again, on another stream": {[]*policyv1.AgentPolicy{policy(3, 1000, 0), policy(3, 1000, 0)}, 3, "", [2]uint64{1000, 4 << 10}},
		"lower":                    {[]*policyv1.AgentPolicy{policy(3, 1000, 0), policy(2, 5, 5)}, 3, "policy 2: its sequence is below 3", [2]uint64{1000, 4 << 10}},
		"no policy yet":            {[]*policyv1.AgentPolicy{policy(3, 1000, 0), policy(0, 0, 0)}, 3, "", [2]uint64{1000, 4 << 10}},
		"over what can be copied":  {[]*policyv1.AgentPolicy{policy(3, 1000, 0), policy(4, 1<<20+1, 0)}, 3, "policy 4: changing budgets: request budget 1048577", [2]uint64{1000, 4 << 10}},
		"beyond 32 bits":           {[]*policyv1.AgentPolicy{policy(3, 1000, 0), policy(4, 0, 1<<32)}, 3, "response budget 4294967296", [2]uint64{1000, 4 << 10}},
		"a good one after it":      {[]*policyv1.AgentPolicy{policy(4, 1<<40, 0), policy(5, 1<<20, 0)}, 5, "", [2]uint64{1 << 20, 4 << 10}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := DefaultConfig()
			cfg.Aggregator.Address = "127.0.0.1:1"
			a, err := New(cfg, Deps{Log: testkit.Quiet(), TLS: pki["agent"]})
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, a.conn.Close()) })
			for _, p := range test.told {
				a.obey(p)
			}
			status := a.status()
			require.Equal(t, test.sequence, status.GetPolicySequence())
			if test.refused == "" {
				require.Empty(t, status.GetPolicyRefusedBecause())
			} else {
				require.Contains(t, status.GetPolicyRefusedBecause(), test.refused)
			}
			var got [2]uint64
			got[0], got[1] = a.probe.Budgets()
			require.Equal(t, test.budgets, got)
		})
	}
}
