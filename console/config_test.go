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
