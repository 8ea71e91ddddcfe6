package parts

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"

	"github.com/sidelight/sidelight/console/genconnect/sidelight/console/v1/consolev1connect"
	consolev1 "github.com/sidelight/sidelight/proto/gen/sidelight/console/v1"
	detectionv1 "github.com/sidelight/sidelight/proto/gen/sidelight/detection/v1"
	policyv1 "github.com/sidelight/sidelight/proto/gen/sidelight/policy/v1"

	"github.com/sidelight/sidelight/cli/table"
)

// clients of the console's services in one session.
type session struct {
	*table.Console
	installations consolev1connect.InstallationServiceClient
	coverage      consolev1connect.CoverageServiceClient
	policy        consolev1connect.PolicyServiceClient
}

func (f *fleet) session() session {
	f.t.Helper()
	c := f.signIn()
	return session{
		c, consolev1connect.NewInstallationServiceClient(c.Client, c.API),
		consolev1connect.NewCoverageServiceClient(c.Client, c.API), consolev1connect.NewPolicyServiceClient(c.Client, c.API),
	}
}

func (s session) installation(t testing.TB) *consolev1.Installation {
	t.Helper()
	list, err := s.installations.ListInstallations(t.Context(), connect.NewRequest(&consolev1.ListInstallationsRequest{}))
	require.NoError(t, err)
	for _, i := range list.Msg.GetInstallations() {
		if !i.GetRevoked() {
			return i
		}
	}
	return nil
}

// What every part says of itself reaches the console's Coverage and Nodes pages within 15 s, blind intervals too.
func TestStatusLane(t *testing.T) {
	started := time.Now()
	f := newFleet(t, options{})
	console := f.session()
	want := map[string]bool{}
	for _, p := range f.processes {
		if service := f.services[p.name]; service != "" && service != "console" {
			instance := p.name
			if service == "agent" {
				instance = node
			}
			want[service+"/"+instance] = true
		}
	}
	took := until(t, 15*time.Second, "every part is on the Nodes page", func() error {
		missing := map[string]bool{}
		for name := range want {
			missing[name] = true
		}
		i := console.installation(t)
		for _, p := range i.GetParts() {
			if p.GetReady() && p.GetVersion() != "" && len(p.GetCounters()) > 0 {
				delete(missing, p.GetPart()+"/"+p.GetInstance())
			}
		}
		if len(missing) > 0 {
			return fmt.Errorf("missing or not ready: %v", missing)
		}
		return nil
	})
	t.Logf("all parts shown %.1f s after sign-in, %.1f s after the first began", took.Seconds(), time.Since(started).Seconds())

	l := f.newLoad(0)
	l.run(t.Context(), 100, 2, 300)
	until(t, 15*time.Second, "the workload is on the Coverage page", func() error {
		rows, err := console.coverage.ListCoverage(t.Context(), connect.NewRequest(&consolev1.ListCoverageRequest{}))
		require.NoError(t, err)
		exchanges := uint64(0)
		for _, row := range rows.Msg.GetRows() {
			c := row.GetCoverage()
			if row.GetCluster() == cluster && row.GetNode() == node && c.GetMirrored() && c.GetWhy() != "" && c.GetWorkload().GetService() == "nginx" && c.GetBytesSeen() > 0 {
				exchanges += c.GetExchangesAcknowledged()
			}
		}
		if exchanges < 300 {
			return fmt.Errorf("%d exchanges of %v", exchanges, rows.Msg.GetRows())
		}
		return nil
	})

	f.agent.kill()
	f.agent.start()
	until(t, 15*time.Second, "the blind interval is on the Coverage page", func() error {
		rows, err := console.coverage.ListBlindIntervals(t.Context(), connect.NewRequest(&consolev1.ListBlindIntervalsRequest{}))
		require.NoError(t, err)
		for _, row := range rows.Msg.GetRows() {
			if row.GetInterval().GetNode() == node && row.GetInterval().GetTo() != nil {
				return nil
			}
		}
		return fmt.Errorf("%v", rows.Msg.GetRows())
	})
}

// A policy goes from the console to every part within 10 s; what cannot be obeyed is refused, and what was in force stays.
func TestPolicyLane(t *testing.T) {
	f := newFleet(t, options{})
	console := f.session()
	rule := &policyv1.Rule{
		Seclang: `SecRule ARGS:voucher "@streq let-me-in" "id:9000001,phase:2,deny,severity:CRITICAL,msg:'forged voucher',tag:'attack-generic'"`,
		Cases: []*policyv1.RuleCase{
			{Method: "GET", Target: "/?voucher=let-me-in", Hit: true}, {Method: "GET", Target: "/?voucher=summer", Hit: false},
		},
	}
	content := &consolev1.PolicyContent{
		Rules:        &policyv1.Rules{Rules: []*policyv1.Rule{rule}},
		Masks:        &policyv1.Masks{Points: []string{"query.account"}},
		Budgets:      &policyv1.Budgets{Request: 8 << 10},
		TrustedCidrs: &policyv1.TrustedCidrs{Cidrs: []string{"10.77.0.0/24"}},
	}
	publish := func(c *consolev1.PolicyContent, from uint64) uint64 {
		t.Helper()
		answer, err := console.policy.PublishPolicy(t.Context(), connect.NewRequest(&consolev1.PublishPolicyRequest{Content: c, Comment: "a test", FromSequence: from}))
		require.NoError(t, err)
		return answer.Msg.GetSequence()
	}
	obeying := append(append([]*process{f.agent}, f.aggregators...), f.processor...)
	inForce := func(sequence uint64, parts []*process) {
		t.Helper()
		took := until(t, 10*time.Second, fmt.Sprintf("policy %d is in force everywhere", sequence), func() error {
			for _, p := range parts {
				if s := f.statusOf(p); s.GetPolicySequence() != sequence {
					return fmt.Errorf("%s obeys %d: %s", p.name, s.GetPolicySequence(), s.GetPolicyRefusedBecause())
				}
			}
			return nil
		})
		t.Logf("policy %d in force after %.2f s", sequence, took.Seconds())
	}
	client := &wire{f: f}
	defer client.close()
	attack := func(id string) *detectionv1.Hit {
		t.Helper()
		require.NoError(t, client.send("GET /fixed/policy?"+attackPoint(id)+"="+sqli+"&account=DE0012345678&voucher=let-me-in HTTP/1.1\r\nHost: shop.example.org\r\nUser-Agent: Mozilla/5.0\r\nX-Forwarded-For: 198.51.100.7\r\n\r\n"))
		var hit *detectionv1.Hit
		until(t, 10*time.Second, "the attack is in the journal", func() error {
			if hit = f.hitAt(attackPoint(id)); hit == nil {
				return errNotYet
			}
			return nil
		})
		return hit
	}
	vouchers := func() (n uint64) {
		for _, a := range f.journal() {
			if a.GetPoint() == "query.voucher" {
				n += a.GetHitCount()
			}
		}
		return n
	}

	plain := attack(nonce())
	require.Contains(t, string(plain.GetRequest().GetMaskedRequest()), "DE0012345678")
	require.Equal(t, "10.77.0.1", plain.GetRequest().GetClient().GetAddress())
	require.Zero(t, vouchers())

	one := publish(content, 0)
	inForce(one, obeying)
	ruled := attack(nonce())
	require.NotContains(t, string(ruled.GetRequest().GetMaskedRequest()), "DE0012345678", "a mask")
	require.Equal(t, "198.51.100.7", ruled.GetRequest().GetClient().GetAddress(), "a trusted address")
	until(t, 5*time.Second, "the rule hits", func() error {
		if vouchers() != 1 {
			return fmt.Errorf("%d", vouchers())
		}
		return nil
	})

	// A rule that does not compile, and one that fails its own case.
	sequence := one
	for name, broken := range map[string]*policyv1.Rule{
		"9000002": {Seclang: `SecRule ARGS "@rx (unclosed" "id:9000002,phase:2,deny"`, Cases: rule.GetCases()},
		"9000003": {Seclang: `SecRule ARGS:voucher "@streq never" "id:9000003,phase:2,deny"`, Cases: rule.GetCases()},
	} {
		bad := &consolev1.PolicyContent{Rules: &policyv1.Rules{Rules: []*policyv1.Rule{rule, broken}}}
		before := f.statusOf(f.processor[0]).GetPolicySequence()
		sequence = publish(bad, sequence)
		for _, p := range f.processor {
			until(t, 10*time.Second, "refused by "+p.name, func() error {
				s := f.statusOf(p)
				if !strings.Contains(s.GetPolicyRefusedBecause(), name) {
					return fmt.Errorf("%q", s.GetPolicyRefusedBecause())
				}
				require.Equal(t, before, s.GetPolicySequence())
				return nil
			})
		}
		require.NotContains(t, string(attack(nonce()).GetRequest().GetMaskedRequest()), "DE0012345678", "the old one is in force")
		until(t, 15*time.Second, "the console shows why", func() error {
			answer, err := console.policy.GetPolicy(t.Context(), connect.NewRequest(&consolev1.GetPolicyRequest{}))
			require.NoError(t, err)
			for _, s := range answer.Msg.GetStates() {
				if s.GetPart() == "processor" && strings.Contains(s.GetRefusedBecause(), name) {
					return nil
				}
			}
			return fmt.Errorf("%v", answer.Msg.GetStates())
		})
	}

	// A roll-back is old content under a new sequence.
	answer, err := console.policy.RollBackPolicy(t.Context(), connect.NewRequest(&consolev1.RollBackPolicyRequest{ToSequence: one}))
	require.NoError(t, err)
	require.Equal(t, sequence+1, answer.Msg.GetSequence())
	inForce(sequence+1, obeying)

	// Whoever changes the console's tables cannot change the policy: cloudsync holds the key that was pinned.
	f.postgres.sql(f, `update console.policies set signature = decode(repeat('00', 64), 'hex') where sequence = (select max(sequence) from console.policies)`)
	f.cloudsync.restart()
	<-time.After(3 * time.Second)
	require.NotContains(t, string(attack(nonce()).GetRequest().GetMaskedRequest()), "DE0012345678", "the last good one is in force")
}

// Facts of one client come from both processors, and meet at the one that owns it.
func TestForcedBrowsingAcrossProcessors(t *testing.T) {
	f := newFleet(t, options{})
	client := &wire{f: f}
	defer client.close()
	before := []string{f.metric(f.processor[0], "sidelight_processor_exchanges_total"), f.metric(f.processor[1], "sidelight_processor_exchanges_total")}
	for i := range 80 {
		require.NoError(t, client.send(fmt.Sprintf("GET /backup/%d-%s.zip HTTP/1.1\r\nHost: shop.example.org\r\nUser-Agent: Mozilla/5.0\r\nAccept: */*\r\n\r\n", i, nonce()[:8])))
		// Batches of their own, so that both processors have some.
		<-time.After(20 * time.Millisecond)
	}
	until(t, 20*time.Second, "the journal has it", func() error {
		var found []*detectionv1.Attack
		for _, a := range f.journal() {
			if a.GetType() == "dirbust" {
				found = append(found, a)
			}
		}
		if len(found) == 0 {
			return errNotYet
		}
		require.Len(t, found, 1)
		require.Equal(t, uint64(1), found[0].GetHitCount())
		require.Equal(t, []string{"10.77.0.1"}, found[0].GetClients())
		require.Regexp(t, `\d+ of \d+ requests`, string(found[0].GetSamples()[0].GetEvidence().GetText()), "it says why")
		t.Logf("%s", found[0].GetSamples()[0].GetEvidence().GetText())
		return nil
	})
	for i, p := range f.processor {
		require.NotEqual(t, before[i], f.metric(p, "sidelight_processor_exchanges_total"), "%s judged none of it: the test proves nothing", p.name)
	}
}

// A token that is regenerated, or an installation that is revoked, is cut off at its next call; detection goes on, and a
// new token brings everything that is missing to the console, none twice.
func TestRegistration(t *testing.T) {
	f := newFleet(t, options{proxy: true})
	console := f.session()
	l := f.newLoad(1)
	more := func() { l.run(t.Context(), 50, 2, 40) }
	more()
	l.settle(t, 10*time.Second)
	shown := func() (attacks int, hits uint64) {
		for page := ""; ; {
			list, err := console.Attacks.ListAttacks(context.Background(), connect.NewRequest(&consolev1.ListAttacksRequest{PageSize: 500, PageToken: page}))
			require.NoError(t, err)
			for _, a := range list.Msg.GetAttacks() {
				attacks, hits = attacks+1, hits+a.GetHitCount()
			}
			if page = list.Msg.GetNextPageToken(); page == "" {
				return attacks, hits
			}
		}
	}
	all := func(what string) {
		t.Helper()
		until(t, 20*time.Second, what, func() error {
			if attacks, hits := shown(); attacks != len(l.attacks) || hits != uint64(len(l.attacks)) {
				return fmt.Errorf("%d attacks and %d hits of %d", attacks, hits, len(l.attacks))
			}
			return nil
		})
	}
	all("uploads pass a proxy that ends TLS")
	renew := func(secret string) {
		t.Helper()
		f.change(f.cloudsync, "token: ", secret)
		f.cloudsync.restart()
	}

	i := console.installation(t)
	fresh, err := console.installations.RegenerateToken(t.Context(), connect.NewRequest(&consolev1.RegenerateTokenRequest{TokenId: i.GetTokenId()}))
	require.NoError(t, err)
	before, _ := shown()
	more()
	l.settle(t, 10*time.Second)
	<-time.After(2 * time.Second)
	after, _ := shown()
	require.Equal(t, before, after, "an upload passed with a token that was regenerated")
	renew(fresh.Msg.GetToken())
	all("the new token brings what is missing")

	i = console.installation(t)
	_, err = console.installations.RevokeInstallation(t.Context(), connect.NewRequest(&consolev1.RevokeInstallationRequest{Id: i.GetId()}))
	require.NoError(t, err)
	more()
	l.settle(t, 10*time.Second)
	<-time.After(2 * time.Second)
	_, hits := shown()
	require.Less(t, hits, uint64(len(l.attacks)), "an upload passed of an installation that was revoked")
}

// The console is away for long while attacks go on: all are uploaded afterwards, none twice.
func TestConsoleAwayForLong(t *testing.T) {
	f := newFleet(t, options{})
	console := f.session()
	f.console.stop()
	l := f.newLoad(1)
	ctx, stop := context.WithTimeout(t.Context(), lasts(10*time.Second, 5*time.Minute))
	defer stop()
	l.run(ctx, 200, 4, 0)
	l.settle(t, 30*time.Second)
	f.console.start()
	start := time.Now()
	took := until(t, 5*time.Minute, "all is in the console", func() error {
		list, err := console.Attacks.ListAttacks(t.Context(), connect.NewRequest(&consolev1.ListAttacksRequest{PageSize: 1}))
		require.NoError(t, err)
		if got := list.Msg.GetTotal(); got != uint64(len(l.attacks)) {
			require.Less(t, got, uint64(len(l.attacks)), "uploaded twice")
			return fmt.Errorf("%d of %d", got, len(l.attacks))
		}
		return nil
	})
	t.Logf("%d attacks uploaded in %.1f s: %.0f a second", len(l.attacks), took.Seconds(), float64(len(l.attacks))/time.Since(start).Seconds())
}
