package openapi

import (
	"slices"

	"google.golang.org/protobuf/proto"

	inventoryv1 "github.com/sidelight/sidelight/proto/gen/sidelight/inventory/v1"
)

// unite gives what two endpoints say together; what one of them does without is not required.
func unite(a, b *inventoryv1.Endpoint) *inventoryv1.Endpoint {
	out := proto.CloneOf(a)
	for i, n := range b.GetStatusClasses() {
		if i < len(out.StatusClasses) {
			out.StatusClasses[i] += n
		}
	}
	out.AuthSchemes = union(a.GetAuthSchemes(), b.GetAuthSchemes())
	out.RequestContentTypes = union(a.GetRequestContentTypes(), b.GetRequestContentTypes())
	out.ResponseContentTypes = union(a.GetResponseContentTypes(), b.GetResponseContentTypes())
	for _, p := range out.Parameters {
		other := find(b, p)
		p.Required = p.Required && other.GetRequired()
		p.Types = union(p.GetTypes(), other.GetTypes())
		p.Classes = union(p.GetClasses(), other.GetClasses())
	}
	for _, p := range b.GetParameters() {
		if find(a, p) == nil {
			extra := proto.CloneOf(p)
			extra.Required = false
			out.Parameters = append(out.Parameters, extra)
		}
	}
	return out
}

func find(e *inventoryv1.Endpoint, like *inventoryv1.EndpointParameter) *inventoryv1.EndpointParameter {
	for _, p := range e.GetParameters() {
		if p.GetLocation() == like.GetLocation() && p.GetName() == like.GetName() {
			return p
		}
	}
	return nil
}

func union[T interface{ ~int32 | ~string }](a, b []T) []T {
	all := slices.Concat(a, b)
	slices.Sort(all)
	return slices.Compact(all)
}
