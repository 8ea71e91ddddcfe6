package openapi

import (
	"cmp"
	"slices"
	"strings"

	inventoryv1 "github.com/sidelight/sidelight/proto/gen/sidelight/inventory/v1"
)

var places = map[inventoryv1.Location]string{
	inventoryv1.Location_LOCATION_PATH: "path", inventoryv1.Location_LOCATION_QUERY: "query",
	inventoryv1.Location_LOCATION_HEADER: "header", inventoryv1.Location_LOCATION_COOKIE: "cookie",
}

// parameters of the head: path parameters in the order of the path, then the others by place and name.
func parameters(e *inventoryv1.Endpoint) []parameter {
	var list []parameter
	known := map[string]*inventoryv1.EndpointParameter{}
	for _, p := range e.GetParameters() {
		switch place := places[p.GetLocation()]; place {
		case "path":
			known[p.GetName()] = p
		case "":
		default:
			list = append(list, parameter{p.GetName(), place, p.GetRequired(), leaf(p)})
		}
	}
	slices.SortFunc(list, func(a, b parameter) int {
		return cmp.Or(cmp.Compare(placeOrder[a.In], placeOrder[b.In]), cmp.Compare(a.Name, b.Name))
	})
	var head []parameter
	for segment := range strings.SplitSeq(e.GetPathTemplate(), "/") {
		name, ok := strings.CutPrefix(segment, "{")
		if !ok {
			continue
		}
		// A document whose path has a parameter that is not described is not valid.
		name = strings.TrimSuffix(name, "}")
		head = append(head, parameter{name, "path", true, leaf(known[name])})
	}
	return append(head, list...)
}

var placeOrder = map[string]int{"query": 0, "header": 1, "cookie": 2}

// body describes what the request carries, by content type.
func body(e *inventoryv1.Endpoint) *requestBody {
	content := map[string]mediaType{}
	required := false
	for _, kind := range []struct {
		location inventoryv1.Location
		fallback string
		is       func(string) bool
	}{
		{inventoryv1.Location_LOCATION_JSON, "application/json", func(s string) bool { return strings.HasSuffix(s, "json") }},
		{inventoryv1.Location_LOCATION_FORM, "application/x-www-form-urlencoded", func(s string) bool { return strings.HasSuffix(s, "x-www-form-urlencoded") }},
		{inventoryv1.Location_LOCATION_MULTIPART, "multipart/form-data", func(s string) bool { return strings.HasPrefix(s, "multipart/") }},
		{inventoryv1.Location_LOCATION_XML, "application/xml", func(s string) bool { return strings.HasSuffix(s, "xml") }},
	} {
		tree := newTree(kind.location)
		for _, p := range e.GetParameters() {
			if p.GetLocation() == kind.location {
				tree.add(p)
				required = required || p.GetRequired()
			}
		}
		if tree.empty() {
			continue
		}
		types := slices.DeleteFunc(slices.Clone(e.GetRequestContentTypes()), func(s string) bool { return !kind.is(s) })
		if len(types) == 0 {
			types = []string{kind.fallback}
		}
		for _, contentType := range types {
			content[contentType] = mediaType{tree.schema()}
		}
	}
	for _, contentType := range e.GetRequestContentTypes() {
		if _, there := content[contentType]; !there {
			content[contentType] = mediaType{}
		}
	}
	if len(content) == 0 {
		return nil
	}
	return &requestBody{required, content}
}
