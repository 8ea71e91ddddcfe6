package ingest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/timestamppb"

	aggregatorv1 "github.com/sidelight/sidelight/proto/gen/sidelight/aggregator/v1"
	trafficv1 "github.com/sidelight/sidelight/proto/gen/sidelight/traffic/v1"
)

func TestTimesToldByTheirDistance(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
	c := measure(noon, &aggregatorv1.Hello{Wall: timestamppb.New(noon.Add(-time.Hour)), MonoNs: 1000e9})
	short := &trafficv1.Times{RequestStartMonoNs: 1010e9, RequestTookNs: 3e6, ResponseAfterNs: 2e9}
	c.expand(short)
	start := noon.Add(-time.Hour).Add(10 * time.Second)
	require.Equal(t, start, short.GetRequestStart().AsTime())
	require.Equal(t, start.Add(3*time.Millisecond), short.GetRequestEnd().AsTime())
	require.Equal(t, start.Add(2*time.Second), short.GetResponseStart().AsTime())
	require.Zero(t, short.GetRequestTookNs()+short.GetResponseAfterNs(), "only Mirror knows of them")

	open := &trafficv1.Times{RequestStartMonoNs: 1010e9}
	c.expand(open)
	require.Nil(t, open.GetRequestEnd())
	require.Nil(t, open.GetResponseStart())
	whole := &trafficv1.Times{RequestStart: timestamppb.New(noon), RequestStartMonoNs: 1010e9, RequestTookNs: 5}
	c.expand(whole)
	require.Equal(t, noon, whole.GetRequestStart().AsTime(), "what an agent says itself stands")
	require.Nil(t, whole.GetRequestEnd())
}

func TestObserved(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
	// The agent's clock is an hour behind, and its host has been up for 1000 s.
	c := measure(noon, &aggregatorv1.Hello{Wall: timestamppb.New(noon.Add(-time.Hour)), MonoNs: 1000e9})
	for name, tc := range map[string]struct {
		wall      time.Time
		mono      uint64
		replayed  bool
		now       time.Time
		want      time.Time
		plausible bool
	}{
		"monotonic":                      {noon.Add(-time.Hour), 1010e9, false, noon.Add(time.Minute), noon.Add(10 * time.Second), true},
		"before the stream began":        {noon.Add(-2 * time.Hour), 400e9, false, noon, noon.Add(-10 * time.Minute), true},
		"the wall was set in between":    {noon.Add(400 * time.Hour), 1010e9, false, noon.Add(time.Minute), noon.Add(10 * time.Second), true},
		"no monotonic time":              {noon.Add(-time.Hour).Add(5 * time.Second), 0, false, noon.Add(time.Minute), noon.Add(5 * time.Second), true},
		"no time at all":                 {time.Time{}, 0, false, noon.Add(time.Minute), noon.Add(time.Minute), true},
		"a little ahead: now":            {noon, 1000e9 + 5e8, false, noon, noon, true},
		"far ahead":                      {noon, 9000e9, false, noon.Add(time.Minute), noon.Add(time.Minute), false},
		"far behind":                     {noon.Add(-time.Hour).Add(-25 * time.Hour), 0, false, noon, noon, false},
		"a time that is none":            {noon, 1 << 63, false, noon, noon, false},
		"a recording keeps its own time": {noon.Add(-9000 * time.Hour), 1010e9, true, noon, noon.Add(-9000 * time.Hour), true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := &trafficv1.Exchange{Replayed: tc.replayed, Times: &trafficv1.Times{RequestStartMonoNs: tc.mono}}
			if !tc.wall.IsZero() {
				x.Times.RequestStart = timestamppb.New(tc.wall)
			}
			got, plausible := c.observed(x, tc.now)
			require.WithinDuration(t, tc.want, got, 0)
			require.Equal(t, tc.plausible, plausible)
		})
	}
}

func TestWatched(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
	for name, tc := range map[string]struct {
		mono      uint64
		now       time.Time
		want      time.Time
		plausible bool
	}{
		"behind":                        {995e9, noon.Add(time.Second), noon.Add(-5 * time.Second), true},
		"before the stream began":       {400e9, noon, noon.Add(-10 * time.Minute), true},
		"ahead: the hello was slow":     {1005e9, noon.Add(2 * time.Second), noon.Add(2 * time.Second), true},
		"far ahead":                     {2000e9, noon, time.Time{}, false},
		"farther than time goes":        {1<<63 + 1000e9, noon, time.Time{}, false},
		"days behind":                   {1, noon.Add(48 * time.Hour), time.Time{}, false},
		"nothing was watched":           {0, noon, time.Time{}, false},
		"wrapped as if before the boot": {^uint64(0), noon, noon.Add(-1000*time.Second - 1), true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := measure(noon, &aggregatorv1.Hello{Wall: timestamppb.New(noon), MonoNs: 1000e9})
			got, plausible := c.watched(tc.mono, tc.now)
			require.Equal(t, tc.plausible, plausible)
			require.Equal(t, tc.want, got)
		})
	}
	none := measure(noon, &aggregatorv1.Hello{Wall: timestamppb.New(noon)})
	_, plausible := none.watched(5e9, noon)
	require.False(t, plausible, "without the hello's own there is nothing to reckon from")
}
