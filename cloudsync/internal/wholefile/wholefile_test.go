package wholefile

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestReplace(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	for _, content := range []string{"a longer text", "short"} {
		require.NoError(t, Replace(dir, "f", []byte(content)))
		got, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, content, string(got))
	}
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	// What cannot be written whole leaves the old one.
	require.NoError(t, os.Mkdir(path+".new", 0o700))
	require.Error(t, Replace(dir, "f", []byte("x")))
	got, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "short", string(got))
	require.NoError(t, Remove(dir, "f"))
	require.NoFileExists(t, path)
	require.NoError(t, Remove(dir, "f"))
}
