package status

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

	cloudsyncv1 "github.com/sidelight/sidelight/proto/gen/sidelight/cloudsync/v1"
	statusv1 "github.com/sidelight/sidelight/proto/gen/sidelight/status/v1"
	trafficv1 "github.com/sidelight/sidelight/proto/gen/sidelight/traffic/v1"

	"github.com/sidelight/sidelight/internal/losses"
	"github.com/sidelight/sidelight/internal/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type cloudsync struct {
	mu    sync.Mutex
	err   error
	parts []*statusv1.PartStatus
	at    []time.Time
}

func (c *cloudsync) Report(_ context.Context, in *cloudsyncv1.ReportRequest, _ ...grpc.CallOption) (*cloudsyncv1.ReportResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		for _, p := range in.GetParts() {
			c.parts, c.at = append(c.parts, p), append(c.at, time.Now())
		}
	}
	return &cloudsyncv1.ReportResponse{}, c.err
}

func (c *cloudsync) set(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.err = err
}

// agents gives what was passed on of agents, and forgets it.
func (c *cloudsync) agents() []*statusv1.PartStatus {
	c.mu.Lock()
	defer c.mu.Unlock()
	var list []*statusv1.PartStatus
	for _, p := range c.parts {
		if p.GetPart() == agentPart {
			list = append(list, p)
		}
	}
	c.parts, c.at = nil, nil
	return list
}

// rig runs a status in the bubble of a synctest.
type rig struct {
	agents *Agents
	sink   *cloudsync
	losses *losses.Losses
	stop   func()
}

func start(t *testing.T) *rig {
	t.Helper()
	lost := losses.NewLosses(nil, "aggregator")
	r := &rig{agents: NewAgents("east", lost), sink: &cloudsync{}, losses: lost}
	s := New(r.agents, Deps{
		Cloudsync: r.sink, Self: &statusv1.PartStatus{Part: "aggregator"}, Ready: func() error { return errors.New("starting") },
		Policy:   func() (uint64, string) { return 7, "policy 8: bad range" },
		Counters: func() []*statusv1.Counter { return nil }, Losses: lost, Log: testkit.Quiet(),
	})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = s.Run(ctx) }()
	r.stop = func() { cancel(); <-ended }
	return r
}

func wait(d time.Duration) {
	time.Sleep(d) //nolint:forbidigo // synctest's clock
	synctest.Wait()
}

func agent(ready bool, blind ...string) *statusv1.PartStatus {
	s := &statusv1.PartStatus{Part: agentPart, Ready: ready}
	for _, reason := range blind {
		s.BlindIntervals = append(s.BlindIntervals, &statusv1.BlindInterval{Reason: reason})
	}
	return s
}

func life(node string, second int64) Life {
	return LifeOf(node, &timestamppb.Timestamp{Seconds: second, Nanos: 5})
}

func TestAgentsArePassedOnAndNothingToldOnceIsLost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := start(t)
		n1, n2 := life("n1", 100), life("n2", 100)
		r.sink.set(errors.New("away"))
		r.agents.Opened(n1, "v1")
		r.agents.Opened(n2, "v1")
		r.agents.Reported(n1, agent(false, "started"))
		wait(3 * time.Second)
		r.agents.Reported(n1, agent(true, "ring full"))
		r.agents.Reported(n1, &statusv1.PartStatus{Part: "console"})
		r.agents.Reported(n2, agent(true))
		wait(3 * time.Second)
		r.sink.set(nil)
		wait(6 * time.Second)
		byInstance := map[string]*statusv1.PartStatus{}
		var own *statusv1.PartStatus
		r.sink.mu.Lock()
		for _, p := range r.sink.parts {
			if own = p; p.GetPart() == agentPart {
				byInstance[p.GetInstance()] = p
			}
		}
		r.sink.mu.Unlock()
		require.Len(t, byInstance, 2)
		p := byInstance["n1"]
		require.True(t, p.GetReady(), "the newest counts")
		require.Equal(t, "east", p.GetCluster())
		require.Len(t, p.GetBlindIntervals(), 2)
		require.Equal(t, "started", p.GetBlindIntervals()[0].GetReason())
		require.Equal(t, "n1", p.GetBlindIntervals()[0].GetNode())
		require.Equal(t, "starting", own.GetNotReadyBecause())
		require.Equal(t, "foreign_part", own.GetLosses()[0].GetReason())
		require.EqualValues(t, 7, own.GetPolicySequence())
		require.Equal(t, "policy 8: bad range", own.GetPolicyRefusedBecause())
		r.sink.agents()
		wait(10 * time.Second)
		for _, p := range r.sink.agents() {
			require.Empty(t, p.GetBlindIntervals(), "they are told once")
		}
		r.stop()
	})
}

func TestPresence(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := start(t)
		defer r.stop()
		wait(100 * time.Millisecond)
		n1 := life("n1", 100)
		r.agents.Opened(n1, "v1")
		r.agents.Reported(n1, agent(true))
		until := time.Now()
		// While the stream lives, what was passed on is never older than 10 s, and hardly more often than that.
		for range 30 {
			wait(time.Second)
			until = time.Now().Add(-200 * time.Millisecond)
			r.agents.Watched(n1, until)
		}
		list := r.sink.agents()
		require.GreaterOrEqual(t, len(list), 3)
		require.LessOrEqual(t, len(list), 5)
		last := list[len(list)-1]
		require.True(t, last.GetConnected())
		require.True(t, last.GetReady(), "with its status")
		require.WithinDuration(t, time.Now(), last.GetWatchedUntil().AsTime(), 10*time.Second)
		require.Equal(t, &timestamppb.Timestamp{Seconds: 100, Nanos: 5}, last.GetStartedAt())

		// The end is told within a second, once, with the last that is known.
		r.agents.Closed(n1)
		wait(time.Second)
		list = r.sink.agents()
		require.Len(t, list, 1)
		require.False(t, list[0].GetConnected())
		require.True(t, list[0].GetReady())
		require.Equal(t, until.UTC(), list[0].GetWatchedUntil().AsTime())
		wait(time.Minute)
		require.Empty(t, r.sink.agents(), "another part may know better by now")

		// It comes back without a word of its own: what it said before still stands.
		r.agents.Opened(n1, "v1")
		wait(time.Second)
		list = r.sink.agents()
		require.Len(t, list, 1)
		require.True(t, list[0].GetConnected())
		require.True(t, list[0].GetReady())

		// Two streams overlap: the end of one is none of the agent.
		r.agents.Opened(n1, "v1")
		r.agents.Closed(n1)
		wait(time.Second)
		for _, p := range r.sink.agents() {
			require.True(t, p.GetConnected())
		}
		r.agents.Closed(n1)
		wait(keepEnded + time.Minute)
		r.agents.mu.Lock()
		defer r.agents.mu.Unlock()
		require.Empty(t, r.agents.lives, "memory is bounded")
	})
}

func TestAnAgentThatNeverReported(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := start(t)
		defer r.stop()
		older, newer, unnamed := life("n1", 100), life("n1", 200), LifeOf("n0", nil)
		until := time.Now().Add(-5 * time.Second)
		for _, l := range []Life{newer, older, unnamed} {
			r.agents.Opened(l, "v2")
		}
		r.agents.Watched(older, until)
		r.agents.Closed(older)
		r.agents.Closed(unnamed)
		wait(1100 * time.Millisecond)
		list := r.sink.agents()
		require.Len(t, list, 2, "who is connected may still report")
		wait(3 * time.Second)
		list = append(list, r.sink.agents()...)
		require.Len(t, list, 3)
		require.Equal(t, "n0", list[0].GetInstance())
		require.Nil(t, list[0].GetStartedAt())
		require.Nil(t, list[0].GetWatchedUntil(), "it sent no heartbeat")
		p := list[1]
		require.Equal(t, agentPart+" n1 v2 east", p.GetPart()+" "+p.GetInstance()+" "+p.GetVersion()+" "+p.GetCluster())
		require.EqualValues(t, 100, p.GetStartedAt().GetSeconds(), "the older life first")
		require.False(t, p.GetConnected())
		require.Equal(t, until.UTC(), p.GetWatchedUntil().AsTime())
		require.True(t, list[2].GetConnected())
	})
}

// The end of streams that a stop ends is told, too.
func TestLastWords(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := start(t)
		n1 := life("n1", 100)
		r.agents.Opened(n1, "v1")
		wait(1500 * time.Millisecond)
		r.sink.agents()
		r.agents.Closed(n1)
		r.stop()
		list := r.sink.agents()
		require.Len(t, list, 1)
		require.False(t, list[0].GetConnected())
	})
}

func TestAnAgentSpeaksForItsNodeOnly(t *testing.T) {
	t.Parallel()
	lost := losses.NewLosses(nil, "aggregator")
	a := NewAgents("east", lost)
	n1 := life("n1", 100)
	a.Opened(n1, "v1")
	of := func(node string) *trafficv1.Workload { return &trafficv1.Workload{Node: node, Cluster: "west"} }
	a.Reported(n1, &statusv1.PartStatus{
		Part: agentPart, Connected: true, WatchedUntil: timestamppb.Now(), StartedAt: timestamppb.Now(), Cluster: "west",
		Coverage:       []*statusv1.Coverage{{Workload: of("n1")}, {Workload: of("n2")}, {Workload: of("")}, {}},
		BlindIntervals: []*statusv1.BlindInterval{{Node: "n2"}, {Node: "n1"}, {Workload: of("n2")}, {Node: "n1", Workload: of("n2")}, {Workload: of("n1")}},
	})
	a.Reported(n1, &statusv1.PartStatus{Part: agentPart, Instance: "n2"})
	// Whom nobody knows: its stream was not counted, for there were too many.
	a.Reported(life("n9", 1), &statusv1.PartStatus{Part: agentPart})
	a.Watched(life("n9", 1), time.Now())
	a.Closed(life("n9", 1))
	list := a.take(time.Now())
	require.Len(t, list, 1)
	p := list[0].part
	require.Equal(t, "n1", p.GetInstance())
	require.Nil(t, p.GetWatchedUntil())
	require.EqualValues(t, 100, p.GetStartedAt().GetSeconds())
	require.Len(t, p.GetCoverage(), 3)
	require.Len(t, p.GetBlindIntervals(), 2)
	for _, c := range p.GetCoverage()[:2] {
		require.Equal(t, "n1 east", c.GetWorkload().GetNode()+" "+c.GetWorkload().GetCluster())
	}
	require.Equal(t, []losses.Loss{{Place: "status", Reason: "foreign_instance", Count: 1}, {Place: "status", Reason: "foreign_node", Count: 4}}, lost.Snapshot())
}

func TestAgentsAreBounded(t *testing.T) {
	t.Parallel()
	lost := losses.NewLosses(nil, "aggregator")
	a := NewAgents("east", lost)
	for n := range int64(maxAgents) {
		a.Opened(life("n", n+1), "")
	}
	a.Opened(life("one", 1), "")
	require.Equal(t, []losses.Loss{{Place: "status", Reason: "too_many_agents", Count: 1}}, lost.Snapshot())
	a.Closed(life("n", 7))
	a.Opened(life("one", 1), "")
	require.NotContains(t, a.lives, life("one", 1), "what is not told yet is not forgotten")
	a.take(time.Now())
	a.Opened(life("one", 1), "")
	require.Contains(t, a.lives, life("one", 1))
	require.NotContains(t, a.lives, life("n", 7))
	for range maxIntervals + 10 {
		a.Reported(life("one", 1), agent(true, "x"))
	}
	require.Len(t, a.lives[life("one", 1)].untold, maxIntervals)
}
