package aggregator

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	aggregatorv1 "github.com/sidelight/sidelight/proto/gen/sidelight/aggregator/v1"
	policyv1 "github.com/sidelight/sidelight/proto/gen/sidelight/policy/v1"
	processorv1 "github.com/sidelight/sidelight/proto/gen/sidelight/processor/v1"
	statusv1 "github.com/sidelight/sidelight/proto/gen/sidelight/status/v1"
	trafficv1 "github.com/sidelight/sidelight/proto/gen/sidelight/traffic/v1"

	"github.com/sidelight/sidelight/internal/policy"
)

func (r *rig) lost(place, reason string) int64 {
	for _, l := range r.service.losses.Snapshot() {
		if l.Place == place && l.Reason == reason {
			return l.Count
		}
	}
	return 0
}

// agentStatus waits for a report of an agent that is as wanted.
func (r *rig) agentStatus(t *testing.T, what string, wanted func(*statusv1.PartStatus) bool) *statusv1.PartStatus {
	t.Helper()
	limit := time.After(soon)
	for {
		select {
		case p := <-r.cloudsync.parts:
			if p.GetPart() == "agent" && wanted(p) {
				return p
			}
		case <-limit:
			t.Fatalf("no report of an agent %s", what)
		}
	}
}

func TestACertificateBindsAnAgentToItsNodes(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	for _, tc := range []struct {
		names []string
		node  string
		code  codes.Code
	}{
		{[]string{"n1.agent"}, "n1", codes.OK},
		{[]string{"n1.agent"}, "n2", codes.PermissionDenied},
		{[]string{"n1.agent", "n2.agent"}, "n2", codes.OK},
		{[]string{"ip-10-0-0-1.internal.agent"}, "ip-10-0-0-1.internal", codes.OK},
		{[]string{"n1.agent"}, "N1", codes.PermissionDenied},
		{[]string{"n1.agent"}, "n1.agent", codes.PermissionDenied},
		{[]string{"n1.agent", "agent.sidelight.svc"}, "agent.sidelight.svc", codes.PermissionDenied},
		{[]string{"agent.sidelight.svc"}, "n2", codes.OK},
		{nil, "n2", codes.OK},
	} {
		before := r.lost("ingest", "foreign_node_claim")
		a := r.mirrorWith(t, r.ca.Source(t, "agent", tc.names...)).helloAs(t, tc.node)
		if tc.code != codes.OK {
			select {
			case err := <-a.end:
				require.Equal(t, tc.code, status.Code(err), "%q as %q", tc.names, tc.node)
			case <-time.After(soon):
				t.Fatalf("%q was let in as %q", tc.names, tc.node)
			}
			require.Equal(t, before+1, r.lost("ingest", "foreign_node_claim"))
			continue
		}
		x := exchange(1)
		x.Workload.Node = tc.node
		require.NoError(t, a.send(1, x))
		require.Zero(t, a.ack(t).GetRefused(), "%q as %q", tc.names, tc.node)
		require.Equal(t, before, r.lost("ingest", "foreign_node_claim"))
	}
}

func TestWorkloadsAreNamedOnceInABatch(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	a := r.mirrorWith(t, r.ca.Source(t, "agent", "n1.agent")).hello(t)
	by := func(n uint64, ref uint32) *trafficv1.Exchange {
		x := exchange(n)
		x.Workload, x.WorkloadRef = nil, ref
		return x
	}
	require.NoError(t, a.wire.Send(&aggregatorv1.MirrorRequest{Message: &aggregatorv1.MirrorRequest_Batch{Batch: &aggregatorv1.Batch{
		Sequence: 1, Workloads: []*trafficv1.Workload{{Service: "shop"}, {Service: "pay", Node: "n2"}},
		Exchanges: []*trafficv1.Exchange{by(1, 1), by(2, 2), by(3, 3), by(4, 1), exchange(5)},
	}}}))
	require.EqualValues(t, 2, a.ack(t).GetRefused())
	for _, n := range []uint64{1, 4, 5} {
		x := r.processor.exchange(n)
		require.Equal(t, "shop n1 east", x.GetWorkload().GetService()+" "+x.GetWorkload().GetNode()+" "+x.GetWorkload().GetCluster())
		require.Zero(t, x.GetWorkloadRef())
	}
	require.Nil(t, r.processor.exchange(2))
	require.Nil(t, r.processor.exchange(3))
	require.EqualValues(t, 1, r.lost("ingest", "foreign_node"))
	require.EqualValues(t, 1, r.lost("ingest", "bad_workload_ref"))
	require.Zero(t, r.service.ingest.PendingBytes.Load())
}

func TestPresenceIsPassedOn(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	a := r.mirror(t).hello(t)
	// The agent's host is up for 1000 s at its hello; all from 5 s before that on is acknowledged.
	require.NoError(t, a.wire.Send(&aggregatorv1.MirrorRequest{Message: &aggregatorv1.MirrorRequest_Heartbeat{Heartbeat: &aggregatorv1.Heartbeat{WatchedUntilMonoNs: 995e9}}}))
	require.NoError(t, a.wire.Send(&aggregatorv1.MirrorRequest{Message: &aggregatorv1.MirrorRequest_Status{Status: &statusv1.PartStatus{Part: "agent", Ready: true}}}))
	p := r.agentStatus(t, "that is connected", (*statusv1.PartStatus).GetConnected)
	require.True(t, p.GetReady())
	require.Equal(t, bornAt.AsTime(), p.GetStartedAt().AsTime())
	require.WithinDuration(t, time.Now().Add(-5*time.Second), p.GetWatchedUntil().AsTime(), 3*time.Second)
	silent := r.mirror(t).helloAs(t, "n2")
	require.NoError(t, silent.send(1, exchange(1)))
	silent.ack(t)
	require.NoError(t, a.wire.CloseSend())
	require.NoError(t, silent.wire.CloseSend())
	gone := func(node string) func(*statusv1.PartStatus) bool {
		return func(p *statusv1.PartStatus) bool { return !p.GetConnected() && p.GetInstance() == node }
	}
	nodes := map[string]*statusv1.PartStatus{}
	for len(nodes) < 2 {
		p := r.agentStatus(t, "that is gone", func(p *statusv1.PartStatus) bool { return gone("n1")(p) || gone("n2")(p) })
		nodes[p.GetInstance()] = p
	}
	require.Equal(t, p.GetWatchedUntil().AsTime(), nodes["n1"].GetWatchedUntil().AsTime())
	require.True(t, nodes["n1"].GetReady(), "its last status")
	require.Nil(t, nodes["n2"].GetWatchedUntil())
	require.Equal(t, bornAt.AsTime(), nodes["n2"].GetStartedAt().AsTime())
}

// A stop ends streams, and says so before it is over.
func TestAStopTellsThatStreamsEnded(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	a := r.mirror(t).hello(t)
	require.NoError(t, a.wire.Send(&aggregatorv1.MirrorRequest{Message: &aggregatorv1.MirrorRequest_Status{Status: &statusv1.PartStatus{Part: "agent"}}}))
	r.agentStatus(t, "that is connected", (*statusv1.PartStatus).GetConnected)
	r.stop()
	require.NoError(t, <-r.done)
	r.done <- nil
	r.agentStatus(t, "that is gone", func(p *statusv1.PartStatus) bool { return !p.GetConnected() })
}

func (a *agent) policy(t *testing.T) *policyv1.AgentPolicy {
	t.Helper()
	select {
	case p := <-a.policies:
		return p
	case <-time.After(soon):
		t.Fatal("no policy")
		return nil
	}
}

func bundle(t *testing.T, sequence uint64, p policy.Policy) *policyv1.Bundle {
	t.Helper()
	manifest, blobs, err := policy.Seal(&policyv1.Manifest{Sequence: sequence}, p)
	require.NoError(t, err)
	return &policyv1.Bundle{Manifest: manifest, Blobs: blobs}
}

func TestPolicy(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	early := r.mirror(t).hello(t)
	// A client behind two proxies, of which the configuration trusts one.
	sent := uint64(0)
	client := func() string {
		sent++
		x := exchange(sent)
		x.Request.Headers = []*trafficv1.Header{{Name: []byte("X-Forwarded-For"), Value: []byte("198.51.100.7, 192.0.2.1")}}
		require.NoError(t, early.send(sent, x))
		early.ack(t)
		return r.processor.exchange(sent).GetClient().GetAddress()
	}
	require.Equal(t, "192.0.2.1", client())
	require.Empty(t, early.policies, "there is none yet")

	r.policies.bundles <- bundle(t, 4, policy.Policy{
		Trusted: &policyv1.TrustedCidrs{Cidrs: []string{"192.0.2.0/24"}}, Budgets: &policyv1.Budgets{Request: 4096, Response: 512},
	})
	late := r.mirror(t).hello(t)
	for _, a := range []*agent{early, late} {
		p := a.policy(t)
		require.EqualValues(t, 4, p.GetSequence())
		require.EqualValues(t, 4096, p.GetRequestBudget())
		require.EqualValues(t, 512, p.GetResponseBudget())
	}
	require.Equal(t, "198.51.100.7", client())

	// One that cannot be obeyed changes nothing.
	r.policies.bundles <- bundle(t, 5, policy.Policy{
		Trusted: &policyv1.TrustedCidrs{Cidrs: []string{"10.0.0.0/8", "192.0.2.1/24"}}, Budgets: &policyv1.Budgets{Request: 1},
	})
	require.Eventually(t, func() bool { return r.service.status.Now().GetPolicyRefusedBecause() != "" }, soon, time.Millisecond)
	now := r.service.status.Now()
	require.EqualValues(t, 4, now.GetPolicySequence())
	require.Contains(t, now.GetPolicyRefusedBecause(), `"192.0.2.1/24"`)
	require.Equal(t, "198.51.100.7", client())
	require.Empty(t, early.policies)

	// Content that is gone is the default again.
	r.policies.bundles <- bundle(t, 6, policy.Policy{})
	p := early.policy(t)
	require.EqualValues(t, 6, p.GetSequence())
	require.Zero(t, p.GetRequestBudget())
	require.Equal(t, "192.0.2.1", client())
	require.Empty(t, r.service.status.Now().GetPolicyRefusedBecause())
}

// One agent sends more and more of what the processor does not answer; another one's batches are acknowledged all the same.
func TestAQuietAgentIsNotStarved(t *testing.T) {
	t.Parallel()
	r := start(t, func(c *Config) { c.MaxPendingBytes = 2 << 20 })
	release := make(chan struct{})
	r.processor.set(func(ctx context.Context, req *processorv1.InspectRequest) error {
		for _, x := range req.GetExchanges() {
			if x.GetWorkload().GetNode() == "n2" {
				select {
				case <-release:
				case <-ctx.Done():
				}
			}
		}
		return nil
	})
	flood := r.mirror(t).helloAs(t, "n2")
	const batches = 30
	flooded := make(chan error, 1)
	go func() {
		for n := range uint64(batches) {
			x := exchange(1000 + n)
			x.Workload.Node = "n2"
			x.Request.Body = []*trafficv1.BodySegment{{Data: make([]byte, 200<<10)}}
			if err := flood.send(n+1, x); err != nil {
				flooded <- err
				return
			}
		}
		flooded <- nil
	}()
	require.Eventually(t, func() bool { return r.service.ingest.Waits.Load() > 0 }, soon, time.Millisecond)
	quiet := r.mirror(t).hello(t)
	for n := range uint64(20) {
		require.NoError(t, quiet.send(n+1, exchange(n)))
		require.Zero(t, quiet.ack(t).GetRefused())
	}
	require.Empty(t, flood.acks)
	require.Empty(t, flooded, "it is held up")
	close(release)
	require.NoError(t, <-flooded)
	for range batches {
		flood.ack(t)
	}
	require.Zero(t, r.service.ingest.PendingBytes.Load())
}

// Hits that cannot be kept hold up only the batches that hold one.
func TestBenignBatchesAreNotHeldUpByAHitThatCannotBeCommitted(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	marked := func(n uint64) bool { return n%100 == 7 }
	r.processor.set(func(context.Context, *processorv1.InspectRequest) error { return notKept(marked) })
	a := r.mirror(t).hello(t)
	const batches, each = 200, 10
	var benign []uint64
	for b := range uint64(batches) {
		var list []*trafficv1.Exchange
		attack := false
		for i := range uint64(each) {
			attack = attack || marked(b*each+i)
			list = append(list, exchange(b*each+i))
		}
		if !attack {
			benign = append(benign, b+1)
		}
		require.NoError(t, a.send(b+1, list...))
	}
	var acked []uint64
	for range benign {
		acked = append(acked, a.ack(t).GetSequence())
	}
	require.ElementsMatch(t, benign, acked)
	const attacks = batches * each / 100
	require.Eventually(t, func() bool { return r.service.router.Judged.Load() == batches*each-attacks }, soon, time.Millisecond)
	for n := range uint64(batches * each) {
		require.Equal(t, !marked(n), r.processor.exchange(n) != nil, "exchange %d", n)
	}
	r.processor.set(nil)
	for range batches - len(benign) {
		require.Zero(t, a.ack(t).GetRefused())
	}
	require.Zero(t, r.service.ingest.PendingBytes.Load())
}
