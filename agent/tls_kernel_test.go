package agent

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// Where the kernel encrypts, nginx sends a file without reading it (SSL_sendfile): its size is told, and the answers behind it stay
// with their requests.
func TestKernelTLS(t *testing.T) {
	requireBPF(t)
	if !kernelTLS(t) {
		t.Skip("this kernel does not speak TLS itself (CONFIG_TLS)")
	}
	const file = 300_000
	p, args := nginx(t, "", "sendfile on; ssl_conf_command Options KTLS;", "root files;")
	folder := filepath.Join(p.dir, "files")
	require.NoError(t, os.Mkdir(folder, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(folder, "large"), []byte(strings.Repeat("0123456789\n", file/11+1)[:file]), 0o644))
	p.launch(t, exec.Command(find(t, "/usr/sbin/nginx", "nginx-light"), args...)).listening(t)
	s := mirror(t, p)
	c := dialTLS(t, p.address)
	for _, target := range []string{"/large?first", "/none?behind", "/large?second"} {
		require.NoError(t, c.ask(get(target)))
	}
	for target, status := range map[string]uint32{"/large?first": 200, "/none?behind": 404, "/large?second": 200} {
		list := s.aggregator.await(t, target)
		last := list[len(list)-1]
		require.Equal(t, get(target), asSent(whole(list)))
		require.Equal(t, status, last.GetResponse().GetStatus(), target)
		if status != 200 {
			continue
		}
		require.Equal(t, uint64(file), last.GetResponse().GetBodySize())
	}
	// It did not read them.
	require.Equal(t, uint64(2*file), s.agent.probe.Stats().SizeOnlyBytes)
	require.Zero(t, s.agent.probe.Stats().TLSMismatches)
}

// kernelTLS asks a connection for it.
func kernelTLS(t *testing.T) bool {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	conn, err := net.Dial("tcp", listener.Addr().String())
	require.NoError(t, err)
	defer conn.Close()
	raw, err := conn.(*net.TCPConn).SyscallConn()
	require.NoError(t, err)
	var refused error
	require.NoError(t, raw.Control(func(fd uintptr) { refused = unix.SetsockoptString(int(fd), unix.SOL_TCP, unix.TCP_ULP, "tls") }))
	return refused == nil
}
