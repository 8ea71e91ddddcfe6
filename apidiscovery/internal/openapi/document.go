// Package openapi writes endpoints as an OpenAPI 3.1 document. Its paths are the route table that was seen; responses are
// known by status and content type alone, since bodies of responses are never mirrored.
package openapi

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	inventoryv1 "github.com/sidelight/sidelight/proto/gen/sidelight/inventory/v1"
)

type document struct {
	OpenAPI    string              `json:"openapi"`
	Info       info                `json:"info"`
	Servers    []server            `json:"servers,omitempty"`
	Paths      map[string]pathItem `json:"paths"`
	Components *components         `json:"components,omitempty"`
}

type info struct {
	Title       string `json:"title"`
	Version     string `json:"version"`
	Description string `json:"description"`
}

type server struct {
	URL string `json:"url"`
}

type pathItem map[string]*operation

type operation struct {
	OperationID string                `json:"operationId"`
	Parameters  []parameter           `json:"parameters,omitempty"`
	RequestBody *requestBody          `json:"requestBody,omitempty"`
	Responses   map[string]response   `json:"responses"`
	Security    []map[string][]string `json:"security,omitempty"`
}

type parameter struct {
	Name     string  `json:"name"`
	In       string  `json:"in"`
	Required bool    `json:"required"`
	Schema   *schema `json:"schema"`
}

type requestBody struct {
	Required bool                 `json:"required"`
	Content  map[string]mediaType `json:"content"`
}

type mediaType struct {
	Schema *schema `json:"schema,omitempty"`
}

type response struct {
	Description string               `json:"description"`
	Content     map[string]mediaType `json:"content,omitempty"`
}

const description = "What was seen of this API from outside. Responses are known by status and headers alone."

// Document gives the JSON document of the endpoints. Operations of the same method and path, seen on several hosts or in
// several services, are one.
func Document(title string, endpoints []*inventoryv1.Endpoint) ([]byte, error) {
	doc := document{
		OpenAPI: "3.1.0", Info: info{Title: title, Version: "observed", Description: description},
		Servers: servers(endpoints), Paths: map[string]pathItem{},
	}
	security := newSecurity()
	ids := map[string]bool{}
	for _, e := range united(endpoints) {
		method := strings.ToLower(e.GetMethod())
		if doc.Paths[e.GetPathTemplate()] == nil {
			doc.Paths[e.GetPathTemplate()] = pathItem{}
		}
		doc.Paths[e.GetPathTemplate()][method] = &operation{
			OperationID: operationID(ids, method, e.GetPathTemplate()),
			Parameters:  parameters(e), RequestBody: body(e), Responses: responses(e), Security: security.of(e),
		}
	}
	doc.Components = security.components()
	text, err := json.MarshalIndent(doc, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("writing the OpenAPI document: %w", err)
	}
	return append(text, '\n'), nil
}

// servers lists the hosts; the scheme is not known here.
func servers(endpoints []*inventoryv1.Endpoint) []server {
	hosts := map[string]bool{}
	var list []server
	for _, e := range endpoints {
		if host := e.GetHost(); host != "" && !hosts[host] && !strings.ContainsAny(host, " /?#{}\\\"<>") {
			hosts[host] = true
			list = append(list, server{"//" + bracketed(host)})
		}
	}
	slices.SortFunc(list, func(a, b server) int { return cmp.Compare(a.URL, b.URL) })
	return list
}

// bracketed writes an IPv6 address as URLs want it.
func bracketed(host string) string {
	if strings.Contains(host, ":") && !strings.HasPrefix(host, "[") {
		return "[" + host + "]"
	}
	return host
}

// operationID is "getProductsByProductIdReviews".
func operationID(taken map[string]bool, method, path string) string {
	var b strings.Builder
	b.WriteString(method)
	for segment := range strings.SplitSeq(path, "/") {
		name, isParameter := strings.CutPrefix(segment, "{")
		if isParameter {
			b.WriteString("By")
			name = strings.TrimSuffix(name, "}")
		}
		for _, word := range strings.FieldsFunc(name, notWord) {
			b.WriteString(strings.ToUpper(word[:1]) + word[1:])
		}
	}
	id := b.String()
	for i := 2; taken[id]; i++ {
		id = fmt.Sprintf("%s%d", b.String(), i)
	}
	taken[id] = true
	return id
}

var classNames = [5]struct{ key, description string }{
	{"1XX", "Information"}, {"2XX", "Success"}, {"3XX", "Redirection"}, {"4XX", "Refused"}, {"5XX", "Failed"},
}

func responses(e *inventoryv1.Endpoint) map[string]response {
	out := map[string]response{}
	for i, n := range e.GetStatusClasses() {
		if n == 0 || i >= len(classNames) {
			continue
		}
		r := response{Description: classNames[i].description}
		if i == 1 {
			r.Content = map[string]mediaType{}
			for _, contentType := range e.GetResponseContentTypes() {
				r.Content[contentType] = mediaType{}
			}
		}
		out[classNames[i].key] = r
	}
	if len(out) == 0 {
		out["default"] = response{Description: "Not seen"}
	}
	return out
}

// united joins endpoints of the same method and path, in the order of paths and methods.
func united(endpoints []*inventoryv1.Endpoint) []*inventoryv1.Endpoint {
	byRoute := map[string]*inventoryv1.Endpoint{}
	var list []*inventoryv1.Endpoint
	for _, e := range endpoints {
		route := e.GetMethod() + " " + e.GetPathTemplate()
		have := byRoute[route]
		if have == nil {
			byRoute[route] = e
			list = append(list, e)
			continue
		}
		joined := unite(have, e)
		byRoute[route] = joined
		list[slices.Index(list, have)] = joined
	}
	slices.SortFunc(list, func(a, b *inventoryv1.Endpoint) int {
		return cmp.Or(cmp.Compare(a.GetPathTemplate(), b.GetPathTemplate()), cmp.Compare(a.GetMethod(), b.GetMethod()))
	})
	return list
}

// notWord tells what parts the words of a name.
func notWord(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9')
}
