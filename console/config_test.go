package console

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sidelight/sidelight/internal/config"
)

func TestConfig(t *testing.T) {
	t.Parallel()
	good := `
ui: {listen: ":8443", cert: a, key: b, allowed_hosts: [console.example.com, "[::1]:8443"]}
uplink: {listen: ":8444", cert: a, key: b}
database: {dsn: "postgres:///sidelight"}
bootstrap_token: abcdefghijklmnopqrstuvwxyz
`
	c := DefaultConfig()
	require.NoError(t, config.Decode("f.yaml", []byte(good), &c))
	require.NoError(t, c.Validate())

	c = DefaultConfig()
	require.ErrorContains(t, config.Decode("f.yaml", []byte("ui:\n  lisen: x\n"), &c), "f.yaml:2:")

	c.UI.AllowedHosts, c.BootstrapToken = []string{"*"}, "short"
	err := c.Validate()
	for _, want := range []string{"ui.cert", "ui.key", "uplink.cert", "uplink.key", "database.dsn", "ui.allowed_hosts", "bootstrap_token"} {
		require.ErrorContains(t, err, want)
	}
	require.NotContains(t, err.Error(), "short ")
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	_, err := New(DefaultConfig(), Deps{})
	require.ErrorContains(t, err, "ui.cert")
}

func TestSignerConfig(t *testing.T) {
	t.Parallel()
	c := DefaultSignerConfig()
	err := c.Validate()
	for _, want := range []string{"socket is empty", "data_dir is empty", "allow_uid is -1"} {
		require.ErrorContains(t, err, want)
	}
	require.NoError(t, config.Decode("f.yaml", []byte("{socket: /run/signer.sock, data_dir: /var/lib/signer, allow_uid: 0}"), &c))
	require.NoError(t, c.Validate())
	require.ErrorContains(t, config.Decode("f.yaml", []byte("uid: 1\n"), &c), "f.yaml:1:")
	_, err = NewSigner(DefaultSignerConfig(), SignerDeps{})
	require.ErrorContains(t, err, "socket")
	_, err = NewSigner(c, SignerDeps{})
	require.ErrorContains(t, err, "needs Log")
}
