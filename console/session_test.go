package console

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"

	consolev1 "github.com/sidelight/sidelight/proto/gen/sidelight/console/v1"
)

func TestFirstLoginForcesAPassword(t *testing.T) {
	t.Parallel()
	h := start(t)
	ctx := t.Context()
	b := h.browser()

	_, err := b.whoAmI(ctx)
	requireCode(t, connect.CodeUnauthenticated, err)
	_, err = b.login(ctx, "admin", "wrong")
	requireCode(t, connect.CodeUnauthenticated, err)
	_, err = b.login(ctx, "nobody", h.secret)
	requireCode(t, connect.CodeUnauthenticated, err)

	res, err := b.login(ctx, "admin", h.secret)
	require.NoError(t, err)
	require.True(t, res.GetMustChangePassword())
	who, err := b.whoAmI(ctx)
	require.NoError(t, err)
	require.Equal(t, "admin", who.GetUser())
	require.True(t, who.GetMustChangePassword())

	_, err = b.attacks.ListAttacks(ctx, connect.NewRequest(&consolev1.ListAttacksRequest{}))
	requireCode(t, connect.CodeFailedPrecondition, err)
	_, err = b.installations.CreateToken(ctx, connect.NewRequest(&consolev1.CreateTokenRequest{Name: "x"}))
	requireCode(t, connect.CodeFailedPrecondition, err)
	stream, err := b.attacks.WatchChanges(ctx, connect.NewRequest(&consolev1.WatchChangesRequest{}))
	require.NoError(t, err)
	require.False(t, stream.Receive())
	requireCode(t, connect.CodeFailedPrecondition, stream.Err())
	require.NoError(t, stream.Close())

	_, err = h.browser().login(ctx, "admin", h.secret)
	requireCode(t, connect.CodeUnauthenticated, err)

	requireCode(t, connect.CodeInvalidArgument, b.change(ctx, "short"))
	requireCode(t, connect.CodeInvalidArgument, b.change(ctx, h.secret))
	require.NoError(t, b.change(ctx, password))
	who, err = b.whoAmI(ctx)
	require.NoError(t, err)
	require.False(t, who.GetMustChangePassword())
	require.Equal(t, "main", who.GetOrganisation())
	_, err = b.attacks.ListAttacks(ctx, connect.NewRequest(&consolev1.ListAttacksRequest{}))
	require.NoError(t, err)

	_, err = b.sessions.Logout(ctx, connect.NewRequest(&consolev1.LogoutRequest{}))
	require.NoError(t, err)
	_, err = b.whoAmI(ctx)
	requireCode(t, connect.CodeUnauthenticated, err)
	_, err = b.login(ctx, "admin", password)
	require.NoError(t, err)
}

func TestSecretLifecycle(t *testing.T) {
	t.Parallel()
	h := start(t)
	ctx := t.Context()
	first := h.secret
	require.NotEmpty(t, first)

	h.run()
	h.waitOpen()
	require.NotEmpty(t, h.secret)
	require.NotEqual(t, first, h.secret, "a restart makes a new one")
	_, err := h.browser().login(ctx, "admin", first)
	requireCode(t, connect.CodeUnauthenticated, err)

	h.ahead.Add(int64(15 * time.Minute))
	_, err = h.browser().login(ctx, "admin", h.secret)
	requireCode(t, connect.CodeUnauthenticated, err)

	h.run()
	h.waitOpen()
	// Used, but the password was never chosen: only a new start helps, and it ends what the old secret opened.
	b := h.browser()
	_, err = b.login(ctx, "admin", h.secret)
	require.NoError(t, err)
	h.run()
	h.waitOpen()
	require.NotEmpty(t, h.secret)
	c := h.signedIn()
	_, err = c.whoAmI(ctx)
	require.NoError(t, err)

	h.run()
	h.waitOpen()
	require.Empty(t, h.secret, "never again once a password was chosen")
	_, err = h.browser().login(ctx, "admin", password)
	require.NoError(t, err)
}

func TestSecretWorksOnceForManyAtTheSameTime(t *testing.T) {
	t.Parallel()
	h := start(t)
	results := make(chan error, 5)
	for range 5 {
		b := h.browser()
		go func() {
			_, err := b.login(t.Context(), "admin", h.secret)
			results <- err
		}()
	}
	accepted := 0
	for range 5 {
		if err := <-results; err == nil {
			accepted++
		} else {
			requireCode(t, connect.CodeUnauthenticated, err)
		}
	}
	require.Equal(t, 1, accepted)
}

func TestLoginIsLimited(t *testing.T) {
	t.Parallel()
	h := start(t)
	h.freeze()
	b := h.browser()
	for range 10 {
		_, err := b.login(t.Context(), "admin", "guess")
		requireCode(t, connect.CodeUnauthenticated, err)
	}
	_, err := b.login(t.Context(), "admin", h.secret)
	requireCode(t, connect.CodeResourceExhausted, err)
	h.ahead.Add(int64(time.Minute))
	_, err = b.login(t.Context(), "admin", h.secret)
	require.NoError(t, err)
}

func TestSessionEnds(t *testing.T) {
	t.Parallel()
	h := start(t)
	ctx := t.Context()
	b := h.signedIn()
	for range 3 {
		h.ahead.Add(int64(11 * time.Hour))
		_, err := b.whoAmI(ctx)
		require.NoError(t, err, "use keeps it alive")
	}
	h.ahead.Add(int64(12*time.Hour + time.Minute))
	_, err := b.whoAmI(ctx)
	requireCode(t, connect.CodeUnauthenticated, err)
}

func TestChangeEndsOtherSessions(t *testing.T) {
	t.Parallel()
	h := start(t)
	ctx := t.Context()
	b, other := h.signedIn(), h.browser()
	_, err := other.login(ctx, "admin", password)
	require.NoError(t, err)
	require.NoError(t, b.changeFrom(ctx, password, "another password"))
	_, err = other.whoAmI(ctx)
	requireCode(t, connect.CodeUnauthenticated, err)
	_, err = b.whoAmI(ctx)
	require.NoError(t, err)
}

func TestCookie(t *testing.T) {
	t.Parallel()
	h := start(t)
	b := h.browser()
	res, err := b.sessions.Login(t.Context(), connect.NewRequest(&consolev1.LoginRequest{User: "admin", Password: h.secret}))
	require.NoError(t, err)
	c, err := http.ParseSetCookie(res.Header().Get("Set-Cookie"))
	require.NoError(t, err)
	require.Equal(t, "__Host-sidelight", c.Name)
	require.True(t, c.HttpOnly)
	require.True(t, c.Secure)
	require.Equal(t, http.SameSiteStrictMode, c.SameSite)
	require.Equal(t, "/", c.Path)
	require.Empty(t, c.Domain)

	// The database knows neither the session nor the password.
	for table, column := range map[string]string{"sessions": "encode(id_hash, 'escape')", "people": "password_hash"} {
		var found int
		err := h.pool.QueryRow(t.Context(), "select count(*) from console."+table+" where strpos("+column+", $1) > 0 or strpos("+column+", $2) > 0",
			c.Value, h.secret).Scan(&found)
		require.NoError(t, err)
		require.Zero(t, found, table)
	}
}

func TestForeignRequestsAreRefused(t *testing.T) {
	t.Parallel()
	h := start(t)
	b := h.signedIn()
	who := "/api/sidelight.console.v1.SessionService/WhoAmI"
	for _, c := range []struct {
		name   string
		method string
		path   string
		header map[string]string
		want   int
	}{
		{"page", "POST", who, map[string]string{"Content-Type": "application/json", "Sec-Fetch-Site": "same-origin"}, 200},
		{"cross-site", "POST", who, map[string]string{"Content-Type": "application/json", "Sec-Fetch-Site": "cross-site"}, 403},
		{"foreign origin", "POST", who, map[string]string{"Content-Type": "application/json", "Origin": "https://evil.example"}, 403},
		{"form", "POST", who, map[string]string{"Content-Type": "text/plain"}, 415},
		{"link", "GET", who + "?encoding=json&message={}", map[string]string{"Content-Type": "application/json"}, 405},
		{"foreign host", "POST", who, map[string]string{"Content-Type": "application/json", "Host": "evil.example"}, 421},
		{"foreign host, page", "GET", "/", map[string]string{"Host": "evil.example"}, 421},
		{"page of the app", "GET", "/attacks", nil, 200},
		{"unknown procedure", "POST", "/api/none", map[string]string{"Content-Type": "application/json"}, 404},
	} {
		req, err := http.NewRequestWithContext(t.Context(), c.method, h.url()+c.path, strings.NewReader("{}"))
		require.NoError(t, err)
		for k, v := range c.header {
			req.Header.Set(k, v)
		}
		if host := c.header["Host"]; host != "" {
			req.Host = host
			u, err := url.Parse(h.url())
			require.NoError(t, err)
			for _, cookie := range b.http.Jar.Cookies(u) {
				req.AddCookie(cookie)
			}
		}
		res, err := b.http.Do(req)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.Equal(t, c.want, res.StatusCode, c.name)
		require.Contains(t, res.Header.Get("Content-Security-Policy"), "default-src 'self'", c.name)
		require.Empty(t, res.Header.Get("Strict-Transport-Security"), c.name+": off on loopback")
	}
}

func TestChangeProvesThePassword(t *testing.T) {
	t.Parallel()
	h := start(t)
	ctx, b := t.Context(), h.signedIn()
	h.freeze()
	for _, wrong := range []string{"", "a wrong guess of it", strings.Repeat("x", 100_000)} {
		requireCode(t, connect.CodePermissionDenied, b.changeFrom(ctx, wrong, "another password"))
	}
	_, err := h.browser().login(ctx, "admin", password)
	require.NoError(t, err, "nothing changed")
	for range 17 {
		requireCode(t, connect.CodePermissionDenied, b.changeFrom(ctx, "guess", "another password"))
	}
	requireCode(t, connect.CodeResourceExhausted, b.changeFrom(ctx, password, "another password"))
	h.ahead.Add(int64(time.Minute))
	require.NoError(t, b.changeFrom(ctx, password, "another password"))
	_, err = h.browser().login(ctx, "admin", "another password")
	require.NoError(t, err)
}
