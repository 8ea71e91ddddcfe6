package inventory

import (
	"context"
	"log/slog"
	"strings"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"github.com/sidelight/sidelight/console/genconnect/sidelight/console/v1/consolev1connect"
	"github.com/sidelight/sidelight/console/internal/caller"
	"github.com/sidelight/sidelight/console/internal/edge"
	"github.com/sidelight/sidelight/console/internal/page"
	"github.com/sidelight/sidelight/console/internal/store"
	"github.com/sidelight/sidelight/console/internal/store/dbsqlc"
	consolev1 "github.com/sidelight/sidelight/proto/gen/sidelight/console/v1"
	inventoryv1 "github.com/sidelight/sidelight/proto/gen/sidelight/inventory/v1"
)

const defaultPage = 100

// Service answers EndpointService.
type Service struct {
	store *store.Store
	log   *slog.Logger
}

var _ consolev1connect.EndpointServiceHandler = (*Service)(nil)

// New makes the service.
func New(s *store.Store, log *slog.Logger) *Service { return &Service{store: s, log: log} }

// key is where a page of endpoints ended.
type key struct {
	Service string `json:"s"`
	Host    string `json:"h"`
	Path    string `json:"p"`
	Method  string `json:"m"`
	Cluster string `json:"c"`
	ID      string `json:"i"`
}

// ListEndpoints gives a page in the order of service, host, path and method, archived ones left out.
func (s *Service) ListEndpoints(ctx context.Context, req *connect.Request[consolev1.ListEndpointsRequest]) (*connect.Response[consolev1.ListEndpointsResponse], error) {
	p, ok := caller.PersonOf(ctx)
	if !ok {
		return nil, edge.Nobody()
	}
	params, err := listParams(p.Org, req.Msg)
	if err != nil {
		return nil, edge.Invalid(err)
	}
	rows, err := s.store.Q().ListEndpoints(ctx, params)
	if err != nil {
		return nil, edge.Failure(ctx, s.log, "reading endpoints", err)
	}
	total, err := s.store.Q().CountEndpoints(ctx, dbsqlc.CountEndpointsParams{
		OrgID: p.Org, Cluster: params.Cluster, Service: params.Service, Host: params.Host,
	})
	if err != nil {
		return nil, edge.Failure(ctx, s.log, "counting endpoints", err)
	}
	out := &consolev1.ListEndpointsResponse{Total: uint64(max(total, 0))}
	for _, row := range rows {
		e := &inventoryv1.Endpoint{}
		if err := proto.Unmarshal(row.Body, e); err != nil {
			return nil, edge.Failure(ctx, s.log, "decoding an endpoint", err)
		}
		out.Endpoints = append(out.Endpoints, e)
	}
	if n := len(rows); n > 0 && n == int(params.PageSize) {
		l := rows[n-1]
		out.NextPageToken = page.Token(key{l.Service, l.Host, l.Path, l.Method, l.Cluster, l.EndpointID})
	}
	return connect.NewResponse(out), nil
}

func listParams(org int64, m *consolev1.ListEndpointsRequest) (dbsqlc.ListEndpointsParams, error) {
	out := dbsqlc.ListEndpointsParams{
		OrgID:    org,
		Cluster:  store.Filter(m.GetCluster(), store.ClusterWidth),
		Service:  store.Filter(m.GetService(), store.NameWidth),
		Host:     store.Filter(m.GetHost(), store.NameWidth),
		PageSize: page.Size(m.GetPageSize(), defaultPage),
	}
	var k key
	there, err := page.Parse(m.GetPageToken(), &k)
	if err != nil {
		return out, err
	}
	if strings.Contains(k.Service+k.Host+k.Path+k.Method+k.Cluster+k.ID, "\x00") {
		return out, page.ErrToken
	}
	out.Paged = there
	out.AfterService, out.AfterHost, out.AfterPath = k.Service, k.Host, k.Path
	out.AfterMethod, out.AfterCluster, out.AfterID = k.Method, k.Cluster, k.ID
	return out, nil
}

// GetEndpoint gives one endpoint, archived or not.
func (s *Service) GetEndpoint(ctx context.Context, req *connect.Request[consolev1.GetEndpointRequest]) (*connect.Response[consolev1.GetEndpointResponse], error) {
	p, ok := caller.PersonOf(ctx)
	if !ok {
		return nil, edge.Nobody()
	}
	body, err := s.store.Q().GetEndpoint(ctx, dbsqlc.GetEndpointParams{
		OrgID:      p.Org,
		Cluster:    store.Text(req.Msg.GetCluster(), store.ClusterWidth),
		EndpointID: store.Text(req.Msg.GetId(), store.IDWidth),
	})
	if err != nil {
		return nil, edge.Failure(ctx, s.log, "reading an endpoint", err)
	}
	e := &inventoryv1.Endpoint{}
	if err := proto.Unmarshal(body, e); err != nil {
		return nil, edge.Failure(ctx, s.log, "decoding an endpoint", err)
	}
	return connect.NewResponse(&consolev1.GetEndpointResponse{Endpoint: e}), nil
}
