package store

import (
	"math"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/sidelight/sidelight/apidiscovery/internal/inventory"
	"github.com/sidelight/sidelight/apidiscovery/internal/schema"
	"github.com/sidelight/sidelight/apidiscovery/internal/store/dbsqlc"
	inventoryv1 "github.com/sidelight/sidelight/proto/gen/sidelight/inventory/v1"
)

func endpointRows(deltas []inventory.EndpointDelta, now time.Time, countersEvery time.Duration) []dbsqlc.StageEndpointsParams {
	rows := make([]dbsqlc.StageEndpointsParams, 0, len(deltas))
	for _, d := range deltas {
		due := now
		if !d.Structural {
			due = now.Add(countersEvery)
		}
		rows = append(rows, dbsqlc.StageEndpointsParams{
			Cluster: d.Cluster, ID: d.ID, Service: d.Service, Host: d.Host, Method: d.Method, PathTemplate: d.Template, Protocol: int16(d.Protocol),
			RequestCount: signed(d.Requests), Status1xx: signed(d.Classes[0]), Status2xx: signed(d.Classes[1]), Status3xx: signed(d.Classes[2]),
			Status4xx: signed(d.Classes[3]), Status5xx: signed(d.Classes[4]), AttackCount: signed(d.Attacks), WholeCount: signed(d.Whole),
			AuthSchemes: int32(d.Auth), RequestContentTypes: notNil(d.RequestTypes), ResponseContentTypes: notNil(d.ResponseTypes),
			FirstSeen: d.FirstSeen, LastSeen: d.LastSeen, PushDue: due,
		})
	}
	return rows
}

func parameterRows(deltas []inventory.ParameterDelta) []dbsqlc.StageParametersParams {
	rows := make([]dbsqlc.StageParametersParams, 0, len(deltas))
	for _, d := range deltas {
		rows = append(rows, dbsqlc.StageParametersParams{
			Cluster: d.Cluster, EndpointID: d.Endpoint, Location: int16(d.Location), Name: d.Name, Types: int32(d.Types), Classes: notNil(d.Classes),
			SeenCount: signed(d.Seen), FirstSeen: d.FirstSeen, LastSeen: d.LastSeen,
		})
	}
	return rows
}

// notNil: a nil slice is NULL to the driver.
func notNil(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

func signed(n uint64) int64 { return int64(min(n, math.MaxInt64)) }

// rowID is an endpoint's primary key.
type rowID struct{ cluster, id string }

func parameterOf(p dbsqlc.Parameter) (schema.Key, schema.Parameter) {
	return schema.Key{Location: inventoryv1.Location(p.Location), Name: p.Name}, schema.Parameter{
		Types: schema.Types(p.Types), Classes: p.Classes, Seen: uint64(p.SeenCount), FirstSeen: p.FirstSeen, LastSeen: p.LastSeen,
	}
}

func identityOf(e dbsqlc.Endpoint) inventory.Identity {
	return inventory.Identity{
		Cluster: e.Cluster, Service: e.Service, Host: e.Host, Method: e.Method, Template: e.PathTemplate, Protocol: inventoryv1.Protocol(e.Protocol),
	}
}

// protoOf gives an endpoint without its parameters.
func protoOf(e dbsqlc.Endpoint) *inventoryv1.Endpoint {
	out := &inventoryv1.Endpoint{
		Id: e.ID, Cluster: e.Cluster, Service: e.Service, Host: e.Host, Method: e.Method, PathTemplate: e.PathTemplate,
		Protocol: inventoryv1.Protocol(e.Protocol), RequestCount: uint64(e.RequestCount),
		StatusClasses: []uint64{uint64(e.Status1xx), uint64(e.Status2xx), uint64(e.Status3xx), uint64(e.Status4xx), uint64(e.Status5xx)},
		FirstSeen:     timestamppb.New(e.FirstSeen), LastSeen: timestamppb.New(e.LastSeen), Version: uint64(e.Version), AliasOf: e.AliasOf,
		RequestContentTypes: e.RequestContentTypes, ResponseContentTypes: e.ResponseContentTypes,
	}
	for scheme := inventoryv1.AuthScheme_AUTH_SCHEME_NONE; scheme < 32; scheme++ {
		if uint32(e.AuthSchemes)&(1<<scheme) != 0 {
			out.AuthSchemes = append(out.AuthSchemes, scheme)
		}
	}
	return out
}
