package tail

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"

	detectionv1 "github.com/sidelight/sidelight/proto/gen/sidelight/detection/v1"
	processorv1 "github.com/sidelight/sidelight/proto/gen/sidelight/processor/v1"
	trafficv1 "github.com/sidelight/sidelight/proto/gen/sidelight/traffic/v1"
)

// Two replicas: the one that judges the first revision takes longer than the whole exchange.
func TestTheFirstRevisionComesLast(t *testing.T) {
	t.Parallel()
	r := NewRecall()
	closed := &processorv1.Summary{
		ExchangeId: []byte("a"), Revision: 2, Phase: trafficv1.Phase_PHASE_CLOSED, JudgedElsewhere: true,
		Request: &detectionv1.RequestSummary{Status: 200},
	}
	require.Len(t, r.Complete([]*processorv1.Summary{closed}), 1)
	first := &processorv1.Summary{
		ExchangeId: []byte("a"), Revision: 1, Phase: trafficv1.Phase_PHASE_REQUEST, Hits: []*processorv1.SummaryHit{{Type: "sqli"}},
		Request: &detectionv1.RequestSummary{TraceId: "trace"},
	}
	list := r.Complete([]*processorv1.Summary{first})
	require.Len(t, list, 2)
	require.Equal(t, trafficv1.Phase_PHASE_CLOSED, list[1].GetPhase())
	require.Equal(t, "sqli", list[1].GetHits()[0].GetType())
	require.Equal(t, "trace", list[1].GetRequest().GetTraceId())
	require.Equal(t, uint32(200), list[1].GetRequest().GetStatus())
	require.Empty(t, r.young, "what is closed is forgotten")
}

func TestALaterRevisionThatAnotherReplicaSaw(t *testing.T) {
	t.Parallel()
	r := NewRecall()
	first := &processorv1.Summary{
		ExchangeId: []byte("a"), Phase: trafficv1.Phase_PHASE_REQUEST, Complete: true, Hits: []*processorv1.SummaryHit{{Type: "sqli"}},
		Request: &detectionv1.RequestSummary{TraceId: "trace", UserAgent: "curl"},
	}
	later := func(phase trafficv1.Phase) *processorv1.Summary {
		return &processorv1.Summary{
			ExchangeId: []byte("a"), Phase: phase, JudgedElsewhere: true, WhyIncomplete: "judged elsewhere",
			Request: &detectionv1.RequestSummary{Status: 200},
		}
	}
	r.Complete([]*processorv1.Summary{first})
	for _, phase := range []trafficv1.Phase{trafficv1.Phase_PHASE_UPDATE, trafficv1.Phase_PHASE_CLOSED} {
		s := later(phase)
		r.Complete([]*processorv1.Summary{s})
		require.Equal(t, "sqli", s.GetHits()[0].GetType())
		require.True(t, s.GetComplete())
		require.Empty(t, s.GetWhyIncomplete())
		require.Equal(t, "trace", s.GetRequest().GetTraceId())
		require.Equal(t, uint32(200), s.GetRequest().GetStatus())
	}
	after := later(trafficv1.Phase_PHASE_UPDATE)
	r.Complete([]*processorv1.Summary{after})
	require.True(t, after.GetJudgedElsewhere(), "what is closed is forgotten")
	for n := range 3 * maxRecalled {
		r.Complete([]*processorv1.Summary{{ExchangeId: binary.BigEndian.AppendUint32(nil, uint32(n)), Phase: trafficv1.Phase_PHASE_REQUEST}})
	}
	require.LessOrEqual(t, len(r.young)+len(r.old), 2*maxRecalled)
}
