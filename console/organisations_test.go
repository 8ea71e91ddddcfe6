package console

import (
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"

	consolev1 "github.com/sidelight/sidelight/proto/gen/sidelight/console/v1"
	detectionv1 "github.com/sidelight/sidelight/proto/gen/sidelight/detection/v1"
	inventoryv1 "github.com/sidelight/sidelight/proto/gen/sidelight/inventory/v1"
	statusv1 "github.com/sidelight/sidelight/proto/gen/sidelight/status/v1"
)

// as signs in somebody who has a password.
func (h *harness) as(user string) *browser {
	h.t.Helper()
	b := h.browser()
	_, err := b.login(h.t.Context(), user, password)
	require.NoError(h.t, err)
	return b
}

// two gives a person of each of two organisations.
func (h *harness) two() (one, two *browser) {
	h.t.Helper()
	h.signedIn()
	for _, statement := range []string{
		"insert into console.organisations values (2, 'other')",
		"insert into console.people select 2, 'other', password_hash, false, null, null, changed_at from console.people",
	} {
		_, err := h.pool.Exec(h.t.Context(), statement)
		require.NoError(h.t, err)
	}
	// A start makes the new organisation's keys.
	h.run()
	h.waitOpen()
	return h.as("admin"), h.as("other")
}

// Everything that one organisation has, and everything that the other can ask for.
func TestOrganisationsAreApart(t *testing.T) {
	t.Parallel()
	h := start(t)
	ctx := t.Context()
	one, two := h.two()
	made, err := two.installations.CreateToken(ctx, connect.NewRequest(&consolev1.CreateTokenRequest{Name: "two"}))
	require.NoError(t, err)
	// The same cluster name in both.
	first, second := h.register("east"), h.registerWith(made.Msg.GetToken(), "east")
	require.NotEqual(t, first.id, second.id)
	everything := func() *consolev1.UploadRequest {
		return &consolev1.UploadRequest{
			Attacks: []*detectionv1.Attack{attack("a", 1, noon)}, Endpoints: []*inventoryv1.EndpointDelta{endpoint("e", "/", 1)},
			Statuses:       []*statusv1.PartStatus{{Part: "agent", Instance: "n1", Coverage: []*statusv1.Coverage{covered("p", 1, 1)}}},
			BlindIntervals: []*statusv1.BlindInterval{blind("b", time.Now(), -1)},
		}
	}
	require.NoError(t, second.upload(ctx, everything()))
	theirs := second.watch(t, 0)
	_, err = two.publish(ctx, 0, masks("query.two"))
	require.NoError(t, err)
	require.NotNil(t, theirs.next())
	ours := first.watch(t, 0)

	// Nothing of it is seen.
	require.Empty(t, listAttacks(t, one, &consolev1.ListAttacksRequest{}))
	_, err = one.attacks.GetAttack(ctx, connect.NewRequest(&consolev1.GetAttackRequest{Cluster: "east", Id: "a"}))
	requireCode(t, connect.CodeNotFound, err)
	_, err = one.endpoints.GetEndpoint(ctx, connect.NewRequest(&consolev1.GetEndpointRequest{Cluster: "east", Id: "e"}))
	requireCode(t, connect.CodeNotFound, err)
	endpoints, err := one.endpoints.ListEndpoints(ctx, connect.NewRequest(&consolev1.ListEndpointsRequest{}))
	require.NoError(t, err)
	require.Empty(t, endpoints.Msg.GetEndpoints())
	require.Empty(t, listBlind(t, one, &consolev1.ListBlindIntervalsRequest{}))
	coverage, err := one.coverage.ListCoverage(ctx, connect.NewRequest(&consolev1.ListCoverageRequest{}))
	require.NoError(t, err)
	require.Empty(t, coverage.Msg.GetRows())
	installations := listInstallations(t, one)
	require.Len(t, installations, 1)
	require.Equal(t, first.id, installations["east"].GetId())
	require.Empty(t, installations["east"].GetParts())
	require.Empty(t, installations["east"].GetBlindIntervals())
	require.NotContains(t, listTokens(t, one), made.Msg.GetTokenId())
	require.Zero(t, one.getPolicy(t).GetSequence())
	require.Empty(t, one.getPolicy(t).GetStates())
	policies, err := one.policy.ListPolicies(ctx, connect.NewRequest(&consolev1.ListPoliciesRequest{}))
	require.NoError(t, err)
	require.Empty(t, policies.Msg.GetPolicies())
	require.Empty(t, ours.bundles)

	// Nothing of it can be changed.
	_, err = one.policy.RollBackPolicy(ctx, connect.NewRequest(&consolev1.RollBackPolicyRequest{ToSequence: 1}))
	requireCode(t, connect.CodeNotFound, err)
	_, err = one.installations.RevokeInstallation(ctx, connect.NewRequest(&consolev1.RevokeInstallationRequest{Id: second.id}))
	requireCode(t, connect.CodeNotFound, err)
	_, err = one.installations.RevokeToken(ctx, connect.NewRequest(&consolev1.RevokeTokenRequest{TokenId: made.Msg.GetTokenId()}))
	requireCode(t, connect.CodeNotFound, err)
	_, err = one.installations.RegenerateToken(ctx, connect.NewRequest(&consolev1.RegenerateTokenRequest{TokenId: made.Msg.GetTokenId()}))
	requireCode(t, connect.CodeNotFound, err)
	require.NoError(t, second.upload(ctx, everything()))
	theirs.open()

	// Each counts for itself, and the other half is all there.
	sequence, err := one.publish(ctx, 0, masks("query.one"))
	require.NoError(t, err)
	require.EqualValues(t, 1, sequence)
	require.Equal(t, []string{"query.one"}, verified(t, ours.next(), first.policyKey).Masks.GetPoints())
	require.Empty(t, theirs.bundles)
	require.Equal(t, []string{"query.two"}, two.getPolicy(t).GetContent().GetMasks().GetPoints())
	require.Len(t, listBlind(t, two, &consolev1.ListBlindIntervalsRequest{}), 1)
	require.Len(t, listInstallations(t, two)["east"].GetBlindIntervals(), 1)
	require.Len(t, listAttacks(t, two, &consolev1.ListAttacksRequest{}), 1)
}

// Who is not signed in gets nothing of what is new either.
func TestNobodyGetsNothing(t *testing.T) {
	t.Parallel()
	h := start(t)
	ctx, b := t.Context(), h.browser()
	for name, call := range map[string]func() error{
		"ListTokens": func() error {
			_, err := b.installations.ListTokens(ctx, connect.NewRequest(&consolev1.ListTokensRequest{}))
			return err
		},
		"RegenerateToken": func() error {
			_, err := b.installations.RegenerateToken(ctx, connect.NewRequest(&consolev1.RegenerateTokenRequest{TokenId: "bootstrap"}))
			return err
		},
		"RevokeToken": func() error {
			_, err := b.installations.RevokeToken(ctx, connect.NewRequest(&consolev1.RevokeTokenRequest{TokenId: "bootstrap"}))
			return err
		},
		"RevokeInstallation": func() error {
			_, err := b.installations.RevokeInstallation(ctx, connect.NewRequest(&consolev1.RevokeInstallationRequest{}))
			return err
		},
		"ListCoverage": func() error {
			_, err := b.coverage.ListCoverage(ctx, connect.NewRequest(&consolev1.ListCoverageRequest{}))
			return err
		},
		"ListBlindIntervals": func() error {
			_, err := b.coverage.ListBlindIntervals(ctx, connect.NewRequest(&consolev1.ListBlindIntervalsRequest{}))
			return err
		},
		"GetPolicy": func() error {
			_, err := b.policy.GetPolicy(ctx, connect.NewRequest(&consolev1.GetPolicyRequest{}))
			return err
		},
		"ListPolicies": func() error {
			_, err := b.policy.ListPolicies(ctx, connect.NewRequest(&consolev1.ListPoliciesRequest{}))
			return err
		},
		"PublishPolicy": func() error {
			_, err := b.publish(ctx, 0, masks("query.pin"))
			return err
		},
		"RollBackPolicy": func() error {
			_, err := b.policy.RollBackPolicy(ctx, connect.NewRequest(&consolev1.RollBackPolicyRequest{ToSequence: 1}))
			return err
		},
	} {
		err := call()
		require.Equal(t, connect.CodeUnauthenticated, connect.CodeOf(err), name)
	}
}
