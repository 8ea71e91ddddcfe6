package openapi

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/pb33f/libopenapi"
	"github.com/stretchr/testify/require"

	"github.com/sidelight/sidelight/internal/testkit"
	inventoryv1 "github.com/sidelight/sidelight/proto/gen/sidelight/inventory/v1"
)

func endpoint(method, path string, parameters ...*inventoryv1.EndpointParameter) *inventoryv1.Endpoint {
	return &inventoryv1.Endpoint{
		Service: "shop", Host: "shop.example", Method: method, PathTemplate: path, Parameters: parameters,
		StatusClasses: []uint64{0, 3, 0, 1, 0}, ResponseContentTypes: []string{"application/json"},
		AuthSchemes: []inventoryv1.AuthScheme{inventoryv1.AuthScheme_AUTH_SCHEME_NONE},
	}
}

func parameterOf(location inventoryv1.Location, name string, required bool, types ...inventoryv1.ValueType) *inventoryv1.EndpointParameter {
	return &inventoryv1.EndpointParameter{Location: location, Name: name, Required: required, Types: types}
}

const (
	inPath      = inventoryv1.Location_LOCATION_PATH
	inQuery     = inventoryv1.Location_LOCATION_QUERY
	inHeader    = inventoryv1.Location_LOCATION_HEADER
	inCookie    = inventoryv1.Location_LOCATION_COOKIE
	inForm      = inventoryv1.Location_LOCATION_FORM
	inJSON      = inventoryv1.Location_LOCATION_JSON
	inMultipart = inventoryv1.Location_LOCATION_MULTIPART

	text    = inventoryv1.ValueType_VALUE_TYPE_STRING
	integer = inventoryv1.ValueType_VALUE_TYPE_INT32
	uuid    = inventoryv1.ValueType_VALUE_TYPE_UUID
	null    = inventoryv1.ValueType_VALUE_TYPE_NULL
)

// shop is what is found of the demo shop.
func shop() []*inventoryv1.Endpoint {
	product := parameterOf(inPath, "productId", true, integer)
	list := []*inventoryv1.Endpoint{
		endpoint("GET", "/health"), endpoint("GET", "/products"), endpoint("GET", "/products/{productId}", product),
		endpoint("GET", "/products/{productId}/reviews", product),
		endpoint("POST", "/products/{productId}/reviews", product, parameterOf(inJSON, "stars", true, integer), parameterOf(inJSON, "text", true, text)),
		endpoint("GET", "/search", parameterOf(inQuery, "q", true, text), parameterOf(inQuery, "page", true, integer)),
		endpoint("POST", "/cart/items", parameterOf(inJSON, "product_id", true, integer), parameterOf(inJSON, "quantity", true, integer)),
		endpoint("DELETE", "/cart/items/{itemId}", parameterOf(inPath, "itemId", true, uuid)),
		endpoint("POST", "/orders", parameterOf(inJSON, "items[].product_id", true, integer), parameterOf(inJSON, "items[].note", false, text, null),
			parameterOf(inJSON, "gift", true, inventoryv1.ValueType_VALUE_TYPE_BOOLEAN), parameterOf(inJSON, "email", true, inventoryv1.ValueType_VALUE_TYPE_EMAIL)),
		endpoint("GET", "/orders/{orderId}", parameterOf(inPath, "orderId", true, inventoryv1.ValueType_VALUE_TYPE_PREFIXED_ID)),
		endpoint("PUT", "/users/{userId}", parameterOf(inPath, "userId", true, integer), parameterOf(inJSON, "name", true, text)),
		endpoint("POST", "/login", parameterOf(inForm, "user", true, text), parameterOf(inForm, "password", true, text)),
		endpoint("POST", "/avatars", parameterOf(inMultipart, "image", true, inventoryv1.ValueType_VALUE_TYPE_BINARY)),
		endpoint("GET", "/docs/api"), endpoint("GET", "/docs/terms"),
	}
	list[8].Parameters[3].Classes = []string{"email"}
	list[8].AuthSchemes = []inventoryv1.AuthScheme{inventoryv1.AuthScheme_AUTH_SCHEME_NONE, inventoryv1.AuthScheme_AUTH_SCHEME_BEARER}
	list[11].RequestContentTypes = []string{"application/x-www-form-urlencoded"}
	return list
}

// hostile endpoints hold what clients can make of names.
func hostile() []*inventoryv1.Endpoint {
	list := []*inventoryv1.Endpoint{
		endpoint("GET", "/"), endpoint("GET", "/a/%7Bb%7D/%22%3E"), endpoint("GET", "/a/{aId}"),
		endpoint("POST", "/a/{aId}", parameterOf(inJSON, `["a.b"].c[][]`, true, text), parameterOf(inJSON, "", false, null), parameterOf(inJSON, "[].x", false, integer),
			parameterOf(inJSON, `["[]"]`, false, integer), parameterOf(inJSON, `[broken`, false, integer), parameterOf(inJSON, strings.Repeat("a.", 90), false, integer),
			parameterOf(inJSON, "__proto__", false, text), parameterOf(inJSON, "a", false, text), parameterOf(inJSON, "a.b", false, integer)),
		endpoint("GET", "/k", parameterOf(inHeader, "x-api-key", true, text), parameterOf(inCookie, "SESSION<id>", true, text), parameterOf(inQuery, "a[]", false, text)),
	}
	list[4].AuthSchemes = []inventoryv1.AuthScheme{
		inventoryv1.AuthScheme_AUTH_SCHEME_API_KEY, inventoryv1.AuthScheme_AUTH_SCHEME_COOKIE, inventoryv1.AuthScheme_AUTH_SCHEME_BASIC,
		inventoryv1.AuthScheme_AUTH_SCHEME_DIGEST, inventoryv1.AuthScheme_AUTH_SCHEME_OTHER,
	}
	other := endpoint("GET", "/a/{aId}", parameterOf(inQuery, "only-here", true, text))
	other.Host, other.StatusClasses, other.Service = "2001:db8::1", nil, "else"
	list[0].StatusClasses, list[0].RequestContentTypes = nil, []string{"text/plain"}
	return append(list, other)
}

// parse holds the document against a library that knows OpenAPI 3.1, and gives its routes.
func parse(t *testing.T, document []byte) []string {
	t.Helper()
	doc, err := libopenapi.NewDocument(document)
	require.NoError(t, err)
	model, err := doc.BuildV3Model()
	require.NoError(t, err)
	var routes []string
	for path, item := range model.Model.Paths.PathItems.FromOldest() {
		for method, operation := range item.GetOperations().FromOldest() {
			routes = append(routes, strings.ToUpper(method)+" "+path)
			require.NotNil(t, operation.Responses)
			for _, p := range operation.Parameters {
				_, err := p.Schema.BuildSchema()
				require.NoError(t, err)
			}
		}
	}
	slices.Sort(routes)
	return routes
}

func TestDocument(t *testing.T) {
	t.Parallel()
	for name, endpoints := range map[string][]*inventoryv1.Endpoint{"shop": shop(), "hostile": hostile(), "empty": nil} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			document, err := Document(name, endpoints)
			require.NoError(t, err)
			testkit.Golden(t, "testdata/"+name+".json", document)
			want := map[string]bool{}
			for _, e := range endpoints {
				want[e.GetMethod()+" "+e.GetPathTemplate()] = true
			}
			require.Equal(t, slices.Sorted(maps.Keys(want)), parse(t, document), "the paths are the route table")
		})
	}
}

func TestSplit(t *testing.T) {
	t.Parallel()
	for name, want := range map[string][]string{
		"user.name": {"user", "name"}, "items[].id": {"items", "[]", "id"}, "[].id": {"[]", "id"}, `["a.b"].c`: {"a.b", "c"}, "": nil,
		`x["[]"][]`: {"x", "[]", "[]"}, "[oops": {"[oops"}, "a..b": {"a", ".b"},
	} {
		var got []string
		for _, step := range split(name) {
			got = append(got, strings.TrimPrefix(step, keyMark))
		}
		require.Equal(t, want, got, name)
	}
}

func FuzzDocument(f *testing.F) {
	f.Add("/a/{aId}", "items[].id", uint8(6))
	f.Add("/", `["a.b"].c`, uint8(2))
	f.Add("/%7B/{x}/{y}", "\x00[]\xff", uint8(5))
	f.Fuzz(func(t *testing.T, path, name string, location uint8) {
		e := endpoint("POST", path, parameterOf(inventoryv1.Location(location%9), name, true, text))
		document, err := Document(name, []*inventoryv1.Endpoint{e})
		require.NoError(t, err)
		require.True(t, json.Valid(document))
	})
}
