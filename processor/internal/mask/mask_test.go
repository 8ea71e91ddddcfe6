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
		"nothing here 1234":                     "nothing here 1234",
		"card 4111-1111-1111-1111 end":          "card ******************* end",
		"number 4111111111111112":               "number 4111111111111112",
		"order 20240101120000123":               "order 20240101120000123",
		"ssn 219-09-9999.":                      "ssn ***********.",
		"DE89370400440532013000":                "**********************",
		"t=eyJhbGciOiJIUzI1NiJ9.eyJzdWIi.dozj;": "t=**********************************;",
		"Bearer abcdef123456 x":                 "Bearer ************ x",
		"redis://u:p4ss@h/":                     "redis://u:****@h/",
		`"password": "hunter2"`:                 `"password": "*******"`,
		"client_secret=s3cr3t&a=b":              "client_secret=******&a=b",
		"api-key: k1":                           "api-key: **",
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
	got := string(Request(request(`{"user":"jane","secrets":{"a":["canary-5"]},"password":"canary-6"}`), 4096))
	require.Equal(t, `POST /login?token=********&next=/home
Content-Type: application/json
Cookie: **********************
Authorization: **************
X-Note: see ****************

{"user":"jane","secrets":{"a":["********"]},"password":"********"}`, got)
	require.Len(t, Request(request(`{}`), 10), 10)
}

// A body that could not be read hides its secrets from whoever masks them, so it is not shown.
func TestBrokenBodyIsNotShown(t *testing.T) {
	t.Parallel()
	got := string(Request(request(`{"user":"jane","pw":"canary-5",`), 4096))
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
	e := Evidence(r, engine.Where{Point: find("body.json.password"), Start: 6, End: 14, Exact: true})
	require.Equal(t, "******' or 1=1", string(e.GetText()))
	e = Evidence(r, engine.Where{Point: find("body.json.password"), End: 14})
	require.Equal(t, "**************", string(e.GetText()), "nothing of a secret is shown when the place is not known")
	require.True(t, e.GetWholeValue())
	e = Evidence(r, engine.Where{Point: find("body.json.text"), Start: 600, End: 608, Exact: true})
	require.Equal(t, uint64(600), e.GetOffset())
	require.Equal(t, uint64(8), e.GetLength())
	require.Equal(t, uint64(600-around), e.GetTextOffset())
	require.Equal(t, strings.Repeat("x", around)+"' or 1=1 card **************** "+strings.Repeat("x", around-23), string(e.GetText()))
	e = Evidence(r, engine.Where{Point: find("body.json.text"), End: 1 << 20})
	require.LessOrEqual(t, len(e.GetText()), widest+around)
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
