package tlsprobe

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParseMaps(t *testing.T) {
	t.Parallel()
	const maps = `55d0c0a00000-55d0c0a01000 r-xp 00001000 08:01 1 /usr/sbin/nginx
7f0000000000-7f0000001000 r--p 00000000 08:01 10                         /usr/lib/libssl.so.3
7f0000001000-7f0000002000 r-xp 00001000 08:01 10                         /usr/lib/libssl.so.3
7f0000002000-7f0000003000 rw-p 00002000 08:01 10                         /usr/lib/libssl.so.3
7f0000003000-7f0000004000 r-xp 00001000 08:01 10                         /other/libssl.so.3
7f0000005000-7f0000006000 r-xp 00001000 08:02 10                         /opt/venv/numpy.libs/libssl-28bef1ac.so.1.1
7f0000006000-7f0000007000 r-xp 00001000 08:01 12                         /usr/lib/libcrypto.so.3
7f0000007000-7f0000008000 r-xp 00001000 08:02 13                         /opt/venv/numpy.libs/libcrypto-1234.so.1.1
7f0000008000-7f0000009000 r-xp 00001000 103:05 14                        /opt/a b\012c/libssl.so.1.0.0 (deleted)
7f000000a000-7f000000b000 r-xp 00000000 00:00 0                          libssl.so
7f000000b000-7f000000c000 r-xp 00000000 00:01 99                         /memfd:libssl.so (deleted)
7f000000c000-7f000000d000 r-xp 00000000 08:01 15                         /usr/lib/libssl.conf
7f000000d000-7f000000e000 r-xp 00000000 08:01 16                         /usr/lib/mylibssl.so
7ffd00000000-7ffd00001000 r-xp 00000000 00:00 0                          [vdso]
nonsense libssl.so
7f000000e000-zz r-xp 00000000 08:01 17 /usr/lib/libssl.so.9
7f000000e000-7f000000f000 r-xp 00000000 08:01 17 /no/newline/libssl.so`
	files, err := parseMaps(strings.NewReader(maps))
	require.NoError(t, err)
	crypto := &File{Path: "/usr/lib/libcrypto.so.3", Dev: device(8, 1), Inode: 12, Start: 0x7f0000006000, End: 0x7f0000007000}
	wheel := &File{Path: "/opt/venv/numpy.libs/libcrypto-1234.so.1.1", Dev: device(8, 2), Inode: 13, Start: 0x7f0000007000, End: 0x7f0000008000}
	require.Equal(t, []File{
		{Path: "/usr/lib/libssl.so.3", Dev: device(8, 1), Inode: 10, Start: 0x7f0000001000, End: 0x7f0000002000, Crypto: crypto},
		{Path: "/opt/venv/numpy.libs/libssl-28bef1ac.so.1.1", Dev: device(8, 2), Inode: 10, Start: 0x7f0000005000, End: 0x7f0000006000, Crypto: wheel},
		{Path: "/opt/a b\nc/libssl.so.1.0.0", Dev: device(0x103, 5), Inode: 14, Start: 0x7f0000008000, End: 0x7f0000009000, Deleted: true},
		{Path: "/no/newline/libssl.so", Dev: device(8, 1), Inode: 17, Start: 0x7f000000e000, End: 0x7f000000f000},
	}, files)
}

func TestMapsAreBounded(t *testing.T) {
	t.Parallel()
	var many strings.Builder
	for i := range 200 {
		many.WriteString("7f0000001000-7f0000002000 r-xp 00001000 08:01 " + strings.Repeat("1", i%18+1) + " /l/libssl.so.3\n")
	}
	files, err := parseMaps(strings.NewReader(many.String()))
	require.NoError(t, err)
	require.Len(t, files, 18)
	_, err = parseMaps(strings.NewReader(strings.Repeat("x", 2*maxLine)))
	require.Error(t, err)
	_, err = parseMaps(strings.NewReader(strings.Repeat("\n", maxMappings+2)))
	require.EqualError(t, err, "it has more than 262144 mappings")
}

func FuzzParseMaps(f *testing.F) {
	f.Add("7f0000001000-7f0000002000 r-xp 00001000 08:01 10                         /usr/lib/libssl.so.3 (deleted)\n")
	f.Add("7f0000001000-7f0000002000 r-xp 00001000 08:01 10 /a/libcrypto.so\n1-2 r-xp 0 0:1 1 /a/libssl\\012.so")
	f.Fuzz(func(t *testing.T, text string) {
		files, err := parseMaps(strings.NewReader(text))
		if err != nil {
			return
		}
		require.LessOrEqual(t, len(files), maxLibraries)
		for _, f := range files {
			require.True(t, strings.HasPrefix(f.Path, "/"))
			require.NotZero(t, f.Inode)
		}
	})
}
