package decode

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	trafficv1 "github.com/sidelight/sidelight/proto/gen/sidelight/traffic/v1"
)

func request(target, contentType, body string) *trafficv1.Request {
	r := &trafficv1.Request{Method: []byte("POST"), Target: []byte(target), BodyComplete: true, BodySize: uint64(len(body))}
	if contentType != "" {
		r.Headers = append(r.Headers, &trafficv1.Header{Name: []byte("Content-Type"), Value: []byte(contentType)})
	}
	if body != "" {
		r.Body = []*trafficv1.BodySegment{{Data: []byte(body)}}
	}
	return r
}

func decoded(r *trafficv1.Request) *Request { return Decode(r, nil, DefaultLimits()) }

// listed writes points as "name=value", without the header that the body needs.
func listed(r *Request) []string {
	var out []string
	for _, p := range r.Points {
		if p.Name != "header.Content-Type" {
			out = append(out, p.Name+"="+string(p.Value))
		}
	}
	return out
}

func TestPoints(t *testing.T) {
	t.Parallel()
	const form = "application/x-www-form-urlencoded"
	for name, tt := range map[string]struct {
		target, contentType, body string
		want                      []string
	}{
		"path and query":    {"/a%2Fb/c?q=1+2%27&r&=x&&q=3", "", "", []string{"path=/a/b/c", "query.q=1 2'", "query_name=q", "query.r=", "query_name=r", "query.=x", "query_name=", "query.q=3", "query_name=q"}},
		"absolute target":   {"http://h:80/x?y=z#f", "", "", []string{"path=/x", "query.y=z", "query_name=y"}},
		"no path":           {"*", "", "", []string{"path=*"}},
		"url in a query":    {"/?u=http://h/p", "", "", []string{"path=/", "query.u=http://h/p", "query_name=u"}},
		"broken escapes":    {"/%zz%4?a=%", "", "", []string{"path=/%zz%4", "query.a=%", "query_name=a"}},
		"hostile name":      {"/?%00%ff=1", "", "", []string{"path=/", "query.\uFFFD\uFFFD=1", "query_name=\x00\xff"}},
		"form":              {"/", form + "; charset=utf-8", "a=%3C&b+c=d+e", []string{"path=/", "body.form.a=<", "body.form_name=a", "body.form.b c=d e", "body.form_name=b c"}},
		"JSON":              {"/", "application/json", ` {"a":{"b":[1,{"c":"x\n"}]},"d":null,"e":true,"f":[],"g":{}} `, []string{"path=/", "body.json.a.b[0]=1", "body.json.a.b[1].c=x\n", "body.json.d=null", "body.json.e=true", "body.json.f=[]", "body.json.g={}"}},
		"JSON alone":        {"/", "application/vnd.x+json", `"s"`, []string{"path=/", "body.json=s"}},
		"JSON list":         {"/", "application/json", `["s"]`, []string{"path=/", "body.json[0]=s"}},
		"JSON twice":        {"/", "application/json", `{"a":1,"a":2}`, []string{"path=/", "body.json.a=1", "body.json.a=2"}},
		"JSON odd names":    {"/", "application/json", `{"a.b":1,"":2,"c\"]":3}`, []string{"path=/", `body.json["a.b"]=1`, `body.json[""]=2`, `body.json["c\"]"]=3`}},
		"JSON surrogates":   {"/", "application/json", `"\ud83d\ude00\ud83d\u0041"`, []string{"path=/", "body.json=😀\uFFFDA"}},
		"multipart":         {"/", "multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nv\r\n--x--\r\n", []string{"path=/", "body.multipart_name=a", "body.multipart.a=v"}},
		"multipart file":    {"/", `multipart/form-data; boundary="x y"`, "--x y\nContent-Disposition: form-data; filename=\"f;.txt\"; name=a\n\nhi\n--x y--", []string{"path=/", "body.multipart_name=a", "body.multipart.a.filename=f;.txt", "body.multipart.a.content=hi"}},
		"boundary in value": {"/", "multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data; name=a\r\n\r\nv--x\r\n--x--", []string{"path=/", "body.multipart_name=a", "body.multipart.a=v--x"}},
		"other":             {"/", "text/plain", "hello", []string{"path=/", "body=hello"}},
		"XML":               {"/", "application/soap+xml", "<a/>", []string{"path=/", "body.xml=<a/>"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := decoded(request(tt.target, tt.contentType, tt.body))
			require.Equal(t, tt.want, listed(r))
			require.Empty(t, r.NotInspected)
		})
	}
}

func TestCookies(t *testing.T) {
	t.Parallel()
	r := decoded(&trafficv1.Request{Target: []byte("/"), BodyComplete: true, Headers: []*trafficv1.Header{
		{Name: []byte("cookie"), Value: []byte("a=1; b=x=y;c; =z")}, {Name: []byte("X-A"), Value: []byte("v")}, {Name: []byte("X-A"), Value: []byte("w")},
	}})
	require.Equal(t, []string{"path=/", "header.cookie=a=1; b=x=y;c; =z", "cookie.a=1", "cookie_name=a", "cookie.b=x=y", "cookie_name=b",
		"cookie.=", "cookie_name=c", "cookie.=z", "cookie_name=", "header.X-A=v", "header.X-A=w"}, listed(r))
}

// A value leads back to its bytes, through every escape.
func TestWayBack(t *testing.T) {
	t.Parallel()
	r := decoded(request("/a%2Fb?q=%27+or", "application/json", `{"k\u0041":"x\u0027 or"}`))
	find := func(name string) Point {
		for _, p := range r.Points {
			if p.Name == name {
				return p
			}
		}
		require.Fail(t, "no point "+name)
		return Point{}
	}
	for name, want := range map[string][2]string{
		"path":         {"/b", "%2Fb"},
		"query.q":      {"' o", "%27+o"},
		"body.json.kA": {"' o", `\u0027 o`},
	} {
		p := find(name)
		at := strings.Index(string(p.Value), want[0])
		start, end := r.Text(p).Source(at, at+len(want[0]))
		require.Equal(t, want[1], string(r.RawBytes(p.Raw)[start:end]), name)
	}
	require.Equal(t, "json.kA", r.FlatKey(find("body.json.kA")))
}

func TestJSONKeys(t *testing.T) {
	t.Parallel()
	r := decoded(request("/", "application/json", `{"a":[[{"b\"":{"$ne":1}}]]}`))
	leaf := r.Points[len(r.Points)-1]
	require.Equal(t, `body.json.a[0][0]["b\""].$ne`, leaf.Name)
	require.Equal(t, `a[][]["b\""].$ne`, r.Generic(leaf))
	flat := r.FlatKey(leaf)
	require.Equal(t, `json.a.0.0.b".$ne`, flat)
	var got []string
	for _, k := range r.KeyPoints(leaf) {
		require.Equal(t, string(r.Points[k.Point].Value), flat[k.Start:k.End])
		got = append(got, string(r.RawBytes(r.Points[k.Point].Raw)))
	}
	require.Equal(t, []string{"$ne", `b\"`, "a"}, got)
}

func TestLimits(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat("[", 100) + strings.Repeat("]", 100)
	many := "[0" + strings.Repeat(",0", 10_000) + "]"
	file := "--x\r\nContent-Disposition: form-data; name=a; filename=b\r\n\r\n" + strings.Repeat("f", 5000) + "\r\n--x--"
	for name, tt := range map[string]struct {
		contentType, body, want string
		limits                  func(*Limits)
	}{
		"depth":      {"application/json", deep, "overlimit: depth", nil},
		"points":     {"application/json", many, "overlimit: points", nil},
		"body":       {"text/plain", strings.Repeat("b", 200<<10), "overlimit: body", nil},
		"file":       {"multipart/form-data; boundary=x", file, "overlimit: file content", nil},
		"time":       {"application/json", many, "overlimit: time", func(l *Limits) { l.Time, l.Points = -1, 1<<20 }},
		"bad JSON":   {"application/json", `{"a":1,}`, "body is not valid JSON", nil},
		"two values": {"application/json", `{} {}`, "body is not valid JSON", nil},
		"no end":     {"multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data; name=a\r\n\r\nv", "multipart body ends early", nil},
		"boundary":   {"multipart/form-data", "--x", "multipart without a usable boundary", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := DefaultLimits()
			l.Time = time.Minute
			if tt.limits != nil {
				tt.limits(&l)
			}
			r := Decode(request("/", tt.contentType, tt.body), nil, l)
			require.Equal(t, []string{tt.want}, r.NotInspected)
			require.LessOrEqual(t, len(r.Points), l.Points+1)
		})
	}
}

// Long names of deep documents must not multiply with the number of their leaves.
func TestNamesStayShort(t *testing.T) {
	t.Parallel()
	key := strings.Repeat("k", 1000)
	body := strings.Repeat(`{"`+key+`":`, 60) + "[0" + strings.Repeat(",0", 3000) + "]" + strings.Repeat("}", 60)
	total := 0
	for _, p := range decoded(request("/", "application/json", body)).Points {
		total += len(p.Name)
	}
	require.Less(t, total, 3<<20)
}

func TestWhatWasNotSeen(t *testing.T) {
	t.Parallel()
	whole := func() *trafficv1.Request { return request("/", "text/plain", "0123456789") }
	gap := &trafficv1.Gap{Part: trafficv1.Gap_PART_REQUEST_BODY, Offset: 10, Reason: trafficv1.GapReason_GAP_REASON_RING_FULL}
	for name, tt := range map[string]struct {
		change func(*trafficv1.Request)
		gaps   []*trafficv1.Gap
		want   []string
		body   string
	}{
		"whole":   {func(*trafficv1.Request) {}, nil, nil, "0123456789"},
		"coming":  {func(r *trafficv1.Request) { r.BodyComplete = false }, nil, []string{"body not complete yet"}, "0123456789"},
		"shorter": {func(r *trafficv1.Request) { r.BodySize = 20 }, nil, []string{"body not seen whole"}, "0123456789"},
		"gap":     {func(r *trafficv1.Request) { r.BodySize = 20 }, []*trafficv1.Gap{gap}, []string{"gap in body: ring full"}, "0123456789"},
		"hole": {func(r *trafficv1.Request) {
			r.Body = []*trafficv1.BodySegment{{Data: []byte("01")}, {Offset: 4, Data: []byte("45")}}
		}, nil, []string{"body not seen whole"}, "01"},
		"segments": {func(r *trafficv1.Request) {
			r.Body = []*trafficv1.BodySegment{{Data: []byte("01234")}, {Offset: 5, Data: []byte("56789")}}
		}, nil, nil, "0123456789"},
		"head":     {func(*trafficv1.Request) {}, []*trafficv1.Gap{{Part: trafficv1.Gap_PART_REQUEST_HEAD, Reason: trafficv1.GapReason_GAP_REASON_FAULT}}, []string{"gap in head: fault"}, "0123456789"},
		"response": {func(*trafficv1.Request) {}, []*trafficv1.Gap{{Part: trafficv1.Gap_PART_RESPONSE_BODY}}, nil, "0123456789"},
		"compressed": {func(r *trafficv1.Request) {
			r.Headers = append(r.Headers, &trafficv1.Header{Name: []byte("content-encoding"), Value: []byte("gzip")})
		}, nil, []string{"body is encoded: gzip"}, "0123456789"},
		"HPACK entry": {func(r *trafficv1.Request) {
			r.Headers = append(r.Headers, &trafficv1.Header{Name: []byte("x"), Unknown: true})
		}, nil, []string{"header value unknown: x"}, "0123456789"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			q := whole()
			tt.change(q)
			r := Decode(q, tt.gaps, DefaultLimits())
			require.Equal(t, tt.want, r.NotInspected)
			require.Equal(t, tt.body, string(r.Body))
		})
	}
}
