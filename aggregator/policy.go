package aggregator

import (
	"fmt"

	policyv1 "github.com/sidelight/sidelight/proto/gen/sidelight/policy/v1"

	"github.com/sidelight/sidelight/internal/policy"

	"github.com/sidelight/sidelight/aggregator/internal/clientaddr"
)

// obey puts a policy in force: the ranges here, the budgets at the agents.
func (s *Service) obey(p policy.Policy) error {
	ranges, err := clientaddr.ParseRanges(p.Trusted.GetCidrs())
	if err != nil {
		return fmt.Errorf("trusted_cidrs: %w", err)
	}
	s.clients.Trust(ranges)
	s.ingest.Obey(&policyv1.AgentPolicy{
		Sequence: p.Sequence, RequestBudget: p.Budgets.GetRequest(), ResponseBudget: p.Budgets.GetResponse(),
	})
	return nil
}
