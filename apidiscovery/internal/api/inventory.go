package api

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	apidiscoveryv1 "github.com/sidelight/sidelight/proto/gen/sidelight/apidiscovery/v1"
	inventoryv1 "github.com/sidelight/sidelight/proto/gen/sidelight/inventory/v1"

	"github.com/sidelight/sidelight/apidiscovery/internal/openapi"
	"github.com/sidelight/sidelight/apidiscovery/internal/store"
	"github.com/sidelight/sidelight/internal/logkey"
)

// reader is the stored inventory.
type reader interface {
	List(ctx context.Context, f store.Filter, after store.Cursor, most int32) ([]*inventoryv1.Endpoint, error)
	Get(ctx context.Context, cluster, id string) (*inventoryv1.Endpoint, error)
}

var _ reader = (*store.Store)(nil)

// Inventory serves InventoryService from the database: what a flush brought there.
type Inventory struct {
	apidiscoveryv1.UnimplementedInventoryServiceServer
	// reader gives nil and the reason while Postgres was not reached yet.
	reader func() (reader, error)
	log    *slog.Logger
}

// NewInventory makes the service; `current` gives the store, or says why there is none yet.
func NewInventory(current func() (*store.Store, error), log *slog.Logger) *Inventory {
	return &Inventory{log: log, reader: func() (reader, error) { return current() }}
}

const (
	defaultPage = 100
	largestPage = 1000
	// mostExported bounds one document.
	mostExported = 10_000
)

// ListEndpoints gives a page.
func (s *Inventory) ListEndpoints(ctx context.Context, r *apidiscoveryv1.ListEndpointsRequest) (*apidiscoveryv1.ListEndpointsResponse, error) {
	size := int32(min(r.GetPageSize(), largestPage))
	if size == 0 {
		size = defaultPage
	}
	after, err := parseToken(r.GetPageToken())
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, "page_token is not one that this service gave")
	}
	list, err := s.list(ctx, store.Filter{Cluster: r.GetCluster(), Service: r.GetService(), Host: r.GetHost()}, after, size)
	if err != nil {
		return nil, err
	}
	response := &apidiscoveryv1.ListEndpointsResponse{Endpoints: list}
	if len(list) == int(size) {
		response.NextPageToken = token(list[len(list)-1])
	}
	return response, nil
}

// GetEndpoint gives one endpoint.
func (s *Inventory) GetEndpoint(ctx context.Context, r *apidiscoveryv1.GetEndpointRequest) (*apidiscoveryv1.GetEndpointResponse, error) {
	if strings.ContainsRune(r.GetCluster()+r.GetId(), 0) {
		return nil, status.Error(codes.NotFound, store.ErrNotFound.Error())
	}
	from, err := s.reader()
	if err != nil {
		return nil, status.Error(codes.Unavailable, err.Error())
	}
	e, err := from.Get(ctx, r.GetCluster(), r.GetId())
	if errors.Is(err, store.ErrNotFound) {
		return nil, status.Error(codes.NotFound, err.Error())
	}
	if err != nil {
		return nil, s.failed(ctx, err)
	}
	return &apidiscoveryv1.GetEndpointResponse{Endpoint: e}, nil
}

// ExportOpenAPI gives a document of all endpoints that the filter picks.
func (s *Inventory) ExportOpenAPI(ctx context.Context, r *apidiscoveryv1.ExportOpenAPIRequest) (*apidiscoveryv1.ExportOpenAPIResponse, error) {
	filter := store.Filter{Cluster: r.GetCluster(), Service: r.GetService(), Host: r.GetHost()}
	var all []*inventoryv1.Endpoint
	var after store.Cursor
	for {
		list, err := s.list(ctx, filter, after, largestPage)
		if err != nil {
			return nil, err
		}
		all = append(all, list...)
		if len(all) > mostExported {
			return nil, status.Errorf(codes.ResourceExhausted, "more than %d endpoints: export one service at a time", mostExported)
		}
		if len(list) < largestPage {
			break
		}
		after = cursor(list[len(list)-1])
	}
	document, err := openapi.Document(title(filter), all)
	if err != nil {
		return nil, s.failed(ctx, err)
	}
	return &apidiscoveryv1.ExportOpenAPIResponse{Document: document}, nil
}

func title(f store.Filter) string {
	switch {
	case f.Service != "":
		return f.Service
	case f.Host != "":
		return f.Host
	}
	return "All services"
}

func (s *Inventory) list(ctx context.Context, f store.Filter, after store.Cursor, size int32) ([]*inventoryv1.Endpoint, error) {
	if strings.ContainsRune(f.Cluster+f.Service+f.Host, 0) {
		return nil, status.Error(codes.InvalidArgument, "no name has a NUL in it")
	}
	from, err := s.reader()
	if err != nil {
		return nil, status.Error(codes.Unavailable, err.Error())
	}
	list, err := from.List(ctx, f, after, size)
	if err != nil {
		return nil, s.failed(ctx, err)
	}
	return list, nil
}

// failed keeps the database's words in the log.
func (s *Inventory) failed(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return status.FromContextError(ctx.Err()).Err()
	}
	s.log.Error("a read failed", logkey.Error, err)
	return status.Error(codes.Unavailable, "the inventory cannot be read now, see apidiscovery's log")
}

func cursor(e *inventoryv1.Endpoint) store.Cursor {
	return store.Cursor{
		Cluster: e.GetCluster(), Service: e.GetService(), Host: e.GetHost(), Path: e.GetPathTemplate(), Method: e.GetMethod(), ID: e.GetId(),
	}
}

func token(e *inventoryv1.Endpoint) string {
	// Six texts always encode.
	text, _ := json.Marshal(cursor(e))
	return base64.RawURLEncoding.EncodeToString(text)
}

func parseToken(text string) (c store.Cursor, err error) {
	if text == "" {
		return c, nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return c, err
	}
	if err := json.Unmarshal(raw, &c); err != nil {
		return c, err
	}
	if strings.ContainsRune(c.Cluster+c.Service+c.Host+c.Path+c.Method+c.ID, 0) {
		return c, errors.New("NUL in a page token")
	}
	return c, nil
}
