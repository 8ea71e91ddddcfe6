package recognise

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	inventoryv1 "github.com/sidelight/sidelight/proto/gen/sidelight/inventory/v1"
	trafficv1 "github.com/sidelight/sidelight/proto/gen/sidelight/traffic/v1"

	"github.com/sidelight/sidelight/processor/internal/decode"
)

func TestType(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]string{
		"":                                     "STRING",
		"abc":                                  "STRING",
		"true":                                 "BOOLEAN",
		"0":                                    "INT32",
		"-2147483648":                          "INT32",
		"2147483648":                           "INT64",
		"9223372036854775808":                  "BIG_INTEGER",
		"007":                                  "STRING",
		"1.5":                                  "NUMBER",
		"-1.5e3":                               "NUMBER",
		"1.2.3":                                "STRING",
		"1e5":                                  "STRING",
		"550e8400-e29b-41d4-a716-446655440000": "UUID",
		"550e8400-e29b-41d4-a716-44665544000g": "STRING",
		"01ARZ3NDEKTSV4RRFFQ69G5FAV":           "ULID",
		"507f1f77bcf86cd799439011":             "OBJECT_ID",
		"deadbeef01":                           "HEX",
		"DEADBEEF01":                           "HEX",
		"deadbeef":                             "STRING",
		"2024-02-29":                           "DATE",
		"2023-02-29":                           "STRING",
		"2024-01-01T10:00:00Z":                 "DATE_TIME",
		"2024-01-01 10:00:00":                  "DATE_TIME",
		"jane@example.com":                     "EMAIL",
		"jane@localhost":                       "STRING",
		"192.0.2.1":                            "IPV4",
		"2001:db8::1":                          "IPV6",
		"https://example.com/a?b=c":            "URI",
		"not a://url":                          "STRING",
		"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.dozjgNryP4J3jVmNHl0w5N": "JWT",
		"SGVsbG8gV29ybGQsIGhlbGxvIQ==":                                "BASE64",
		"cus_9aXk2LmN":                                                "PREFIXED_ID",
		"sk_live_4eC39HqLyjWD":                                        "PREFIXED_ID",
		"snake_case_name":                                             "STRING",
		"a-slug-of-words":                                             "STRING",
		"\xff\x00":                                                    "STRING",
	} {
		require.Equal(t, "VALUE_TYPE_"+want, Type([]byte(value)).String(), "%q", value)
	}
	require.Equal(t, inventoryv1.ValueType_VALUE_TYPE_STRING, Type([]byte(strings.Repeat("1", 5000))))
}

func TestClasses(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]string{
		"4111 1111 1111 1111":         ClassCard,
		"4111111111111112":            "",
		"378282246310005":             ClassCard,
		"1234567890123":               "",
		"DE89 3704 0044 0532 0130 00": ClassIBAN,
		"DE89370400440532013001":      "",
		"219-09-9999":                 ClassSSN,
		"000-09-9999":                 "",
		"jane.doe@example.com":        ClassEmail,
		"+49 30 1234567":              ClassPhone,
		"(555) 123-4567":              ClassPhone,
		"5551234567":                  "",
		"Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.x": ClassJWT,
		"hello": "",
	} {
		got := ""
		if c := Classes([]byte(value)); len(c) > 0 {
			got = c[0]
		}
		require.Equal(t, want, got, "%q", value)
	}
}

func FuzzValue(f *testing.F) {
	f.Add([]byte("4111 1111 1111 1111"))
	f.Add([]byte("DE89370400440532013000"))
	f.Add([]byte("a@b.cd"))
	f.Fuzz(func(t *testing.T, v []byte) {
		require.NotZero(t, Type(v))
		Classes(v)
	})
}

func TestObserve(t *testing.T) {
	t.Parallel()
	body := `{"items":[{"id":1},{"id":2},{"id":"x"}],"email":"jane@example.com","tags":[],"n":null,"zip":"01234"}`
	q := &trafficv1.Request{
		Method: []byte("POST"), Target: []byte("/shops/17/or%2Fders/?page=2&page=3"), BodyComplete: true, BodySize: uint64(len(body)),
		Body: []*trafficv1.BodySegment{{Data: []byte(body)}},
		Headers: []*trafficv1.Header{
			{Name: []byte("Host"), Value: []byte("Shop.Example:8080")}, {Name: []byte("Content-Type"), Value: []byte("Application/JSON; charset=utf-8")},
			{Name: []byte("Authorization"), Value: []byte("Bearer x")}, {Name: []byte("X-Tenant"), Value: []byte("7")}, {Name: []byte("Cookie"), Value: []byte("theme=dark")},
		},
	}
	x := &trafficv1.Exchange{Id: []byte("i"), Request: q, Workload: &trafficv1.Workload{Cluster: "c", Service: "shop"}, Response: &trafficv1.Response{
		Status: 201, Headers: []*trafficv1.Header{{Name: []byte("content-type"), Value: []byte("text/HTML;x")}},
	}}
	o := Observe(decode.Decode(q, nil, decode.DefaultLimits()), x, []byte("k"), true, false)
	var segments, parameters []string
	for _, s := range o.GetSegments() {
		segments = append(segments, s.GetText()+" "+strings.TrimPrefix(s.GetType().String(), "VALUE_TYPE_"))
	}
	require.Equal(t, []string{"shops STRING", "17 INT32", "or/ders STRING"}, segments)
	for _, p := range o.GetParameters() {
		s := strings.TrimPrefix(p.GetLocation().String(), "LOCATION_") + " " + p.GetName() + " " + strings.TrimPrefix(p.GetType().String(), "VALUE_TYPE_")
		parameters = append(parameters, strings.TrimSpace(s+" "+strings.Join(p.GetClasses(), ",")+" "+strings.Repeat("#", int(p.GetCount()))))
	}
	require.Equal(t, []string{
		"QUERY page INT32  ##", "HEADER x-tenant INT32  #", "COOKIE theme STRING  #", "JSON items[].id INT32  ##", "JSON items[].id STRING  #",
		"JSON email EMAIL email #", "JSON tags ARRAY  #", "JSON n NULL  #", "JSON zip STRING  #",
	}, parameters)
	require.True(t, o.GetTrailingSlash())
	require.True(t, o.GetAttack())
	require.Equal(t, "shop.example", o.GetHost())
	require.Equal(t, "application/json", o.GetRequestContentType())
	require.Equal(t, "text/html", o.GetResponseContentType())
	require.Equal(t, inventoryv1.AuthScheme_AUTH_SCHEME_BEARER, o.GetAuth())
	require.Equal(t, uint32(201), o.GetStatus())
}
