package tlsprobe

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sidelight/sidelight/internal/testkit"
)

// A build for musl, as Alpine's flags make it: for size, and without a linkage table. Inner functions are chosen if there is a
// table of functions to check them against.
func TestMusl(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("may build OpenSSL first")
	}
	if _, err := exec.LookPath("musl-gcc"); err != nil {
		testkit.Skip(t, "no musl-gcc: apt-get install musl-tools")
	}
	build := exec.Command("../../testdata/musl.sh")
	var complaint bytes.Buffer
	build.Stderr = &complaint
	out, err := build.Output()
	require.NoError(t, err, "%s", complaint.String())
	root := strings.TrimSpace(string(out))
	for folder, inside := range map[string]bool{"lib": true, "opt/plain": false} {
		t.Run(folder, func(t *testing.T) {
			t.Parallel()
			library := filepath.Join(root, folder, "libssl.so.3")
			f, err := os.Open(library)
			require.NoError(t, err)
			defer func() { _ = f.Close() }()
			plan, err := Inspect(f)
			require.NoError(t, err)
			t.Logf("%s", describe(t, library, plan))
			if inside {
				require.Equal(t, inner, plan.Site)
				requireShared(t, library, plan)
				return
			}
			// The hash table of old is all that tells where these are.
			require.Regexp(t, "^SSL_read, SSL_read_ex, SSL_write, SSL_write_ex2?$", plan.Site)
			require.Contains(t, plan.Why, "no function is known to begin")
		})
	}
}
