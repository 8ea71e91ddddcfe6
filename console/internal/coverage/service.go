package coverage

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"github.com/sidelight/sidelight/console/genconnect/sidelight/console/v1/consolev1connect"
	"github.com/sidelight/sidelight/console/internal/caller"
	"github.com/sidelight/sidelight/console/internal/edge"
	"github.com/sidelight/sidelight/console/internal/page"
	"github.com/sidelight/sidelight/console/internal/store"
	"github.com/sidelight/sidelight/console/internal/store/dbsqlc"
	consolev1 "github.com/sidelight/sidelight/proto/gen/sidelight/console/v1"
	statusv1 "github.com/sidelight/sidelight/proto/gen/sidelight/status/v1"
)

const (
	defaultRows      = 200
	defaultIntervals = 100
	mostRows         = 1000
)

// Service answers CoverageService.
type Service struct {
	store *store.Store
	log   *slog.Logger
	now   func() time.Time
}

var _ consolev1connect.CoverageServiceHandler = (*Service)(nil)

// New makes the service.
func New(s *store.Store, log *slog.Logger, now func() time.Time) *Service {
	return &Service{store: s, log: log, now: now}
}

// intervalKey is where a page of intervals ended. Microseconds are what Postgres keeps.
type intervalKey struct {
	Micros       int64  `json:"t"`
	Installation string `json:"n"`
	ID           string `json:"i"`
}

// Times that a protobuf time can say, in microseconds: the years 1 to 9999.
const (
	minMicros = -62135596800000000
	maxMicros = 253402300799999999
)

// ListBlindIntervals gives a page, newest first.
func (s *Service) ListBlindIntervals(ctx context.Context, req *connect.Request[consolev1.ListBlindIntervalsRequest]) (*connect.Response[consolev1.ListBlindIntervalsResponse], error) {
	p, ok := caller.PersonOf(ctx)
	if !ok {
		return nil, edge.Nobody()
	}
	params, err := intervalParams(p.Org, req.Msg)
	if err != nil {
		return nil, edge.Invalid(err)
	}
	rows, err := s.store.Q().ListBlindIntervals(ctx, params)
	if err != nil {
		return nil, edge.Failure(ctx, s.log, "reading blind intervals", err)
	}
	out := &consolev1.ListBlindIntervalsResponse{}
	for _, row := range rows {
		b := &statusv1.BlindInterval{}
		if err := proto.Unmarshal(row.Body, b); err != nil {
			return nil, edge.Failure(ctx, s.log, "decoding a blind interval", err)
		}
		out.Rows = append(out.Rows, &consolev1.BlindIntervalRow{Installation: row.InstallationID, Cluster: row.Cluster, Interval: b})
	}
	if n := len(rows); n > 0 && n == int(params.PageSize) {
		last := rows[n-1]
		out.NextPageToken = page.Token(intervalKey{last.FromAt.UnixMicro(), last.InstallationID, last.IntervalID})
	}
	return connect.NewResponse(out), nil
}

func intervalParams(org int64, m *consolev1.ListBlindIntervalsRequest) (dbsqlc.ListBlindIntervalsParams, error) {
	out := dbsqlc.ListBlindIntervalsParams{
		OrgID: org, Cluster: store.Filter(m.GetCluster(), store.ClusterWidth),
		PageSize: page.Bounded(m.GetPageSize(), defaultIntervals, mostRows),
	}
	var k intervalKey
	there, err := page.Parse(m.GetPageToken(), &k)
	if err != nil || !there {
		return out, err
	}
	if k.Micros < minMicros || k.Micros > maxMicros || strings.Contains(k.Installation+k.ID, "\x00") {
		return out, page.ErrToken
	}
	t := time.UnixMicro(k.Micros).UTC()
	out.Before, out.BeforeInstallation, out.BeforeID = &t, k.Installation, k.ID
	return out, nil
}

// Sweep forgets intervals that ended long ago.
func (s *Service) Sweep(ctx context.Context) error {
	if _, err := s.store.Q().DeleteOldBlindIntervals(ctx, s.now().Add(-keep)); err != nil {
		return fmt.Errorf("deleting old blind intervals: %w", err)
	}
	return nil
}
