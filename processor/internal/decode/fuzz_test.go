package decode

import (
	"bytes"
	"encoding/json"
	"io"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	trafficv1 "github.com/sidelight/sidelight/proto/gen/sidelight/traffic/v1"
)

// check holds what is true of every decoded request, however hostile.
func check(t *testing.T, r *Request) {
	t.Helper()
	for i := range r.Points {
		p := r.Points[i]
		raw := r.RawBytes(p.Raw)
		require.Len(t, raw, p.Raw.End-p.Raw.Start, "%s has no bytes", p.Name)
		text := r.Text(p)
		require.True(t, bytes.Equal(text.Data, p.Value), "%s: %q is not its own value %q", p.Name, text.Data, p.Value)
		start, end := text.Source(0, len(text.Data))
		require.True(t, start >= 0 && start <= end && end <= len(raw), p.Name)
		require.Equal(t, strings.ToValidUTF8(p.Name, ""), p.Name)
		if p.Location == JSON {
			flat := r.FlatKey(p)
			for _, k := range r.KeyPoints(p) {
				require.True(t, k.Start >= 0 && k.Start <= k.End && k.End <= len(flat))
			}
		}
	}
}

func FuzzTarget(f *testing.F) {
	for _, s := range []string{"/", "/a?b=c&d", "http://h/p?q", "*", "%", "/%2F?%3D=%26&&=", "/a#b?c", "//?"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, target []byte) {
		r := Decode(&trafficv1.Request{Target: target, BodyComplete: true}, nil, DefaultLimits())
		check(t, r)
		// Where the standard library reads a query without complaint, the values are the same.
		want, err := url.ParseQuery(string(r.Query))
		if err != nil {
			return
		}
		for _, p := range r.Points {
			if p.Location == QueryName {
				require.Contains(t, want, string(p.Value))
			}
		}
	})
}

func FuzzCookie(f *testing.F) {
	f.Add([]byte("a=b; c=d;;=;x"))
	f.Fuzz(func(t *testing.T, value []byte) {
		check(t, Decode(&trafficv1.Request{Headers: []*trafficv1.Header{{Name: []byte("Cookie"), Value: value}}, BodyComplete: true}, nil, DefaultLimits()))
	})
}

func FuzzForm(f *testing.F) {
	f.Add([]byte("a=b&c=%26+%zz&&=&d"))
	f.Fuzz(func(t *testing.T, body []byte) {
		check(t, decoded(request("/", "application/x-www-form-urlencoded", string(body))))
	})
}

func FuzzMultipart(f *testing.F) {
	f.Add([]byte("--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nv\r\n--x\r\nContent-Disposition: form-data; name=b; filename=\"c\\\"\"\r\n\r\n\x00\r\n--x--\r\n"))
	f.Add([]byte("--x\n\n--x--"))
	f.Add([]byte("--x\r\ncontent-disposition:;;name=;filename*=utf-8''x\r\n\r\n--x"))
	f.Fuzz(func(t *testing.T, body []byte) {
		check(t, decoded(request("/", "multipart/form-data; boundary=x", string(body))))
	})
}

func FuzzBody(f *testing.F) {
	f.Add("application/json", []byte(`{"a":1}`), uint64(7), true)
	f.Add("text/xml", []byte("<a>"), uint64(9), false)
	f.Add("multipart/form-data; boundary=\"", []byte("--"), uint64(2), true)
	f.Fuzz(func(t *testing.T, contentType string, body []byte, size uint64, complete bool) {
		q := request("/", contentType, string(body))
		q.BodySize, q.BodyComplete = size, complete
		half := len(body) / 2
		q.Body = []*trafficv1.BodySegment{{Data: body[:half]}, {Offset: uint64(half), Data: body[half:]}}
		check(t, decoded(q))
	})
}

// FuzzJSON holds the tokenizer to encoding/json: what that accepts is accepted, with the same leaves, duplicates and all.
func FuzzJSON(f *testing.F) {
	for _, s := range []string{
		`{}`, `[]`, `null`, `"\ud800"`, `{"a":{"b":[1,2.5e-3,{"c":"\u00e9\n"}]},"a":true}`, `[[],{},[{}]]`, ` 0 `, `-0.1E+2`, `01`, `{"a":1,}`,
		`["\x"]`, "\"\xff\"", `{"":""}`, "[1,\n\t2]", `tru`, `"a`, `{"a"}`, `1 2`, `"\ud83d\ude00"`, `"\ud83d\u0041"`, `"\/"`, "\"\x1f\"", "\"\x7f\"", "[1\x0c]", `"\u12g4"`, `-`, `1.`, `1e`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		l := Limits{Body: 1 << 20, Depth: 64, Points: 1 << 16, Time: time.Minute}
		r := Decode(request("/", "application/json", string(body)), nil, l)
		check(t, r)
		accepted := len(r.NotInspected) == 0
		if len(body) == 0 || tooDeep(body, l.Depth) {
			return
		}
		require.Equal(t, json.Valid(body), accepted, "%q", body)
		if !accepted {
			return
		}
		var got []string
		for _, p := range r.Points {
			if p.Location != JSON {
				continue
			}
			value := string(p.Value)
			if p.Kind == KindObject || p.Kind == KindArray {
				value = value[:1]
			}
			got = append(got, r.FlatKey(p)+"="+lossy(value))
		}
		require.Equal(t, leaves(t, body), lossyAll(got))
	})
}

func tooDeep(body []byte, limit int) bool {
	return bytes.Count(body, []byte("["))+bytes.Count(body, []byte("{")) >= limit
}

// lossy does to bytes that are no UTF-8 what encoding/json does: each becomes U+FFFD.
func lossy(s string) string { return string([]rune(s)) }

func lossyAll(list []string) []string {
	for i := range list {
		list[i] = lossy(list[i])
	}
	return list
}

// leaves flattens a document with the standard library.
func leaves(t *testing.T, body []byte) []string {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	var out []string
	walk(t, d, "json", &out)
	_, err := d.Token()
	require.ErrorIs(t, err, io.EOF)
	return out
}

func walk(t *testing.T, d *json.Decoder, at string, out *[]string) {
	t.Helper()
	token, err := d.Token()
	require.NoError(t, err)
	switch v := token.(type) {
	case json.Delim:
		n := 0
		for ; d.More(); n++ {
			name := strconv.Itoa(n)
			if v == '{' {
				key, err := d.Token()
				require.NoError(t, err)
				name = key.(string)
			}
			walk(t, d, at+"."+name, out)
		}
		_, err := d.Token()
		require.NoError(t, err)
		if n == 0 {
			*out = append(*out, at+"="+string(rune(v)))
		}
	case nil:
		*out = append(*out, at+"=null")
	case bool:
		*out = append(*out, at+"="+strconv.FormatBool(v))
	case json.Number:
		*out = append(*out, at+"="+v.String())
	case string:
		*out = append(*out, at+"="+v)
	}
}
