package openapi

import (
	"slices"
	"strings"

	inventoryv1 "github.com/sidelight/sidelight/proto/gen/sidelight/inventory/v1"
)

type components struct {
	SecuritySchemes map[string]securityScheme `json:"securitySchemes"`
}

type securityScheme struct {
	Type   string `json:"type"`
	Scheme string `json:"scheme,omitempty"`
	In     string `json:"in,omitempty"`
	Name   string `json:"name,omitempty"`
}

// security collects the schemes that operations refer to.
type security struct{ schemes map[string]securityScheme }

func newSecurity() *security { return &security{map[string]securityScheme{}} }

func (s *security) components() *components {
	if len(s.schemes) == 0 {
		return nil
	}
	return &components{s.schemes}
}

// of gives the alternatives that an operation was called with; an empty one means that it was called without any.
func (s *security) of(e *inventoryv1.Endpoint) []map[string][]string {
	var out []map[string][]string
	for _, auth := range e.GetAuthSchemes() {
		name, scheme, ok := schemeOf(auth, e)
		if !ok {
			continue
		}
		s.schemes[name] = scheme
		out = append(out, map[string][]string{name: {}})
	}
	if len(out) > 0 && slices.Contains(e.GetAuthSchemes(), inventoryv1.AuthScheme_AUTH_SCHEME_NONE) {
		out = append(out, map[string][]string{})
	}
	return out
}

func schemeOf(auth inventoryv1.AuthScheme, e *inventoryv1.Endpoint) (string, securityScheme, bool) {
	switch auth {
	case inventoryv1.AuthScheme_AUTH_SCHEME_BASIC:
		return "basic", securityScheme{Type: "http", Scheme: "basic"}, true
	case inventoryv1.AuthScheme_AUTH_SCHEME_BEARER:
		return "bearer", securityScheme{Type: "http", Scheme: "bearer"}, true
	case inventoryv1.AuthScheme_AUTH_SCHEME_DIGEST:
		return "digest", securityScheme{Type: "http", Scheme: "digest"}, true
	case inventoryv1.AuthScheme_AUTH_SCHEME_API_KEY:
		return carried(e, []string{"key", "token"}, inventoryv1.Location_LOCATION_HEADER, inventoryv1.Location_LOCATION_QUERY)
	case inventoryv1.AuthScheme_AUTH_SCHEME_COOKIE:
		return carried(e, []string{"sess", "sid", "token", "auth"}, inventoryv1.Location_LOCATION_COOKIE)
	}
	return "", securityScheme{}, false
}

// carried finds the parameter that a key or session is in: a document cannot name the scheme without it.
func carried(e *inventoryv1.Endpoint, words []string, locations ...inventoryv1.Location) (string, securityScheme, bool) {
	for _, p := range e.GetParameters() {
		name := strings.ToLower(p.GetName())
		isWord := func(word string) bool { return strings.Contains(name, word) }
		if !slices.Contains(locations, p.GetLocation()) || !slices.ContainsFunc(words, isWord) {
			continue
		}
		place := places[p.GetLocation()]
		// Names of components are of few characters.
		id := strings.Map(func(r rune) rune {
			if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' || r == '_' || r == '.' {
				return r
			}
			return '_'
		}, place+"-"+name)
		return id, securityScheme{Type: "apiKey", In: place, Name: p.GetName()}, true
	}
	return "", securityScheme{}, false
}
