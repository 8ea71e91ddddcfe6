package status

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/timestamppb"

	statusv1 "github.com/sidelight/sidelight/proto/gen/sidelight/status/v1"

	"github.com/sidelight/sidelight/internal/losses"
)

func report(instance string, ready bool, blind ...string) *statusv1.PartStatus {
	r := &statusv1.PartStatus{Part: "agent", Instance: instance, Ready: ready}
	for _, reason := range blind {
		r.BlindIntervals = append(r.BlindIntervals, &statusv1.BlindInterval{Reason: reason})
	}
	return r
}

func reasons(r *statusv1.PartStatus) []string {
	var list []string
	for _, b := range r.GetBlindIntervals() {
		list = append(list, b.GetReason())
	}
	return list
}

func TestTheNewestCountsAndNothingToldOnceIsLost(t *testing.T) {
	t.Parallel()
	b := NewBoard("east", losses.NewLosses(nil, "cloudsync"))
	b.Put([]*statusv1.PartStatus{report("n1", false, "a")})
	b.Put([]*statusv1.PartStatus{report("n1", true, "b"), report("n2", true)})
	<-b.Reported()
	taken := b.Take(10)
	require.Len(t, taken, 2)
	require.Empty(t, b.Take(10), "each is taken once")
	require.Equal(t, []string{"a", "b"}, reasons(b.All()[0]))

	// The upload failed, and a newer one came meanwhile.
	b.Put([]*statusv1.PartStatus{report("n1", true, "c")})
	require.Equal(t, []string{"c"}, reasons(b.All()[0]))
	b.PutBack(taken)
	require.Equal(t, []string{"a", "b", "c"}, reasons(b.All()[0]))
	require.Len(t, b.Take(1), 1)
	require.Len(t, b.Take(10), 1)

	// What was uploaded is not told again.
	b.Put([]*statusv1.PartStatus{report("n1", true, "d")})
	require.Equal(t, []string{"d"}, reasons(b.Take(10)[0]))
	require.Len(t, b.All(), 2)
}

func TestBounds(t *testing.T) {
	t.Parallel()
	l := losses.NewLosses(nil, "cloudsync")
	b := NewBoard("east", l)
	for range maxIntervals + 5 {
		b.Put([]*statusv1.PartStatus{report("n1", true, "x")})
	}
	require.Len(t, b.All()[0].GetBlindIntervals(), maxIntervals)
	require.Equal(t, []losses.Loss{{Place: "status", Reason: "blind_intervals", Count: 5}}, l.Snapshot())
}

// An aggregator that an agent has left goes on saying its last word.
func TestAStaleReportReplacesNothing(t *testing.T) {
	t.Parallel()
	zero := time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
	says := func(second int, connected bool, blind ...string) *statusv1.PartStatus {
		r := report("n1", true, blind...)
		r.StartedAt, r.ReportedAt, r.Connected = timestamppb.New(zero), timestamppb.New(zero.Add(time.Duration(second)*time.Second)), connected
		return r
	}
	b := NewBoard("east", losses.NewLosses(nil, "cloudsync"))
	b.Put([]*statusv1.PartStatus{says(20, true, "b")})
	held := b.All()[0]
	b.Put([]*statusv1.PartStatus{says(10, false)})
	require.True(t, b.All()[0].GetConnected())
	b.Put([]*statusv1.PartStatus{says(10, false, "a", "b")})
	require.True(t, b.All()[0].GetConnected())
	require.Equal(t, []string{"b", "a"}, reasons(b.All()[0]), "what it tells of is told")
	require.Equal(t, []string{"b"}, reasons(held), "what others read is not changed")
	b.Put([]*statusv1.PartStatus{says(20, false)})
	require.False(t, b.All()[0].GetConnected(), "its newest word, from the aggregator that it left last")
}
