package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sidelight/sidelight/apidiscovery/internal/inventory"
	"github.com/sidelight/sidelight/apidiscovery/internal/schema"
	"github.com/sidelight/sidelight/apidiscovery/internal/store/dbsqlc"
	"github.com/sidelight/sidelight/apidiscovery/internal/template"
	inventoryv1 "github.com/sidelight/sidelight/proto/gen/sidelight/inventory/v1"
)

// ErrNotFound says that there is no such endpoint.
var ErrNotFound = errors.New("no such endpoint")

// Filter picks endpoints; empty fields pick all.
type Filter struct{ Cluster, Service, Host string }

// Cursor is where a page ended.
type Cursor struct {
	Cluster string `json:"c"`
	Service string `json:"s"`
	Host    string `json:"h"`
	Path    string `json:"p"`
	Method  string `json:"m"`
	ID      string `json:"i"`
}

// List gives up to `most` endpoints after the cursor, in the order of cluster, service, host, path and method. Aliases are
// left out.
func (s *Store) List(ctx context.Context, f Filter, after Cursor, most int32) ([]*inventoryv1.Endpoint, error) {
	rows, err := s.q().ListEndpoints(ctx, dbsqlc.ListEndpointsParams{
		Cluster: f.Cluster, Service: f.Service, Host: f.Host, PageSize: most, AfterCluster: after.Cluster, AfterService: after.Service,
		AfterHost: after.Host, AfterPath: after.Path, AfterMethod: after.Method, AfterID: after.ID,
	})
	if err != nil {
		return nil, fmt.Errorf("reading endpoints: %w", err)
	}
	return s.withParameters(ctx, rows)
}

// Get gives one endpoint, an alias too.
func (s *Store) Get(ctx context.Context, cluster, id string) (*inventoryv1.Endpoint, error) {
	row, err := s.q().GetEndpoint(ctx, dbsqlc.GetEndpointParams{Cluster: cluster, ID: id})
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("reading an endpoint: %w", err)
	}
	list, err := s.withParameters(ctx, []dbsqlc.Endpoint{row})
	if err != nil {
		return nil, err
	}
	return list[0], nil
}

// Due gives endpoints whose newest version is to be pushed.
func (s *Store) Due(ctx context.Context, now time.Time, most int32) ([]*inventoryv1.Endpoint, error) {
	rows, err := s.q().DueForPush(ctx, dbsqlc.DueForPushParams{Now: now, Most: most})
	if err != nil {
		return nil, fmt.Errorf("reading what is to be pushed: %w", err)
	}
	return s.withParameters(ctx, rows)
}

// Pushed notes that these versions were taken.
func (s *Store) Pushed(ctx context.Context, endpoints []*inventoryv1.Endpoint) error {
	var p dbsqlc.MarkPushedParams
	for _, e := range endpoints {
		p.Clusters, p.Ids, p.Versions = append(p.Clusters, e.GetCluster()), append(p.Ids, e.GetId()), append(p.Versions, int64(e.GetVersion()))
	}
	if err := s.q().MarkPushed(ctx, p); err != nil {
		return fmt.Errorf("noting what was pushed: %w", err)
	}
	return nil
}

func (s *Store) withParameters(ctx context.Context, rows []dbsqlc.Endpoint) ([]*inventoryv1.Endpoint, error) {
	if len(rows) == 0 {
		return nil, nil
	}
	list := make([]*inventoryv1.Endpoint, 0, len(rows))
	at := map[rowID]*inventoryv1.Endpoint{}
	whole := map[rowID]uint64{}
	for _, row := range rows {
		id := rowID{row.Cluster, row.ID}
		at[id], whole[id] = protoOf(row), uint64(row.WholeCount)
		list = append(list, at[id])
	}
	err := s.eachParameter(ctx, rows, func(id rowID, key schema.Key, p schema.Parameter) {
		e := at[id]
		// A template's parameter may have had another name before more was known.
		if key.Location == inventoryv1.Location_LOCATION_PATH && !slices.Contains(template.Names(e.GetPathTemplate()), key.Name) {
			return
		}
		e.Parameters = append(e.Parameters, p.Proto(key, whole[id]))
	})
	return list, err
}

func (s *Store) eachParameter(ctx context.Context, rows []dbsqlc.Endpoint, visit func(rowID, schema.Key, schema.Parameter)) error {
	var of dbsqlc.ParametersOfParams
	for _, row := range rows {
		of.Clusters, of.Ids = append(of.Clusters, row.Cluster), append(of.Ids, row.ID)
	}
	parameters, err := s.q().ParametersOf(ctx, of)
	if err != nil {
		return fmt.Errorf("reading parameters: %w", err)
	}
	for _, row := range parameters {
		key, p := parameterOf(row)
		visit(rowID{row.Cluster, row.EndpointID}, key, p)
	}
	return nil
}

// page of a load.
const page = 1000

// Load gives all endpoints, aliases left out.
func (s *Store) Load(ctx context.Context) ([]inventory.Stored, error) {
	var all []inventory.Stored
	var after Cursor
	for {
		rows, err := s.q().ListEndpoints(ctx, dbsqlc.ListEndpointsParams{
			PageSize: page, AfterCluster: after.Cluster, AfterService: after.Service, AfterHost: after.Host, AfterPath: after.Path,
			AfterMethod: after.Method, AfterID: after.ID,
		})
		if err != nil {
			return nil, fmt.Errorf("loading endpoints: %w", err)
		}
		at := map[rowID]map[schema.Key]schema.Parameter{}
		for _, row := range rows {
			parameters := map[schema.Key]schema.Parameter{}
			at[rowID{row.Cluster, row.ID}] = parameters
			all = append(all, inventory.Stored{
				ID: row.ID, Identity: identityOf(row), Whole: uint64(row.WholeCount), Auth: uint32(row.AuthSchemes),
				RequestTypes: row.RequestContentTypes, ResponseTypes: row.ResponseContentTypes, Parameters: parameters,
			})
		}
		if err := s.eachParameter(ctx, rows, func(id rowID, key schema.Key, p schema.Parameter) { at[id][key] = p }); err != nil {
			return nil, err
		}
		if len(rows) < page {
			return all, nil
		}
		last := rows[len(rows)-1]
		after = Cursor{last.Cluster, last.Service, last.Host, last.PathTemplate, last.Method, last.ID}
	}
}
