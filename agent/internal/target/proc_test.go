package target

import (
	"bytes"
	"net"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParseStat(t *testing.T) {
	t.Parallel()
	comm, parent, start, err := parseStat("42 (a) b (c)) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 777 20")
	require.NoError(t, err)
	require.Equal(t, "a) b (c)", comm)
	require.Equal(t, uint32(1), parent)
	require.Equal(t, uint64(777), start)
	for _, bad := range []string{"", "42", "42 (x) S 1", "42 )x("} {
		_, _, _, err := parseStat(bad)
		require.Error(t, err, bad)
	}
}

func TestParseCgroup(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		"0::/system.slice/nginx.service\n":                                "/system.slice/nginx.service",
		"12:pids:/x\n1:name=systemd:/system.slice/ssh.service\n0::/\n":    "/system.slice/ssh.service",
		"0::/kubepods.slice/kubepods-pod1.slice/cri-containerd-abc.scope": "/kubepods.slice/kubepods-pod1.slice/cri-containerd-abc.scope",
		"": "",
	}
	for text, want := range tests {
		require.Equal(t, want, parseCgroup(text))
	}
	require.Equal(t, "nginx.service", unitOf("/system.slice/nginx.service"))
	require.Equal(t, "app.service", unitOf("/user.slice/user@1000.service/app.slice/app.service"))
	require.Empty(t, unitOf("/docker/abc"))
}

func TestParseListener(t *testing.T) {
	t.Parallel()
	inode, port, ok := parseListener("   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 x")
	require.True(t, ok)
	require.Equal(t, uint64(4711), inode)
	require.Equal(t, uint16(8080), port)
	for _, bad := range []string{"", "sl local_address", "0: 0100007F:1F90 00000000:0000 01 0 0 0 0 0 4711", "0: 0100007F 0 0A 0 0 0 0 0 1"} {
		_, _, ok := parseListener(bad)
		require.False(t, ok, bad)
	}
}

// Both ways to ask say the same, also when very many connections are not listening.
func TestListeners(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	six, err := net.Listen("tcp6", "[::1]:0")
	require.NoError(t, err)
	defer six.Close()
	client, err := net.Dial("tcp", listener.Addr().String())
	require.NoError(t, err)
	defer client.Close()
	slow, err := proc{"/proc"}.listening(uint32(os.Getpid()))
	require.NoError(t, err)
	quick, err := ownListeners()
	require.NoError(t, err)
	for name, listeners := range map[string]map[uint64]uint16{"file": slow, "netlink": quick} {
		held, _ := proc{"/proc"}.descriptors(uint32(os.Getpid()), listeners)
		ports := portsOf(held, listeners)
		for _, l := range []net.Listener{listener, six} {
			require.Contains(t, ports, uint16(l.Addr().(*net.TCPAddr).Port), name)
		}
		require.NotContains(t, ports, uint16(client.LocalAddr().(*net.TCPAddr).Port), name)
	}
}

func FuzzDiag(f *testing.F) {
	f.Add([]byte{})
	f.Add(append([]byte{20, 0, 0, 0, 3, 0}, make([]byte, 14)...))
	f.Add(append([]byte{20, 0, 0, 0, 2, 0}, make([]byte, 14)...))
	f.Add(append([]byte{88, 0, 0, 0, 20, 0}, bytes.Repeat([]byte{7}, 82)...))
	f.Fuzz(func(t *testing.T, answer []byte) {
		ports := map[uint64]uint16{}
		_, _ = parseDiag(answer, ports)
		require.NotContains(t, ports, uint64(0))
		require.LessOrEqual(t, len(ports), len(answer)/sizeDiagAnswer)
	})
}

func FuzzProc(f *testing.F) {
	f.Add("42 (a) b (c)) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 777 20")
	f.Add("   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 x")
	f.Add("0::/system.slice/nginx.service")
	f.Fuzz(func(t *testing.T, text string) {
		_, _, _, _ = parseStat(text)
		if inode, _, ok := parseListener(text); ok {
			require.NotZero(t, inode)
		}
		_ = unitOf(parseCgroup(text))
	})
}
