package mask

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	trafficv1 "github.com/sidelight/sidelight/proto/gen/sidelight/traffic/v1"

	"github.com/sidelight/sidelight/processor/internal/decode"
	"github.com/sidelight/sidelight/processor/internal/engine"
)

func TestText(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"nothing here 1234":                         "nothing here 1234",
		"card 4111-1111-1111-1111 end":              "card ******************* end",
		"number 4111111111111112":                   "number 4111111111111112",
		"order 20240101120000123":                   "order 20240101120000123",
		"ssn 219-09-9999.":                          "ssn ***********.",
		"DE89370400440532013000":                    "**********************",
		"t=eyJhbGciOiJIUzI1NiJ9.eyJzdWIi.dozj;":     "t=**********************************;",
		"Bearer abcdef123456 x":                     "Bearer ************ x",
		"redis://u:p4ss@h/":                         "redis://u:****@h/",
		`"password": "hunter2"`:                     `"password": "*******"`,
		"client_secret=s3cr3t&a=b":                  "client_secret=******&a=b",
		"api-key: k1":                               "api-key: **",
		`"password":"two words"}`:                   `"password":"*********"}`,
		`{\"pin_token\":\"a b\",\"c\":1}`:           `{\"pin_token\":\"***\",\"c\":1}`,
		`"tokens": ["a1", "b2"], "c": 3`:            `"tokens": ["**", "**"], "c": 3`,
		"<wsse:Password T=\"x\">pw</wsse:Password>": "<wsse:Password T=\"x\">**</wsse:Password>",
		"key AKIAIOSFODNN7EXAMPLE here":             "key ******************** here",
		"next=%2Fa%3Ftoken%3Dabc&b=1":               "next=%2Fa%3Ftoken%3D***&b=1",
	} {
		got := Text([]byte(in))
		require.Equal(t, want, string(got))
		require.Len(t, got, len(in))
	}
}

func TestSecretName(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{
		"password": true, "user.newPassword": true, "X-API-Key": true, "Authorization": true, "access_token": true, "card_number": true, "pin": true,
		"name": false, "author": false, "passenger": false, "cardinality": false, "id": false, "spin": false,
	} {
		require.Equal(t, want, SecretName(name), name)
	}
}

func request(body string) *decode.Request {
	return decode.Decode(&trafficv1.Request{
		Method: []byte("POST"), Target: []byte("/login?token=canary-1&next=/home"), BodyComplete: true, BodySize: uint64(len(body)),
		Headers: []*trafficv1.Header{
			{Name: []byte("Content-Type"), Value: []byte("application/json")}, {Name: []byte("Cookie"), Value: []byte("a=canary-2; b=canary-3")},
			{Name: []byte("Authorization"), Value: []byte("Basic canary-4")}, {Name: []byte("X-Note"), Value: []byte("see 4111111111111111")},
		},
		Body: []*trafficv1.BodySegment{{Data: []byte(body)}},
	}, nil, decode.DefaultLimits())
}

func TestRequest(t *testing.T) {
	t.Parallel()
	got := string(NewView(request(`{"user":"jane","secrets":{"a":["canary-5"]},"password":"canary-6"}`), nil).Request(4096))
	require.Equal(t, `POST /login?token=********&next=/home
Content-Type: application/json
Cookie: **********************
Authorization: **************
X-Note: see ****************

{"user":"jane","secrets":{"*":["********"]},"password":"********"}`, got)
	require.Len(t, NewView(request(`{}`), nil).Request(10), 10)
}

// A body that could not be read hides its secrets from whoever masks them, so it is not shown.
func TestBrokenBodyIsNotShown(t *testing.T) {
	t.Parallel()
	got := string(NewView(request(`{"user":"jane","pw":"canary-5",`), nil).Request(4096))
	require.NotContains(t, got, "canary")
	require.True(t, strings.HasSuffix(got, "(31 bytes of body, not shown)\n"), got)
}

func TestEvidence(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 600)
	r := request(`{"password":"canary' or 1=1","text":"` + long + `' or 1=1 card 4111111111111111 ` + long + `"}`)
	find := func(name string) int {
		for i, p := range r.Points {
			if p.Name == name {
				return i
			}
		}
		return -1
	}
	v := NewView(r, nil)
	e := v.Evidence(engine.Where{Point: find("body.json.password"), Start: 6, End: 14, Exact: true})
	require.Equal(t, "******' or 1=1", string(e.GetText()))
	e = v.Evidence(engine.Where{Point: find("body.json.password"), End: 14})
	require.Equal(t, "**************", string(e.GetText()), "nothing of a secret is shown when the place is not known")
	require.True(t, e.GetWholeValue())
	e = v.Evidence(engine.Where{Point: find("body.json.text"), Start: 600, End: 608, Exact: true})
	require.Equal(t, uint64(600), e.GetOffset())
	require.Equal(t, uint64(8), e.GetLength())
	require.Equal(t, uint64(600-around), e.GetTextOffset())
	require.Equal(t, strings.Repeat("x", around)+"' or 1=1 card **************** "+strings.Repeat("x", around-23), string(e.GetText()))
	e = v.Evidence(engine.Where{Point: find("body.json.text"), End: 1 << 20})
	require.LessOrEqual(t, len(e.GetText()), widest+around)
}

// Within a secret an attack shows, the secret does not.
func TestReveal(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"hunter2' or '1'='1":              "*******' or '1'='1",
		"canary%27%20union%20select%20pw": "******%27%20union%20select%20**",
		`canary\u0027 or 1=1`:             `******\u0027 or 1=1`,
		"<script>alert(canary)</script>":  "<script>alert(******)</script>",
		"../../etc/passwd":                "../../etc/passwd",
		"p@$$w0rd!":                       "*********",
		"%61dmin' or 1=1":                 "*******' or 1=1",
		"":                                "",
		"caf\u00e9 or 1":                  "******or 1",
	} {
		require.Equal(t, want, string(reveal([]byte(in))), in)
	}
}

func TestPoints(t *testing.T) {
	t.Parallel()
	p, err := NewPoints([]string{"header.X-Account", "query.pin", "body.json.items[].iban", "cookie.a*", "path"})
	require.NoError(t, err)
	for name, want := range map[string]bool{
		"header.x-account": true, "query.pin": true, "query.pins": false, "cookie.abc": true, "cookie.b": false, "path": true, "body.json.iban": false,
	} {
		require.Equal(t, want, p.has(name, name), name)
	}
	require.True(t, p.has("body.json.items[3].iban", "body.json.items[].iban"))
	require.False(t, (*Points)(nil).has("path", "path"))
	for _, bad := range []string{"", "a.b", "query.*.x", "header.Host", "*x", strings.Repeat("query.a", 100)} {
		_, err := NewPoints([]string{bad})
		require.Error(t, err, bad)
	}
	for _, good := range []string{"*", "body.*", "body*", "query.*", "body.json[0].a"} {
		_, err := NewPoints([]string{good})
		require.NoError(t, err, good)
	}
}

// A person's masks cover their points in everything that is made of a request.
func TestOwnMasks(t *testing.T) {
	t.Parallel()
	x := &trafficv1.Request{
		Method: []byte("POST"), Target: []byte("/a/b?pin=canary-1&q=x"), BodyComplete: true,
		Headers: []*trafficv1.Header{
			{Name: []byte("Content-Type"), Value: []byte("application/json")}, {Name: []byte("X-Account"), Value: []byte("canary-2")},
			{Name: []byte("Referer"), Value: []byte("https://shop.example/?pin=canary-3&ok=1")}, {Name: []byte("User-Agent"), Value: []byte("canary-4")},
		},
	}
	body := `{"user":{"note":"see","number":"canary-5 ' or 1=1"}}`
	x.Body, x.BodySize = []*trafficv1.BodySegment{{Data: []byte(body)}}, uint64(len(body))
	r := decode.Decode(x, nil, decode.DefaultLimits())
	own, err := NewPoints([]string{"query.pin", "header.x-account", "header.user-agent", "body.json.user.num*", "path"})
	require.NoError(t, err)
	v := NewView(r, own)
	text := string(v.Request(4096))
	require.NotContains(t, text, "canary")
	require.Contains(t, text, "ok=1")
	require.Contains(t, text, `"note":"see"`)
	s := v.Summary(&trafficv1.Exchange{})
	require.Equal(t, "****", s.GetPath())
	require.Equal(t, "********", s.GetUserAgent())
	for i, p := range r.Points {
		if p.Name == "body.json.user.number" {
			e := v.Evidence(engine.Where{Point: i, End: p.Raw.End - p.Raw.Start, Exact: true})
			require.Equal(t, "*********' or 1=1", string(e.GetText()))
		}
	}
	whole := r.WholePoint("body", decode.PartBody, len(r.Body))
	require.NotContains(t, string(v.Evidence(engine.Where{Point: whole, Start: 12, End: 20, Exact: true}).GetText()), "canary", "around a match in the whole body")
}

// A request with more points than are looked at still shows no secret in what has none.
func TestBeyondTheLimitOfPoints(t *testing.T) {
	t.Parallel()
	l := decode.DefaultLimits()
	l.Points = 16
	x := &trafficv1.Request{
		Method: []byte("GET"), Target: []byte("/a?" + strings.Repeat("a=1&", 40) + "code=canary-1"), BodyComplete: true,
		Headers: []*trafficv1.Header{{Name: []byte("X-Api-Key"), Value: []byte("canary-2")}, {Name: []byte("Cookie"), Value: []byte("a=canary-3")}},
	}
	require.NotContains(t, string(NewView(decode.Decode(x, nil, l), nil).Request(4096)), "canary")
}

// What looks like a credential is covered where no name says so.
func TestPathSegments(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"/reset/kX9vB2mQ7pLw4ZtR8sYc/ok":               "/reset/********************/ok",
		"/orders/123e4567-e89b-12d3-a456-426614174000": "/orders/123e4567-e89b-12d3-a456-426614174000",
		"/d%34/d41d8cd98f00b204e9800998ecf8427%65":     "/d%34/**********************************",
		"/users/4711": "/users/4711",
	} {
		r := decode.Decode(&trafficv1.Request{Method: []byte("GET"), Target: []byte(in + "?a=1"), BodyComplete: true}, nil, decode.DefaultLimits())
		require.Equal(t, want, NewView(r, nil).Summary(&trafficv1.Exchange{}).GetPath())
	}
}

func TestTraceID(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01": "4bf92f3577b34da6a3ce929d0e0e4736",
		"00-00000000000000000000000000000000-00f067aa0ba902b7-01": "",
		"00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01": "",
		"4bf92f3577b34da6a3ce929d0e0e4736":                        "",
		"":                                                        "",
	} {
		require.Equal(t, want, traceID([]byte(in)), in)
	}
}

func FuzzText(f *testing.F) {
	f.Add([]byte("password=x 4111 1111 1111 1111 Bearer abcdefgh"))
	f.Fuzz(func(t *testing.T, in []byte) { require.Len(t, Text(in), len(in)) })
}
