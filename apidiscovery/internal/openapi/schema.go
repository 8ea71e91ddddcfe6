package openapi

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	inventoryv1 "github.com/sidelight/sidelight/proto/gen/sidelight/inventory/v1"
)

// schema is the part of JSON Schema that is used here.
type schema struct {
	Type       typeNames          `json:"type,omitempty"`
	Format     string             `json:"format,omitempty"`
	Pattern    string             `json:"pattern,omitempty"`
	Properties map[string]*schema `json:"properties,omitempty"`
	Required   []string           `json:"required,omitempty"`
	Items      *schema            `json:"items,omitempty"`
	Classes    []string           `json:"x-sidelight-classes,omitempty"`
}

// typeNames is one name, or a list.
type typeNames []string

func (t typeNames) MarshalJSON() ([]byte, error) {
	if len(t) == 1 {
		return json.Marshal(t[0])
	}
	return json.Marshal([]string(t))
}

func (t *typeNames) add(name string) {
	if !slices.Contains(*t, name) {
		*t = append(*t, name)
	}
}

var forms = map[inventoryv1.ValueType]struct{ name, format, pattern string }{
	inventoryv1.ValueType_VALUE_TYPE_BOOLEAN:     {name: "boolean"},
	inventoryv1.ValueType_VALUE_TYPE_INT32:       {name: "integer", format: "int32"},
	inventoryv1.ValueType_VALUE_TYPE_INT64:       {name: "integer", format: "int64"},
	inventoryv1.ValueType_VALUE_TYPE_BIG_INTEGER: {name: "integer"},
	inventoryv1.ValueType_VALUE_TYPE_NUMBER:      {name: "number"},
	inventoryv1.ValueType_VALUE_TYPE_UUID:        {name: "string", format: "uuid"},
	inventoryv1.ValueType_VALUE_TYPE_ULID:        {name: "string", pattern: "^[0-7][0-9A-HJKMNP-TV-Z]{25}$"},
	inventoryv1.ValueType_VALUE_TYPE_OBJECT_ID:   {name: "string", pattern: "^[0-9a-f]{24}$"},
	inventoryv1.ValueType_VALUE_TYPE_HEX:         {name: "string", pattern: "^[0-9a-fA-F]+$"},
	inventoryv1.ValueType_VALUE_TYPE_DATE:        {name: "string", format: "date"},
	inventoryv1.ValueType_VALUE_TYPE_DATE_TIME:   {name: "string", format: "date-time"},
	inventoryv1.ValueType_VALUE_TYPE_EMAIL:       {name: "string", format: "email"},
	inventoryv1.ValueType_VALUE_TYPE_IPV4:        {name: "string", format: "ipv4"},
	inventoryv1.ValueType_VALUE_TYPE_IPV6:        {name: "string", format: "ipv6"},
	inventoryv1.ValueType_VALUE_TYPE_URI:         {name: "string", format: "uri"},
	inventoryv1.ValueType_VALUE_TYPE_NULL:        {name: "null"},
	inventoryv1.ValueType_VALUE_TYPE_OBJECT:      {name: "object"},
	inventoryv1.ValueType_VALUE_TYPE_ARRAY:       {name: "array"},
	inventoryv1.ValueType_VALUE_TYPE_BINARY:      {name: "string", format: "binary"},
}

// leaf is the schema of one value.
func leaf(p *inventoryv1.EndpointParameter) *schema {
	s := &schema{Classes: p.GetClasses()}
	formed := 0
	for _, t := range p.GetTypes() {
		form, known := forms[t]
		if !known {
			form.name = "string"
		}
		s.Type.add(form.name)
		if form.name != "null" {
			formed++
			s.Format, s.Pattern = form.format, form.pattern
		}
	}
	if formed > 1 {
		// A format of one type says nothing about the others.
		s.Format, s.Pattern = "", ""
	}
	if len(s.Type) == 0 {
		s.Type.add("string")
	}
	return s
}

// tree grows the schema of a body from the paths of its leaves.
type tree struct {
	// paths: names are paths within a document, not flat names.
	paths bool
	root  *schema
	grown bool
}

func newTree(location inventoryv1.Location) *tree {
	paths := location == inventoryv1.Location_LOCATION_JSON || location == inventoryv1.Location_LOCATION_XML
	t := &tree{paths: paths, root: &schema{}}
	if !paths {
		t.root.Type.add("object")
	}
	return t
}

func (t *tree) empty() bool     { return !t.grown }
func (t *tree) schema() *schema { return t.root }

// deepest bounds how far a schema nests.
const deepest = 32

func (t *tree) add(p *inventoryv1.EndpointParameter) {
	t.grown = true
	steps := []string{p.GetName()}
	if t.paths {
		steps = split(p.GetName())
	}
	at := t.root
	for _, step := range steps[:min(len(steps), deepest)] {
		if step == "[]" && t.paths {
			at.Type.add("array")
			if at.Items == nil {
				at.Items = &schema{}
			}
			at = at.Items
			continue
		}
		step = strings.TrimPrefix(step, keyMark)
		at.Type.add("object")
		if at.Properties == nil {
			at.Properties = map[string]*schema{}
		}
		if at.Properties[step] == nil {
			at.Properties[step] = &schema{}
		}
		if i, found := slices.BinarySearch(at.Required, step); p.GetRequired() && !found {
			at.Required = slices.Insert(at.Required, i, step)
		}
		at = at.Properties[step]
	}
	value := leaf(p)
	for _, name := range value.Type {
		at.Type.add(name)
	}
	at.Format, at.Pattern, at.Classes = value.Format, value.Pattern, value.Classes
	if len(at.Type) > 1 && !slices.Contains(at.Type, "null") {
		at.Format, at.Pattern = "", ""
	}
}

// keyMark tells a key that is literally "[]" from the step into an array.
const keyMark = "\x00"

// split takes "items[].id" and `["a.b"].c` apart.
func split(name string) []string {
	var steps []string
	for name != "" {
		switch {
		case strings.HasPrefix(name, "[]"):
			steps, name = append(steps, "[]"), name[2:]
		case strings.HasPrefix(name, `["`):
			quoted, err := strconv.QuotedPrefix(name[1:])
			if err != nil || !strings.HasPrefix(name[1+len(quoted):], "]") {
				return append(steps, keyMark+name)
			}
			key, _ := strconv.Unquote(quoted)
			steps, name = append(steps, keyMark+key), name[2+len(quoted):]
		default:
			end := strings.IndexAny(name, ".[")
			if end < 0 {
				end = len(name)
			}
			if end == 0 {
				return append(steps, keyMark+name)
			}
			steps, name = append(steps, keyMark+name[:end]), name[end:]
		}
		name = strings.TrimPrefix(name, ".")
	}
	return steps
}
