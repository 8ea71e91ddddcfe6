package signer

import (
	"crypto/ed25519"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	policyv1 "github.com/sidelight/sidelight/proto/gen/sidelight/policy/v1"
)

func manifest(t testing.TB, organisation string, sequence uint64) []byte {
	t.Helper()
	data, err := proto.Marshal(&policyv1.Manifest{
		Organisation: organisation, Sequence: sequence,
		Entries: []*policyv1.Entry{{Kind: policyv1.Kind_KIND_MASKS, Digest: make([]byte, digestSize)}},
	})
	require.NoError(t, err)
	return data
}

// vaultOf gives a closed vault with one signature.
func vaultOf(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "data")
	v, err := open(dir)
	require.NoError(t, err)
	_, _, err = v.sign(manifest(t, "1", 5))
	require.NoError(t, err)
	v.close()
	return dir
}

func TestVaultIsPrivate(t *testing.T) {
	t.Parallel()
	dir := vaultOf(t)
	info, err := os.Stat(dir)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o700), info.Mode().Perm())
	for _, name := range []string{keyFile, sequencesFile} {
		info, err := os.Stat(filepath.Join(dir, name))
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm(), name)
	}
	left, err := filepath.Glob(filepath.Join(dir, ".new-*"))
	require.NoError(t, err)
	require.Empty(t, left)
	for name, mode := range map[string]os.FileMode{keyFile: 0o640, sequencesFile: 0o604, ".": 0o770} {
		dir := vaultOf(t)
		require.NoError(t, os.Chmod(filepath.Join(dir, name), mode))
		_, err := open(dir)
		require.ErrorContains(t, err, "chmod", name)
	}
}

func TestVaultIsNeverMadeAnewInSilence(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(dir string) error
		want   string
	}{
		"key lost":         {func(dir string) error { return os.Remove(filepath.Join(dir, keyFile)) }, "register again"},
		"sequences lost":   {func(dir string) error { return os.Remove(filepath.Join(dir, sequencesFile)) }, "restore it"},
		"key broken":       {func(dir string) error { return os.WriteFile(filepath.Join(dir, keyFile), []byte("x"), 0o600) }, "no PEM"},
		"sequences broken": {func(dir string) error { return os.WriteFile(filepath.Join(dir, sequencesFile), []byte("{"), 0o600) }, "restore it"},
		"key is a link": {func(dir string) error {
			path := filepath.Join(dir, keyFile)
			if err := os.Rename(path, path+".real"); err != nil {
				return err
			}
			return os.Symlink(path+".real", path)
		}, "neither a file"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := vaultOf(t)
			require.NoError(t, test.change(dir))
			_, err := open(dir)
			require.ErrorContains(t, err, test.want)
		})
	}
	// A first start that was cut short is done again.
	dir := vaultOf(t)
	require.NoError(t, os.Remove(filepath.Join(dir, keyFile)))
	require.NoError(t, os.WriteFile(filepath.Join(dir, sequencesFile), []byte("{}"), 0o600))
	v, err := open(dir)
	require.NoError(t, err)
	v.close()
}

func TestOneSignerPerVault(t *testing.T) {
	t.Parallel()
	dir := vaultOf(t)
	v, err := open(dir)
	require.NoError(t, err)
	_, err = open(dir)
	require.ErrorContains(t, err, "another signer")
	v.close()
	v, err = open(dir)
	require.NoError(t, err)
	v.close()
}

// Nothing is signed whose sequence is not on the disk.
func TestNoSignatureWithoutTheDisk(t *testing.T) {
	t.Parallel()
	dir := vaultOf(t)
	v, err := open(dir)
	require.NoError(t, err)
	defer v.close()
	require.NoError(t, os.RemoveAll(dir))
	signature, _, err := v.sign(manifest(t, "1", 6))
	require.Error(t, err)
	require.Nil(t, signature)
	require.NoError(t, os.MkdirAll(dir, 0o700))
	_, _, err = v.sign(manifest(t, "1", 6))
	require.NoError(t, err, "it was not used up")
}

func FuzzReadable(f *testing.F) {
	f.Add(manifest(f, "1", 1))
	f.Add([]byte{})
	f.Add([]byte(strings.Repeat("\x22\x00", 20)))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := readable(data)
		if err == nil {
			require.NotEmpty(t, m.GetOrganisation())
			require.NotZero(t, m.GetSequence())
		}
	})
}

func FuzzKey(f *testing.F) {
	f.Add([]byte("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		key, err := parseKey(data)
		if err == nil {
			require.Len(t, key, ed25519.PrivateKeySize)
		}
	})
}
