package status

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"google.golang.org/grpc"

	cloudsyncv1 "github.com/sidelight/sidelight/proto/gen/sidelight/cloudsync/v1"
	statusv1 "github.com/sidelight/sidelight/proto/gen/sidelight/status/v1"

	"github.com/sidelight/sidelight/internal/losses"
	"github.com/sidelight/sidelight/internal/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type cloudsync struct {
	err   error
	parts []*statusv1.PartStatus
}

func (c *cloudsync) Report(_ context.Context, in *cloudsyncv1.ReportRequest, _ ...grpc.CallOption) (*cloudsyncv1.ReportResponse, error) {
	if c.err == nil {
		c.parts = append(c.parts, in.GetParts()...)
	}
	return &cloudsyncv1.ReportResponse{}, c.err
}

func agent(instance string, ready bool, blind ...string) *statusv1.PartStatus {
	s := &statusv1.PartStatus{Part: agentPart, Instance: instance, Ready: ready}
	for _, reason := range blind {
		s.BlindIntervals = append(s.BlindIntervals, &statusv1.BlindInterval{Reason: reason})
	}
	return s
}

func TestAgentsArePassedOnAndNothingToldOnceIsLost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		lost := losses.NewLosses(nil, "aggregator")
		agents, sink := NewAgents("east", lost), &cloudsync{err: errors.New("away")}
		s := New(agents, Deps{
			Cloudsync: sink, Self: &statusv1.PartStatus{Part: "aggregator"}, Ready: func() error { return errors.New("starting") },
			Counters: func() []*statusv1.Counter { return nil }, Losses: lost, Log: testkit.Quiet(),
		})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); _ = s.Run(ctx) }()
		agents.FromAgent("n1", agent("", false, "started"))
		time.Sleep(3 * time.Second) //nolint:forbidigo // synctest's clock
		agents.FromAgent("n1", agent("n1", true, "ring full"))
		agents.FromAgent("n1", &statusv1.PartStatus{Part: "console"})
		agents.FromAgent("n2", agent("n2", true))
		time.Sleep(3 * time.Second) //nolint:forbidigo // synctest's clock
		sink.err = nil
		time.Sleep(6 * time.Second) //nolint:forbidigo // synctest's clock
		cancel()
		<-ended
		byInstance := map[string]*statusv1.PartStatus{}
		for _, p := range sink.parts {
			byInstance[p.GetPart()+"/"+p.GetInstance()] = p
		}
		require.Len(t, byInstance, 3)
		n1 := byInstance["agent/n1"]
		require.True(t, n1.GetReady(), "the newest counts")
		require.Equal(t, "east", n1.GetCluster())
		require.Len(t, n1.GetBlindIntervals(), 2)
		require.Equal(t, "started", n1.GetBlindIntervals()[0].GetReason())
		own := byInstance["aggregator/"]
		require.Equal(t, "starting", own.GetNotReadyBecause())
		require.Equal(t, "foreign_part", own.GetLosses()[0].GetReason())
	})
}
