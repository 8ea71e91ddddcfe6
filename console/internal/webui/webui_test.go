package webui

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
)

func TestHandler(t *testing.T) {
	t.Parallel()
	h, err := New(fstest.MapFS{
		"index.html":    {Data: []byte("<page>")},
		"assets/app.js": {Data: []byte("js")},
	})
	require.NoError(t, err)
	for _, c := range []struct {
		method, path string
		code         int
		kind, body   string
	}{
		{"GET", "/", 200, "text/html; charset=utf-8", "<page>"},
		{"GET", "/index.html", 200, "text/html; charset=utf-8", "<page>"},
		{"GET", "/attacks/c1/42", 200, "text/html; charset=utf-8", "<page>"},
		{"GET", "/assets/app.js", 200, "text/javascript; charset=utf-8", "js"},
		{"HEAD", "/assets/app.js", 200, "text/javascript; charset=utf-8", ""},
		{"GET", "/assets/none.js", 404, "text/plain; charset=utf-8", "404 page not found\n"},
		{"GET", "/../../etc/passwd", 200, "text/html; charset=utf-8", "<page>"},
		{"GET", "/../webui.go", 404, "text/plain; charset=utf-8", "404 page not found\n"},
		{"POST", "/", 405, "text/plain; charset=utf-8", "only GET and HEAD\n"},
	} {
		w := httptest.NewRecorder()
		r := httptest.NewRequest(c.method, "/", nil)
		r.URL.Path = c.path
		h.ServeHTTP(w, r)
		require.Equal(t, c.code, w.Code, c.path)
		require.Equal(t, c.kind, w.Header().Get("Content-Type"), c.path)
		require.Equal(t, c.body, w.Body.String(), c.path)
	}
}

func TestETag(t *testing.T) {
	t.Parallel()
	h, err := New(fstest.MapFS{"index.html": {Data: []byte("one")}})
	require.NoError(t, err)
	get := func(h http.Handler, etag string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("If-None-Match", etag)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w
	}
	etag := get(h, "").Header().Get("ETag")
	require.NotEmpty(t, etag)
	require.Equal(t, "no-cache", get(h, "").Header().Get("Cache-Control"))
	for _, known := range []string{etag, "W/" + etag, `"x", ` + etag, "*"} {
		w := get(h, known)
		require.Equal(t, http.StatusNotModified, w.Code)
		require.Empty(t, w.Body.String())
	}
	changed, err := New(fstest.MapFS{"index.html": {Data: []byte("two")}})
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, get(changed, etag).Code)
}

func TestNewNeedsAPage(t *testing.T) {
	t.Parallel()
	_, err := New(fstest.MapFS{"app.js": {}})
	require.ErrorContains(t, err, "index.html")
}
