package standalone

import (
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sidelight/sidelight/internal/config"
	"github.com/sidelight/sidelight/standalone/internal/layout"
)

func TestConfig(t *testing.T) {
	t.Parallel()
	require.NoError(t, DefaultConfig().Validate())
	bad := DefaultConfig()
	bad.DataDir, bad.Cluster, bad.Console.Listen, bad.Inventory.MinRequests = "", "", "8443", 0
	err := bad.Validate()
	for _, want := range []string{"data_dir", "cluster", `console.listen "8443"`, "inventory.min_requests"} {
		require.ErrorContains(t, err, want, "all problems at once")
	}
}

// What the launcher hands to its children is what it was configured with, the secret too.
func TestHandover(t *testing.T) {
	t.Parallel()
	cfg := DefaultConfig()
	mirror, err := MirrorPort("nginx", "127.0.0.1:8080")
	require.NoError(t, err)
	cfg.Mirror, cfg.Cluster = mirror, "host"
	cfg.TrustedProxies, cfg.Console.AllowedHosts = config.CIDRs{netip.MustParsePrefix("10.0.0.0/8")}, []string{"console.example"}
	cfg.Database.DSN = config.Secret("postgres://user:canary@host/db")
	handed := asPlain(cfg)
	require.NotContains(t, handed.YAML, "canary")
	got, err := handed.config()
	require.NoError(t, err)
	require.Equal(t, cfg, got)
}

func TestKeptSecret(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first, err := keptSecret(dir, "key")
	require.NoError(t, err)
	again, err := keptSecret(dir, "key")
	require.NoError(t, err)
	require.Equal(t, first.Reveal(), again.Reveal())
	require.Len(t, first.Reveal(), 64)
	info, err := os.Stat(filepath.Join(dir, "key"))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
}

func TestServicesAreNeverRoot(t *testing.T) {
	t.Parallel()
	_, err := layout.FindOwner("root")
	require.ErrorContains(t, err, "is root")
	_, err = layout.FindOwner("no-such-user-here")
	require.ErrorContains(t, err, "there is no user")
	owner, err := layout.FindOwner("")
	require.NoError(t, err)
	require.NotZero(t, owner.UID)
}
