package agent

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sidelight/sidelight/agent/internal/selector"
	"github.com/sidelight/sidelight/internal/testkit"
)

// program is a real server with TLS.
type program struct {
	address string
	// filter selects it.
	filter selector.Filter
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	dir    string
}

// starter starts one; where it listens is free.
type starter func(t *testing.T) *program

// place is a folder that other users can read, with a certificate in it, and an address that nobody listens on.
func place(t testing.TB) (dir, address string) {
	t.Helper()
	dir = t.TempDir()
	require.NoError(t, os.Chmod(filepath.Dir(dir), 0o755))
	require.NoError(t, os.Chmod(dir, 0o755))
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	certPEM, keyPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw})
	require.NoError(t, os.WriteFile(filepath.Join(dir, "cert"), certPEM, 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "key"), keyPEM, 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "both"), append(certPEM, keyPEM...), 0o644))
	free, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, free.Close())
	return dir, free.Addr().String()
}

// launch runs a program until the test ends, and waits until it listens.
func (p *program) launch(t testing.TB, cmd *exec.Cmd) *program {
	t.Helper()
	p.cmd = cmd
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
	cmd.Stderr = t.Output()
	var err error
	p.stdin, err = cmd.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL); _ = cmd.Wait() })
	return p
}

func (p *program) listening(t testing.TB) *program {
	t.Helper()
	require.Eventually(t, func() bool {
		conn, err := net.Dial("tcp", p.address)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	}, 20*time.Second, 10*time.Millisecond)
	return p
}

func find(t testing.TB, path, pkg string) string {
	t.Helper()
	if _, err := os.Stat(path); err != nil {
		testkit.Skip(t, "no "+path+": apt-get install "+pkg)
	}
	return path
}

const tlsConf = `daemon off; worker_processes 2; pid %[1]s/pid; error_log %[1]s/error.log; user root; events { worker_connections 2000; }
http { access_log off; client_max_body_size 200m; client_body_buffer_size 1m;
  client_body_temp_path %[1]s/b; proxy_temp_path %[1]s/p; fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;
  %[3]s
  server { listen %[2]s ssl backlog=1024; ssl_certificate %[1]s/cert; ssl_certificate_key %[1]s/key; keepalive_requests 100000; keepalive_timeout 300s;
    location / { %[4]s } } }
`

// nginx writes the configuration as a root at `in` sees it.
func nginx(t testing.TB, in, http, location string) (p *program, args []string) {
	t.Helper()
	dir, address := place(t)
	seen := dir
	if in != "" {
		// The folder is put into the root under its own name.
		into := filepath.Join(in, "srv", filepath.Base(filepath.Dir(dir)))
		require.NoError(t, os.MkdirAll(into, 0o755))
		t.Cleanup(func() { _ = os.RemoveAll(into) })
		for _, name := range []string{"cert", "key"} {
			text, err := os.ReadFile(filepath.Join(dir, name))
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(filepath.Join(into, name), text, 0o644))
		}
		dir, seen = into, strings.TrimPrefix(into, in)
	}
	if location == "" {
		location = `client_body_in_single_buffer on; return 200 "hello";`
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "conf"), fmt.Appendf(nil, tlsConf, seen, address, http, location), 0o644))
	p = &program{address: address, filter: selector.Filter{Executable: "nginx", Port: portOf(t, address)}, dir: dir}
	return p, []string{"-p", seen, "-c", filepath.Join(seen, "conf"), "-e", filepath.Join(seen, "error.log")}
}

// withoutTLS changes its configuration.
func withoutTLS(t testing.TB, p *program) {
	t.Helper()
	name := filepath.Join(p.dir, "conf")
	text, err := os.ReadFile(name)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(name, []byte(strings.Replace(string(text), " ssl backlog", " backlog", 1)), 0o644))
}

func startNginx(t *testing.T) *program {
	t.Helper()
	p, args := nginx(t, "", "", "")
	return p.launch(t, exec.Command(find(t, "/usr/sbin/nginx", "nginx-light"), args...)).listening(t)
}

// cached is a folder that a script makes in the cache, or finds there.
func cached(t testing.TB, script string) string {
	t.Helper()
	cmd := exec.Command(script)
	cmd.Stderr = t.Output()
	made, err := cmd.Output()
	require.NoError(t, err, script)
	return strings.TrimSpace(string(made))
}

// inRoot is the nginx of another suite, in a root of its own as a container has it.
func inRoot(suite string) starter {
	return func(t *testing.T) *program {
		t.Helper()
		root := filepath.Join(cached(t, "testdata/roots.sh"), suite)
		// nginx opens it before anything else.
		require.NoError(t, os.WriteFile(filepath.Join(root, "dev/null"), nil, 0o666))
		require.NoError(t, os.WriteFile(filepath.Join(root, "etc/passwd"), []byte("root:x:0:0:root:/root:/bin/sh\n"), 0o644))
		require.NoError(t, os.WriteFile(filepath.Join(root, "etc/group"), []byte("root:x:0:\n"), 0o644))
		p, args := nginx(t, root, "", "")
		args = append(args[:len(args)-2], "-g", "")
		cmd := exec.Command("/usr/sbin/nginx", args[:len(args)-2]...)
		cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root}
		cmd.Dir = "/"
		return p.launch(t, cmd).listening(t)
	}
}

// inMusl is an nginx where nothing but musl is known, in a mount namespace of its own: as in a container of Alpine's.
func inMusl(libraries string) starter {
	return func(t *testing.T) *program {
		t.Helper()
		find(t, "/usr/bin/musl-gcc", "musl-tools")
		root := cached(t, "testdata/musl.sh")
		p, args := nginx(t, root, "", fmt.Sprintf("proxy_pass http://%s; proxy_http_version 1.1;", plainBackend(t)))
		cmd := exec.Command(filepath.Join(root, "enter"), append([]string{root, "/usr/sbin/nginx"}, args...)...)
		cmd.Env = []string{"LD_LIBRARY_PATH=" + libraries}
		return p.launch(t, cmd).listening(t)
	}
}

// ownPrefix is an nginx that brings its own libssl, as OpenResty does.
func ownPrefix(t *testing.T) *program {
	t.Helper()
	p, args := nginx(t, "", "", "")
	for _, name := range []string{"libssl.so.3", "libcrypto.so.3"} {
		text, err := os.ReadFile("/usr/lib/x86_64-linux-gnu/" + name)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(p.dir, name), text, 0o644))
	}
	cmd := exec.Command(find(t, "/usr/sbin/nginx", "nginx-light"), args...)
	cmd.Env = append(os.Environ(), "LD_LIBRARY_PATH="+p.dir)
	return p.launch(t, cmd).listening(t)
}

// replaced is one whose library is another file by now: an upgrade put a new one in its place.
func replaced(t *testing.T) *program {
	t.Helper()
	p := ownPrefix(t)
	require.NoError(t, os.WriteFile(filepath.Join(p.dir, "new"), []byte("another file"), 0o644))
	require.NoError(t, os.Rename(filepath.Join(p.dir, "new"), filepath.Join(p.dir, "libssl.so.3")))
	return p
}

// startHAProxy ends TLS and hands on to a server in the clear.
func startHAProxy(t *testing.T) *program {
	t.Helper()
	dir, address := place(t)
	backend := plainBackend(t)
	conf := filepath.Join(dir, "conf")
	require.NoError(t, os.WriteFile(conf, fmt.Appendf(nil, `global
  maxconn 2000
defaults
  mode http
  timeout client 60s
  timeout server 60s
  timeout connect 5s
frontend in
  bind %s ssl crt %s/both
  default_backend out
backend out
  server one %s
`, address, dir, backend), 0o644))
	p := &program{address: address, filter: selector.Filter{Executable: "haproxy", Port: portOf(t, address)}, dir: dir}
	return p.launch(t, exec.Command(find(t, "/usr/sbin/haproxy", "haproxy"), "-db", "-f", conf)).listening(t)
}

func python(mode string) starter {
	return func(t *testing.T) *program {
		t.Helper()
		dir, address := place(t)
		p := &program{address: address, filter: selector.Filter{Executable: "/usr/bin/python3*"}, dir: dir}
		p.filter.Port = portOf(t, address)
		script, err := filepath.Abs("testdata/server.py")
		require.NoError(t, err)
		cmd := exec.Command(find(t, "/usr/bin/python3", "python3"), script, mode, fmt.Sprint(p.filter.Port), filepath.Join(dir, "cert"), filepath.Join(dir, "key"))
		return p.launch(t, cmd).listening(t)
	}
}
