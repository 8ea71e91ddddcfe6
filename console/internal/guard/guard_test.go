package guard

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var ok = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })

func TestHosts(t *testing.T) {
	t.Parallel()
	h := Hosts([]string{"localhost", "::1", "Console.Example.com", "one.example:8443"}, ok)
	for host, want := range map[string]int{
		"localhost":                 204,
		"localhost:8443":            204,
		"LOCALHOST.:8443":           204,
		"[::1]:8443":                204,
		"[::1]":                     204,
		"console.example.com:1":     204,
		"one.example:8443":          204,
		"one.example:8444":          421,
		"one.example":               421,
		"127.0.0.1:8443":            421,
		"evil.example":              421,
		"evil.example:8443":         421,
		"localhost.evil.example":    421,
		"":                          421,
		"localhost@evil.example":    421,
		"console.example.com.evil:": 421,
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Host = host
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		require.Equal(t, want, w.Code, host)
	}
}

func TestCheckHost(t *testing.T) {
	t.Parallel()
	for _, good := range []string{"localhost", "::1", "[::1]:8443", "a.example:1", "192.0.2.1"} {
		require.NoError(t, CheckHost(good), good)
	}
	for _, bad := range []string{"", "*", "*.example.com", "https://a.example", "a b", ":8443"} {
		require.Error(t, CheckHost(bad), bad)
	}
}

func TestHeaders(t *testing.T) {
	t.Parallel()
	for host, hsts := range map[string]bool{
		"localhost:8443": false, "127.0.0.1": false, "[::1]:1": false, "a.localhost": false,
		"console.example.com": true, "192.0.2.1:8443": true,
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Host = host
		w := httptest.NewRecorder()
		Headers(HTTPSOnly(ok)).ServeHTTP(w, r)
		require.Equal(t, hsts, w.Header().Get("Strict-Transport-Security") != "", host)
		require.True(t, strings.HasPrefix(w.Header().Get("Content-Security-Policy"), "default-src 'self'"))
		require.NotContains(t, w.Header().Get("Content-Security-Policy"), "unsafe")
		require.NotContains(t, w.Header().Get("Content-Security-Policy"), "http")
		require.Equal(t, "DENY", w.Header().Get("X-Frame-Options"))
		require.Equal(t, "nosniff", w.Header().Get("X-Content-Type-Options"))
	}
}

func TestSameOrigin(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		method string
		kind   string
		header map[string]string
		want   int
	}{
		{"page", "POST", "application/json", map[string]string{"Sec-Fetch-Site": "same-origin"}, 204},
		{"page, stream", "POST", "application/connect+proto", map[string]string{"Sec-Fetch-Site": "same-origin"}, 204},
		{"page, charset", "POST", "application/json; charset=utf-8", map[string]string{"Origin": "https://console.example"}, 204},
		{"tool", "POST", "application/proto", nil, 204},
		{"other site", "POST", "application/json", map[string]string{"Sec-Fetch-Site": "cross-site"}, 403},
		{"sister site", "POST", "application/json", map[string]string{"Sec-Fetch-Site": "same-site"}, 403},
		{"old browser, other site", "POST", "application/json", map[string]string{"Origin": "https://evil.example"}, 403},
		{"old browser, no origin", "POST", "application/json", map[string]string{"Origin": "null"}, 403},
		{"form", "POST", "application/x-www-form-urlencoded", map[string]string{"Sec-Fetch-Site": "same-origin"}, 415},
		{"plain form", "POST", "text/plain", nil, 415},
		{"no type", "POST", "", nil, 415},
		{"grpc", "POST", "application/grpc", nil, 415},
		{"link", "GET", "application/json", nil, 405},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequest(c.method, "https://console.example/api/x", nil)
			if c.kind != "" {
				r.Header.Set("Content-Type", c.kind)
			}
			for k, v := range c.header {
				r.Header.Set(k, v)
			}
			w := httptest.NewRecorder()
			SameOrigin(ok).ServeHTTP(w, r)
			require.Equal(t, c.want, w.Code)
		})
	}
}
