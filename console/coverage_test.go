package console

import (
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/sidelight/sidelight/console/internal/coverage"
	"github.com/sidelight/sidelight/console/internal/store"
	consolev1 "github.com/sidelight/sidelight/proto/gen/sidelight/console/v1"
	statusv1 "github.com/sidelight/sidelight/proto/gen/sidelight/status/v1"
	trafficv1 "github.com/sidelight/sidelight/proto/gen/sidelight/traffic/v1"
)

// blind is an interval that began at from and, unless lasts is negative, ended.
func blind(id string, from time.Time, lasts time.Duration) *statusv1.BlindInterval {
	b := &statusv1.BlindInterval{Id: id, Node: "n1", Reason: "silent", From: timestamppb.New(from)}
	if lasts >= 0 {
		b.To = timestamppb.New(from.Add(lasts))
	}
	return b
}

func blinds(list ...*statusv1.BlindInterval) *consolev1.UploadRequest {
	return &consolev1.UploadRequest{BlindIntervals: list}
}

// listBlind reads all pages.
func listBlind(t *testing.T, b *browser, req *consolev1.ListBlindIntervalsRequest) (out []*consolev1.BlindIntervalRow) {
	t.Helper()
	for {
		res, err := b.coverage.ListBlindIntervals(t.Context(), connect.NewRequest(req))
		require.NoError(t, err)
		out = append(out, res.Msg.GetRows()...)
		if res.Msg.GetNextPageToken() == "" {
			return out
		}
		require.Len(t, res.Msg.GetRows(), int(req.GetPageSize()))
		req.PageToken = res.Msg.GetNextPageToken()
	}
}

func names(rows []*consolev1.BlindIntervalRow) (out []string) {
	for _, r := range rows {
		out = append(out, r.GetCluster()+"/"+r.GetInterval().GetId())
	}
	return out
}

func TestBlindIntervals(t *testing.T) {
	t.Parallel()
	h := start(t)
	ctx, b, east, west := t.Context(), h.signedIn(), h.register("east"), h.register("west")
	now := time.Now()
	for _, c := range []*cluster{east, west} {
		require.NoError(t, c.upload(ctx, blinds(blind("a", now.Add(-3*time.Hour), time.Minute),
			blind("b", now.Add(-2*time.Hour), -1), blind("c", now.Add(-2*time.Hour), 0))))
	}
	want := names(listBlind(t, b, &consolev1.ListBlindIntervalsRequest{}))
	require.Len(t, want, 6)
	require.ElementsMatch(t, []string{"east/a", "west/a"}, want[4:], "newest first")
	for _, size := range []uint32{1, 2, 3} {
		require.Equal(t, want, names(listBlind(t, b, &consolev1.ListBlindIntervalsRequest{PageSize: size})), "page size %d", size)
	}
	require.Equal(t, []string{"west/c", "west/b", "west/a"}, names(listBlind(t, b, &consolev1.ListBlindIntervalsRequest{Cluster: "west"})))

	// Told again with an end, then by a resend without one; and both ways in one upload.
	require.NoError(t, east.upload(ctx, blinds(blind("b", now.Add(-2*time.Hour), time.Hour))))
	require.NoError(t, east.upload(ctx, blinds(blind("b", now.Add(-2*time.Hour), -1))))
	require.NoError(t, east.upload(ctx, blinds(blind("d", now.Add(-time.Hour), time.Minute), blind("d", now.Add(-time.Hour), -1))))
	rows := listBlind(t, b, &consolev1.ListBlindIntervalsRequest{Cluster: "east"})
	require.Equal(t, []string{"east/d", "east/c", "east/b", "east/a"}, names(rows))
	for _, r := range rows {
		require.NotNil(t, r.GetInterval().GetTo(), r.GetInterval().GetId())
		require.Equal(t, east.id, r.GetInstallation())
	}
	require.Equal(t, time.Hour, rows[2].GetInterval().GetTo().AsTime().Sub(rows[2].GetInterval().GetFrom().AsTime()))

	// Two clocks, and a workload that claims to be another cluster's.
	odd := blind("odd", now, 0)
	odd.To, odd.Workload = timestamppb.New(now.Add(-time.Second)), &trafficv1.Workload{Cluster: "west", Pod: "p"}
	require.NoError(t, east.upload(ctx, blinds(odd)))
	got := listBlind(t, b, &consolev1.ListBlindIntervalsRequest{PageSize: 100, Cluster: "east"})[0].GetInterval()
	require.Equal(t, got.GetFrom().AsTime(), got.GetTo().AsTime())
	require.Equal(t, "east", got.GetWorkload().GetCluster())

	for _, bad := range []*statusv1.BlindInterval{blind("", now, 0), blind("a\x00", now, 0), {Id: "x"},
		{Id: "x", From: &timestamppb.Timestamp{Seconds: 1 << 60}}, {Id: "x", From: timestamppb.Now(), To: &timestamppb.Timestamp{Nanos: -1}}} {
		requireCode(t, connect.CodeInvalidArgument, east.upload(ctx, blinds(blind("good", now, 0), bad)))
	}
	require.NotContains(t, names(listBlind(t, b, &consolev1.ListBlindIntervalsRequest{})), "east/good", "all or nothing")
	for _, token := range []string{"!", "eyJ0Ijo5MjIzMzcyMDM2ODU0Nzc1ODA3fQ"} {
		_, err := b.coverage.ListBlindIntervals(ctx, connect.NewRequest(&consolev1.ListBlindIntervalsRequest{PageToken: token}))
		requireCode(t, connect.CodeInvalidArgument, err)
	}
}

func TestBlindIntervalsOfInstallations(t *testing.T) {
	t.Parallel()
	h := start(t)
	ctx, b, c := t.Context(), h.signedIn(), h.register("east")
	now := time.Now()
	list := []*statusv1.BlindInterval{
		blind("old", now.Add(-26*time.Hour), time.Hour), blind("late", now.Add(-26*time.Hour), 3*time.Hour), blind("lasts", now.Add(-72*time.Hour), -1),
	}
	for i := range 120 {
		list = append(list, blind(fmt.Sprintf("i%03d", i), now.Add(-time.Duration(i)*time.Minute), time.Second))
	}
	require.NoError(t, c.upload(ctx, blinds(list...)))
	require.NoError(t, h.register("west").upload(ctx, blinds(list[0], list[1], list[2])))
	shown := listInstallations(t, b)
	require.Len(t, shown["east"].GetBlindIntervals(), 100)
	require.Equal(t, "i000", shown["east"].GetBlindIntervals()[0].GetId())
	ids := func(name string) (out []string) {
		for _, i := range shown[name].GetBlindIntervals() {
			out = append(out, i.GetId())
		}
		return out
	}
	require.Equal(t, []string{"late", "lasts"}, ids("west"), "those that last or ended within a day")

	// A cluster that registers again ends what it began.
	west := h.register("west")
	require.NoError(t, west.upload(ctx, blinds(blind("lasts", now.Add(-72*time.Hour), time.Hour))))
	shown = listInstallations(t, b)
	require.Equal(t, []string{"late"}, ids("west"))
	require.Len(t, listBlind(t, b, &consolev1.ListBlindIntervalsRequest{Cluster: "west"}), 3)
}

func TestBlindIntervalsAreKeptForAMonth(t *testing.T) {
	t.Parallel()
	h := start(t)
	ctx, b, east, west := t.Context(), h.signedIn(), h.register("east"), h.register("west")
	now := time.Now()
	for _, c := range []*cluster{east, west} {
		require.NoError(t, c.upload(ctx, blinds(blind("ended", now.Add(-time.Hour), 0), blind("lasts", now.Add(-time.Hour), -1))))
	}
	sweep := func(days int) []string {
		later := now.Add(time.Duration(days) * 24 * time.Hour)
		s := coverage.New(store.New(h.pool), slog.New(slog.DiscardHandler), func() time.Time { return later })
		require.NoError(t, s.Sweep(ctx))
		left := names(listBlind(t, b, &consolev1.ListBlindIntervalsRequest{}))
		slices.Sort(left)
		return left
	}
	require.Len(t, sweep(29), 4)
	require.Equal(t, []string{"east/lasts", "west/lasts"}, sweep(31))
	_, err := b.installations.RevokeInstallation(ctx, connect.NewRequest(&consolev1.RevokeInstallationRequest{Id: west.id}))
	require.NoError(t, err)
	require.Equal(t, []string{"east/lasts"}, sweep(31), "nobody can tell its end any more")
}

func covered(pod string, lost, exchangesLost uint64) *statusv1.Coverage {
	return &statusv1.Coverage{
		Workload: &trafficv1.Workload{Namespace: "shop", Pod: pod}, Mirrored: true, BytesSeen: 1, BytesLost: lost, ExchangesLost: exchangesLost,
	}
}

func TestCoverage(t *testing.T) {
	t.Parallel()
	h := start(t)
	ctx, b, east, west := t.Context(), h.signedIn(), h.register("east"), h.register("west")
	report := func(c *cluster, part, node string, list ...*statusv1.Coverage) {
		require.NoError(t, c.upload(ctx, &consolev1.UploadRequest{Statuses: []*statusv1.PartStatus{
			{Part: part, Instance: node, ReportedAt: timestamppb.New(noon), Coverage: list},
		}}))
	}
	list := func(req *consolev1.ListCoverageRequest) (out []string) {
		for {
			res, err := b.coverage.ListCoverage(ctx, connect.NewRequest(req))
			require.NoError(t, err)
			for _, r := range res.Msg.GetRows() {
				require.Equal(t, map[string]string{"east": east.id, "west": west.id}[r.GetCluster()], r.GetInstallation())
				require.Equal(t, noon, r.GetReportedAt().AsTime())
				out = append(out, fmt.Sprintf("%s/%s/%s", r.GetCluster(), r.GetNode(), r.GetCoverage().GetWorkload().GetPod()))
			}
			if res.Msg.GetNextPageToken() == "" {
				return out
			}
			require.Len(t, res.Msg.GetRows(), int(req.GetPageSize()))
			req.PageToken = res.Msg.GetNextPageToken()
		}
	}
	require.Empty(t, list(&consolev1.ListCoverageRequest{}))
	report(east, "agent", "n1", covered("a", 0, 0), covered("b", 1, 0), covered("c", 0, 0))
	report(east, "agent", "n2", covered("a", 0, 7), covered("a", 0, 8), covered("a", 0, 0))
	report(west, "agent", "n1", covered("z", 2, 2))
	report(west, "aggregator", "g1", covered("no", 9, 9))
	want := []string{"east/n1/b", "east/n2/a", "east/n2/a", "west/n1/z", "east/n1/a", "east/n1/c", "east/n2/a"}
	for _, size := range []uint32{0, 1, 2, 3, 7, 8} {
		require.Equal(t, want, list(&consolev1.ListCoverageRequest{PageSize: size}), "page size %d", size)
	}
	require.Equal(t, []string{"west/n1/z"}, list(&consolev1.ListCoverageRequest{Cluster: "west"}))
	report(east, "agent", "n1", covered("b", 0, 0))
	require.Equal(t, []string{"east/n2/a", "east/n2/a", "west/n1/z", "east/n1/b", "east/n2/a"}, list(&consolev1.ListCoverageRequest{}), "the latest counts")
	_, err := b.coverage.ListCoverage(ctx, connect.NewRequest(&consolev1.ListCoverageRequest{PageToken: "!"}))
	requireCode(t, connect.CodeInvalidArgument, err)
}
