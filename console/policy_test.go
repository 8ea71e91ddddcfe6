package console

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"

	"github.com/sidelight/sidelight/console/internal/store/dbsqlc"
	"github.com/sidelight/sidelight/internal/policy"
	consolev1 "github.com/sidelight/sidelight/proto/gen/sidelight/console/v1"
	policyv1 "github.com/sidelight/sidelight/proto/gen/sidelight/policy/v1"
	statusv1 "github.com/sidelight/sidelight/proto/gen/sidelight/status/v1"
)

func masks(points ...string) *consolev1.PolicyContent {
	return &consolev1.PolicyContent{Masks: &policyv1.Masks{Points: points}}
}

func (b *browser) publish(ctx context.Context, from uint64, c *consolev1.PolicyContent) (uint64, error) {
	res, err := b.policy.PublishPolicy(ctx, connect.NewRequest(&consolev1.PublishPolicyRequest{Content: c, FromSequence: from, Comment: "why"}))
	if err != nil {
		return 0, err
	}
	return res.Msg.GetSequence(), nil
}

func (b *browser) getPolicy(t *testing.T) *consolev1.GetPolicyResponse {
	t.Helper()
	res, err := b.policy.GetPolicy(t.Context(), connect.NewRequest(&consolev1.GetPolicyRequest{}))
	require.NoError(t, err)
	return res.Msg
}

// verified is what an installation does with a bundle.
func verified(t *testing.T, b *policyv1.Bundle, key ed25519.PublicKey) policy.Policy {
	t.Helper()
	m, err := policy.Verify(b, key)
	require.NoError(t, err)
	require.Equal(t, "1", m.GetOrganisation())
	p, err := policy.Content(b)
	require.NoError(t, err)
	return p
}

func TestPolicyReachesInstallations(t *testing.T) {
	t.Parallel()
	h := start(t)
	ctx, b, c := t.Context(), h.signedIn(), h.register("east")
	require.Zero(t, b.getPolicy(t).GetSequence())
	require.Nil(t, b.getPolicy(t).GetContent())
	early := c.watch(t, 0)

	sequence, err := b.publish(ctx, 0, masks("query.pin"))
	require.NoError(t, err)
	require.EqualValues(t, 1, sequence)
	got := verified(t, early.next(), c.policyKey)
	require.Equal(t, []string{"query.pin"}, got.Masks.GetPoints())
	require.Nil(t, got.Rules)
	late := c.watch(t, 0)
	require.EqualValues(t, 1, verified(t, late.next(), c.policyKey).Sequence, "the newest at once")
	has := c.watch(t, 1)

	sequence, err = b.publish(ctx, 1, &consolev1.PolicyContent{TrustedCidrs: &policyv1.TrustedCidrs{Cidrs: []string{"10.0.0.0/8"}}})
	require.NoError(t, err)
	require.EqualValues(t, 2, sequence)
	for _, l := range []*lane{early, late, has} {
		got = verified(t, l.next(), c.policyKey)
		require.EqualValues(t, 2, got.Sequence, "who has the first is not told it again")
		require.Nil(t, got.Masks)
	}

	// Made from one that is not the newest.
	_, err = b.publish(ctx, 1, masks("query.other"))
	requireCode(t, connect.CodeAborted, err)
	require.ErrorContains(t, err, "the newest is 2")

	// Back: the old content under a new sequence.
	back, err := b.policy.RollBackPolicy(ctx, connect.NewRequest(&consolev1.RollBackPolicyRequest{ToSequence: 1}))
	require.NoError(t, err)
	require.EqualValues(t, 3, back.Msg.GetSequence())
	got = verified(t, early.next(), c.policyKey)
	require.EqualValues(t, 3, got.Sequence)
	require.Equal(t, []string{"query.pin"}, got.Masks.GetPoints())
	require.Nil(t, got.Trusted)
	for _, to := range []uint64{0, 9, 1 << 63} {
		_, err = b.policy.RollBackPolicy(ctx, connect.NewRequest(&consolev1.RollBackPolicyRequest{ToSequence: to}))
		require.Error(t, err, "%d", to)
	}

	now := b.getPolicy(t)
	require.EqualValues(t, 3, now.GetSequence())
	require.Equal(t, []string{"query.pin"}, now.GetContent().GetMasks().GetPoints())
	list, err := b.policy.ListPolicies(ctx, connect.NewRequest(&consolev1.ListPoliciesRequest{}))
	require.NoError(t, err)
	var told []string
	for _, m := range list.Msg.GetPolicies() {
		told = append(told, fmt.Sprintf("%d %s %s", m.GetSequence(), m.GetBy(), m.GetComment()))
	}
	require.Equal(t, []string{"3 admin roll-back to 1", "2 admin why", "1 admin why"}, told)
}

func TestPolicyStates(t *testing.T) {
	t.Parallel()
	h := start(t)
	ctx, b, c := t.Context(), h.signedIn(), h.register("east")
	report := func(part, instance string, sequence uint64, refused string) {
		require.NoError(t, c.upload(ctx, &consolev1.UploadRequest{Statuses: []*statusv1.PartStatus{
			{Part: part, Instance: instance, PolicySequence: sequence, PolicyRefusedBecause: refused},
		}}))
	}
	report("processor", "old", 1, "")
	h.ahead.Add(int64(6 * time.Minute))
	report("processor", "p1", 1, "rule 9000001 does not compile")
	report("agent", "n1", 2, "")
	states := b.getPolicy(t).GetStates()
	require.Len(t, states, 2, "what a part obeyed that was replaced says nothing")
	require.Equal(t, "agent", states[0].GetPart())
	require.EqualValues(t, 2, states[0].GetSequence())
	require.Equal(t, "processor", states[1].GetPart())
	require.Equal(t, "p1", states[1].GetInstance())
	require.Equal(t, c.id, states[1].GetInstallation())
	require.Equal(t, "rule 9000001 does not compile", states[1].GetRefusedBecause())
}

func TestManyPublishAtTheSameTime(t *testing.T) {
	t.Parallel()
	const many = 4
	h := start(t)
	b := h.signedIn()
	// All of them wait for the same lock before any looks what the newest is.
	tx, err := h.pool.Begin(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { _ = tx.Rollback(context.Background()) })
	require.NoError(t, dbsqlc.New(tx).LockPolicy(t.Context(), 1))
	results := make(chan error, many)
	for range many {
		go func() {
			_, err := b.publish(t.Context(), 0, masks("query.pin"))
			results <- err
		}()
	}
	require.Eventually(t, func() bool {
		var waiting int
		err := h.pool.QueryRow(t.Context(), "select count(*) from pg_locks where locktype = 'advisory' and not granted and database = (select oid from pg_database where datname = current_database())").Scan(&waiting)
		return err == nil && waiting == many
	}, 10*time.Second, 10*time.Millisecond)
	require.NoError(t, tx.Rollback(t.Context()))
	good := 0
	for range many {
		if err := <-results; err == nil {
			good++
		} else {
			requireCode(t, connect.CodeAborted, err)
		}
	}
	require.Equal(t, 1, good)
}

// What is signed and then not stored is lost as a sequence, not as a way to go on.
func TestPublishGoesOnAboveWhatWasSigned(t *testing.T) {
	t.Parallel()
	h := start(t)
	ctx, b, c := t.Context(), h.signedIn(), h.register("east")
	for from := range uint64(3) {
		_, err := b.publish(ctx, from, masks("query.pin"))
		require.NoError(t, err)
	}
	_, err := h.pool.Exec(ctx, "delete from console.policies where sequence > 1")
	require.NoError(t, err)
	sequence, err := b.publish(ctx, 1, masks("query.pin"))
	require.NoError(t, err)
	require.EqualValues(t, 4, sequence)
	require.EqualValues(t, 4, verified(t, c.watch(t, 3).next(), c.policyKey).Sequence)
}

func TestPublishNeedsTheSigner(t *testing.T) {
	t.Parallel()
	h := start(t)
	ctx, b := t.Context(), h.signedIn()
	first := h.register("east")
	h.stopSigner()
	_, err := b.publish(ctx, 0, masks("query.pin"))
	requireCode(t, connect.CodeUnavailable, err)
	require.ErrorContains(t, err, "signer does not answer")
	require.Zero(t, b.getPolicy(t).GetSequence())
	c := &cluster{client: h.uplink(), name: "west", key: first.key}
	requireCode(t, connect.CodeUnavailable, c.register(ctx, bootstrap))

	h.startSigner()
	_, err = b.publish(ctx, 0, masks("query.pin"))
	require.NoError(t, err)
	require.NoError(t, c.register(ctx, bootstrap))
	require.Equal(t, first.policyKey, c.policyKey, "the key outlives its process")
	// The web process never had it.
	key, err := os.ReadFile(filepath.Join(h.signerDir, "policy.key"))
	require.NoError(t, err)
	var kept int
	require.NoError(t, h.pool.QueryRow(ctx, "select count(*) from console.policy_private_keys").Scan(&kept))
	require.Zero(t, kept)
	require.NotContains(t, h.logs.String(), strings.Split(string(key), "\n")[1])
}

// A console that never had a signer has no key; one of an earlier release hands out the one that it made.
func TestWithoutASigner(t *testing.T) {
	t.Parallel()
	h := start(t)
	ctx := t.Context()
	h.signedIn()
	socket := h.cfg.Signer.Socket
	h.cfg.Signer.Socket = ""
	h.run()
	h.waitOpen()
	b := h.as("admin")
	c := h.stranger("east")
	err := c.register(ctx, bootstrap)
	requireCode(t, connect.CodeUnavailable, err)
	require.ErrorContains(t, err, "signer")
	_, err = b.publish(ctx, 0, masks("query.pin"))
	requireCode(t, connect.CodeFailedPrecondition, err)
	require.ErrorContains(t, err, "signer.socket")

	legacy, _, err := ed25519.GenerateKey(nil)
	require.NoError(t, err)
	_, err = h.pool.Exec(ctx, "insert into console.policy_keys values (1, $1)", []byte(legacy))
	require.NoError(t, err)
	require.NoError(t, c.register(ctx, bootstrap))
	require.Equal(t, legacy, c.policyKey)

	h.cfg.Signer.Socket = socket
	h.run()
	h.waitOpen()
	c.client = h.uplink()
	require.NoError(t, c.register(ctx, bootstrap))
	signs := c.policyKey
	require.NotEqual(t, legacy, signs)
	h.cfg.Signer.Socket = ""
	h.run()
	h.waitOpen()
	c.client = h.uplink()
	require.NoError(t, c.register(ctx, bootstrap))
	require.Equal(t, signs, c.policyKey, "what signs is what is pinned")
}

func TestPublishRefusesWhatCannotWork(t *testing.T) {
	t.Parallel()
	h := start(t)
	ctx, b := t.Context(), h.signedIn()
	hit := &policyv1.RuleCase{Method: "GET", Target: "/?q=x", Headers: []string{"X-A: b"}, Hit: true}
	miss := &policyv1.RuleCase{Method: "GET", Target: "/"}
	rule := func(text string, cases ...*policyv1.RuleCase) *consolev1.PolicyContent {
		return &consolev1.PolicyContent{Rules: &policyv1.Rules{Rules: []*policyv1.Rule{{Seclang: text, Cases: cases}}}}
	}
	cidrs := func(list ...string) *consolev1.PolicyContent {
		return &consolev1.PolicyContent{TrustedCidrs: &policyv1.TrustedCidrs{Cidrs: list}}
	}
	budget := func(request, response uint64) *consolev1.PolicyContent {
		return &consolev1.PolicyContent{Budgets: &policyv1.Budgets{Request: request, Response: response}}
	}
	many := rule("x", hit, miss)
	for range 200 {
		many.Rules.Rules = append(many.Rules.Rules, many.GetRules().GetRules()[0])
	}
	long := strings.Repeat("x", 64<<10)
	for name, c := range map[string]struct {
		content *consolev1.PolicyContent
		want    string
	}{
		"range":         {cidrs("10.0.0.0/8", "nonsense"), `"nonsense" is no address range`},
		"range's bits":  {cidrs("10.0.0.1/8"), "did you mean 10.0.0.0/8"},
		"mapped":        {cidrs("::ffff:10.0.0.0/104"), "write it as IPv4"},
		"point":         {masks("quer.pin"), "names no point"},
		"star":          {masks("query.*.pin"), "only at the end"},
		"host":          {masks("header.Host"), "cannot be masked"},
		"empty point":   {masks(""), "is empty"},
		"small budget":  {budget(1023, 0), "request budget is 1023"},
		"large budget":  {budget(0, 1<<20+1), "response budget"},
		"empty rule":    {rule(" ", hit, miss), "rule 1 is empty"},
		"long rule":     {rule(long+"x", hit, miss), "want at most 65536"},
		"no miss":       {rule("x", hit), "one that does not"},
		"no hit":        {rule("x", miss), "a case that hits"},
		"target":        {rule("x", hit, &policyv1.RuleCase{Method: "GET", Target: "x"}), "case 2"},
		"header":        {rule("x", hit, miss, &policyv1.RuleCase{Method: "GET", Target: "/", Headers: []string{"a: b\r\nc: d"}}), "is no header"},
		"method":        {rule("x", hit, miss, &policyv1.RuleCase{Target: "/"}), "is no method"},
		"many rules":    {many, "201 rules"},
		"both problems": {masks("quer.pin", "query.*.pin"), "only at the end"},
	} {
		_, err := b.publish(ctx, 0, c.content)
		requireCode(t, connect.CodeInvalidArgument, err)
		require.ErrorContains(t, err, c.want, name)
	}
	_, err := b.policy.PublishPolicy(ctx, connect.NewRequest(&consolev1.PublishPolicyRequest{Comment: long}))
	requireCode(t, connect.CodeInvalidArgument, err)
	big := rule(long, hit, miss)
	for range 99 {
		big.Rules.Rules = append(big.Rules.Rules, big.GetRules().GetRules()[0])
	}
	from := uint64(0)
	for _, good := range []*consolev1.PolicyContent{
		nil, {}, big, cidrs("10.0.0.0/8", "2001:db8::1"), masks("*", "query.pin", "body.json.user.*", "header.X-Account", "path"),
		budget(1<<10, 1<<20), budget(0, 0), rule("SecRule ARGS x id:9000001", hit, miss),
	} {
		from, err = b.publish(ctx, from, good)
		require.NoError(t, err)
	}
	require.EqualValues(t, 8, from)
}
