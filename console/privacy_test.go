package console

import (
	"testing"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"

	consolev1 "github.com/sidelight/sidelight/proto/gen/sidelight/console/v1"
)

// Neither the log nor a table has what would let somebody in.
func TestNoSecretIsKeptOrLogged(t *testing.T) {
	t.Parallel()
	h := start(t)
	ctx, b := t.Context(), h.signedIn()
	c := h.register("east")
	made, err := b.installations.CreateToken(ctx, connect.NewRequest(&consolev1.CreateTokenRequest{Name: "n"}))
	require.NoError(t, err)
	require.NoError(t, c.upload(ctx, &consolev1.UploadRequest{}))
	_, err = b.login(ctx, "admin", "a wrong guess of a password")
	requireCode(t, connect.CodeUnauthenticated, err)

	secrets := map[string]string{
		"one-time secret": h.secret, "password": password, "bootstrap token": bootstrap, "token": made.Msg.GetToken(),
		"access token": c.access, "guess": "a wrong guess of a password",
	}
	dump := h.logs.String()
	require.Contains(t, dump, "installation registered")
	for _, table := range []string{"people", "sessions", "tokens", "installations"} {
		var text string
		err := h.pool.QueryRow(ctx, "select coalesce(string_agg(t::text, ' '), '') from console."+table+" t").Scan(&text)
		require.NoError(t, err)
		require.NotEmpty(t, text, table)
		dump += text
	}
	for name, secret := range secrets {
		require.NotEmpty(t, secret, name)
		require.NotContains(t, dump, secret, name)
	}
}
