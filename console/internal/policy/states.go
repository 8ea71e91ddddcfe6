package policy

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/sidelight/sidelight/console/internal/store/dbsqlc"
	consolev1 "github.com/sidelight/sidelight/proto/gen/sidelight/console/v1"
	statusv1 "github.com/sidelight/sidelight/proto/gen/sidelight/status/v1"
)

// gone is how long a part may be silent while others of its cluster report: then it was replaced by another, and what it
// obeyed says nothing any more. A cluster that is silent as a whole is shown as it was last.
const gone = 5 * time.Minute

// states gives what each part does with the policy.
func (k *Keeper) states(ctx context.Context, org int64) ([]*consolev1.PolicyState, error) {
	installed, err := k.store.Q().ListInstallations(ctx, org)
	if err != nil {
		return nil, fmt.Errorf("reading installations: %w", err)
	}
	installations := map[string]string{}
	for _, i := range installed {
		installations[i.Cluster] = i.InstallationID
	}
	rows, err := k.store.Q().ListStatuses(ctx, dbsqlc.ListStatusesParams{OrgID: org})
	if err != nil {
		return nil, fmt.Errorf("reading statuses: %w", err)
	}
	newest := map[string]time.Time{}
	for _, row := range rows {
		if row.ReceivedAt.After(newest[row.Cluster]) {
			newest[row.Cluster] = row.ReceivedAt
		}
	}
	var out []*consolev1.PolicyState
	for _, row := range rows {
		if newest[row.Cluster].Sub(row.ReceivedAt) > gone {
			continue
		}
		status := &statusv1.PartStatus{}
		if err := proto.Unmarshal(row.Body, status); err != nil {
			return nil, fmt.Errorf("decoding a status: %w", err)
		}
		out = append(out, &consolev1.PolicyState{
			Installation: installations[row.Cluster], Cluster: row.Cluster, Part: row.Part, Instance: row.Instance,
			Sequence: status.GetPolicySequence(), RefusedBecause: status.GetPolicyRefusedBecause(),
		})
	}
	return out, nil
}

func (k *Keeper) manifests(ctx context.Context, org int64) ([][]byte, error) {
	rows, err := k.store.Q().ListPolicies(ctx, dbsqlc.ListPoliciesParams{OrgID: org, Most: maxListed})
	if err != nil {
		return nil, fmt.Errorf("reading manifests: %w", err)
	}
	return rows, nil
}
