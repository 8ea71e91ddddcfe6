package attacks

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
	"github.com/sidelight/sidelight/console/internal/changes"
	"github.com/sidelight/sidelight/console/internal/edge"
	"github.com/sidelight/sidelight/console/internal/page"
	"github.com/sidelight/sidelight/console/internal/store"
	"github.com/sidelight/sidelight/console/internal/store/dbsqlc"
	consolev1 "github.com/sidelight/sidelight/proto/gen/sidelight/console/v1"
	detectionv1 "github.com/sidelight/sidelight/proto/gen/sidelight/detection/v1"
)

const (
	defaultPage = 50
	maxTypes    = 100
)

// Service answers AttackService.
type Service struct {
	store *store.Store
	hub   *changes.Hub
	log   *slog.Logger
}

var _ consolev1connect.AttackServiceHandler = (*Service)(nil)

// New makes the service.
func New(s *store.Store, hub *changes.Hub, log *slog.Logger) *Service {
	return &Service{store: s, hub: hub, log: log}
}

// key is where a page of attacks ended. Microseconds are what Postgres keeps.
type key struct {
	Micros  int64  `json:"t"`
	Cluster string `json:"c"`
	ID      string `json:"i"`
}

// ListAttacks gives a page, newest first.
func (s *Service) ListAttacks(ctx context.Context, req *connect.Request[consolev1.ListAttacksRequest]) (*connect.Response[consolev1.ListAttacksResponse], error) {
	p, ok := caller.PersonOf(ctx)
	if !ok {
		return nil, edge.Nobody()
	}
	params, err := listParams(p.Org, req.Msg)
	if err != nil {
		return nil, edge.Invalid(err)
	}
	rows, err := s.store.Q().ListAttacks(ctx, params)
	if err != nil {
		return nil, edge.Failure(ctx, s.log, "reading attacks", err)
	}
	total, err := s.store.Q().CountAttacks(ctx, dbsqlc.CountAttacksParams{
		OrgID: p.Org, Cluster: params.Cluster, Types: params.Types, Since: params.Since,
	})
	if err != nil {
		return nil, edge.Failure(ctx, s.log, "counting attacks", err)
	}
	out := &consolev1.ListAttacksResponse{Total: uint64(max(total, 0))}
	for _, row := range rows {
		a := &detectionv1.Attack{}
		if err := proto.Unmarshal(row.Body, a); err != nil {
			return nil, edge.Failure(ctx, s.log, "decoding an attack", err)
		}
		out.Attacks = append(out.Attacks, a)
	}
	if n := len(rows); n > 0 && n == int(params.PageSize) {
		last := rows[n-1]
		out.NextPageToken = page.Token(key{Micros: last.LastSeen.UnixMicro(), Cluster: last.Cluster, ID: last.AttackID})
	}
	return connect.NewResponse(out), nil
}

func listParams(org int64, m *consolev1.ListAttacksRequest) (dbsqlc.ListAttacksParams, error) {
	out := dbsqlc.ListAttacksParams{
		OrgID: org, Cluster: store.Filter(m.GetCluster(), store.ClusterWidth), PageSize: page.Size(m.GetPageSize(), defaultPage),
	}
	if len(m.GetTypes()) > maxTypes {
		return out, fmt.Errorf("at most %d types in one filter", maxTypes)
	}
	for _, t := range m.GetTypes() {
		out.Types = append(out.Types, store.Text(t, store.WordWidth))
	}
	if m.GetSince() != nil {
		if err := m.GetSince().CheckValid(); err != nil {
			return out, fmt.Errorf("since is no time: %w", err)
		}
		t := m.GetSince().AsTime()
		out.Since = &t
	}
	var k key
	there, err := page.Parse(m.GetPageToken(), &k)
	if err != nil {
		return out, err
	}
	if there {
		if k.Micros < 0 || k.Micros > maxMicros || strings.Contains(k.Cluster+k.ID, "\x00") {
			return out, page.ErrToken
		}
		t := time.UnixMicro(k.Micros).UTC()
		out.Before, out.BeforeCluster, out.BeforeID = &t, k.Cluster, k.ID
	}
	return out, nil
}

// maxMicros is the end of the year 9999, the last that a protobuf time can say.
const maxMicros = 253402300799999999

// maxMerges bounds the walk from an attack to the one that it is part of now; a merge of many steps is none that a journal made.
const maxMerges = 16

// GetAttack gives one attack with its samples: that which it went into, if it was merged.
func (s *Service) GetAttack(ctx context.Context, req *connect.Request[consolev1.GetAttackRequest]) (*connect.Response[consolev1.GetAttackResponse], error) {
	p, ok := caller.PersonOf(ctx)
	if !ok {
		return nil, edge.Nobody()
	}
	key := dbsqlc.GetAttackParams{
		OrgID:    p.Org,
		Cluster:  store.Text(req.Msg.GetCluster(), store.ClusterWidth),
		AttackID: store.Text(req.Msg.GetId(), store.IDWidth),
	}
	row, err := s.store.Q().GetAttack(ctx, key)
	for range maxMerges {
		if err != nil || row.MergedInto == "" {
			break
		}
		key.AttackID = row.MergedInto
		var next dbsqlc.GetAttackRow
		if next, err = s.store.Q().GetAttack(ctx, key); store.Missing(err) {
			// Its upload is still to come: what there is says where to look.
			err = nil
			break
		}
		row = next
	}
	if err != nil {
		return nil, edge.Failure(ctx, s.log, "reading an attack", err)
	}
	a := &detectionv1.Attack{}
	for _, part := range [][]byte{row.Body, row.Samples} {
		if err := (proto.UnmarshalOptions{Merge: true}).Unmarshal(part, a); err != nil {
			return nil, edge.Failure(ctx, s.log, "decoding an attack", err)
		}
	}
	return connect.NewResponse(&consolev1.GetAttackResponse{Attack: a}), nil
}
