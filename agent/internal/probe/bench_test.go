package probe

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sidelight/sidelight/agent/internal/probe/minimal"
	"github.com/sidelight/sidelight/agent/internal/tlsprobe"
	"github.com/sidelight/sidelight/internal/testkit"
)

// rounds of each setting, by turns: what the machine does meanwhile falls on all alike.
const rounds = 25

// setting is one way of watching nginx; it gives what ends it.
type setting struct {
	name  string
	watch func(b *testing.B, n *benchNginx) (stop func())
}

// compare measures the processor time of nginx per request under each setting, and reports what each adds to the first: the middle
// of the differences within a round, since a machine is not as fast in one second as in the next.
func compare(b *testing.B, n *benchNginx, list []setting) (added []float64) {
	b.Helper()
	const requests = 3000
	alone, differences := make([]float64, 0, rounds), make([][]float64, len(list))
	for range rounds {
		for i, s := range list {
			stop := s.watch(b, n)
			n.flood(b, 400)
			before := n.cpu(b)
			n.flood(b, requests)
			perRequest := float64(n.cpu(b)-before) / requests
			stop()
			if i == 0 {
				alone = append(alone, perRequest)
			}
			differences[i] = append(differences[i], perRequest-alone[len(alone)-1])
		}
	}
	b.ReportMetric(median(alone)/1000, "µs/request:"+list[0].name)
	for i, s := range list {
		added = append(added, median(differences[i]))
		if i > 0 {
			b.ReportMetric(added[i]/1000, "µs/request:+"+s.name)
		}
	}
	return added
}

func median(list []float64) float64 {
	slices.Sort(list)
	return list[len(list)/2]
}

func nothing(*testing.B, *benchNginx) func() { return func() {} }

func watchMinimal(b *testing.B, n *benchNginx) func() {
	ctx, cancel := context.WithCancel(context.Background())
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- minimal.Capture(ctx, n.pids, func() { close(ready) }) }()
	select {
	case <-ready:
	case err := <-ended:
		b.Fatal(err)
	}
	return func() {
		cancel()
		require.NoError(b, <-ended)
	}
}

// watchWith runs the probe as the agent does, with these places in the TLS library.
func watchWith(sites func(*tlsprobe.Plan) []tlsprobe.Site) func(*testing.B, *benchNginx) func() {
	return watch(DefaultConfig(), sites)
}

func watch(cfg Config, sites func(*tlsprobe.Plan) []tlsprobe.Site) func(*testing.B, *benchNginx) func() {
	return func(b *testing.B, n *benchNginx) func() {
		p := New(cfg, testkit.Quiet())
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- p.Run(ctx, Handlers{Event: func(*Event) {}, Idle: func() {}}) }()
		var targets []Target
		for _, pid := range n.pids {
			targets = append(targets, Target{pid, []uint16{n.port}})
		}
		require.NoError(b, p.SetTargets(targets))
		if sites != nil {
			file, err := os.Open(libssl)
			require.NoError(b, err)
			plan, err := tlsprobe.Inspect(file)
			require.NoError(b, err)
			_, err = p.AttachLibrary(libssl, sites(plan))
			require.NoError(b, err)
			for _, pid := range n.pids {
				require.NoError(b, p.MarkTLS(pid))
			}
		}
		return func() {
			require.Zero(b, p.Stats().RingFullBytes)
			require.NotZero(b, p.Stats().Events)
			cancel()
			require.NoError(b, <-ended)
		}
	}
}

const libssl = "/usr/lib/x86_64-linux-gnu/libssl.so.3"

// BenchmarkPlainRequest: what a mirrored nginx pays for a request on a kept connection, beside the least that capture can cost.
func BenchmarkPlainRequest(b *testing.B) {
	n := startBenchNginx(b, false)
	for b.Loop() {
		added := compare(b, n, []setting{{"alone", nothing}, {"minimal", watchMinimal}, {"sidelight", watchWith(nil)}})
		b.ReportMetric(added[2]/added[1], "×minimal")
	}
}

// BenchmarkTLSRequest: the same over TLS, beside probes where most programs put them.
func BenchmarkTLSRequest(b *testing.B) {
	n := startBenchNginx(b, true)
	planned := func(p *tlsprobe.Plan) []tlsprobe.Site { return p.Sites }
	for b.Loop() {
		added := compare(b, n, []setting{{"alone", nothing}, {"exported", watchWith(exported)}, {"sidelight", watchWith(planned)}})
		b.ReportMetric(added[2]/added[1], "×exported")
	}
}

// exported are the entries of the functions that programs call.
func exported(*tlsprobe.Plan) []tlsprobe.Site {
	out, err := exec.Command("nm", "-D", "--defined-only", libssl).Output()
	if err != nil {
		panic("listing the symbols of libssl: " + err.Error())
	}
	roles := map[string]tlsprobe.Role{
		"SSL_read": tlsprobe.Read, "SSL_read_ex": tlsprobe.ReadEx, "SSL_write": tlsprobe.Write, "SSL_write_ex": tlsprobe.WriteEx,
	}
	var list []tlsprobe.Site
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		name, _, _ := strings.Cut(fields[len(fields)-1], "@")
		if role, ok := roles[name]; ok {
			// In this library, text lies in the file where it lies in memory.
			offset, err := strconv.ParseUint(fields[0], 16, 64)
			if err == nil {
				list = append(list, tlsprobe.Site{Role: role, Function: name, Offset: offset})
			}
		}
	}
	return list
}

// BenchmarkBystander: what a process that is not mirrored pays for a system call, while another one is: one that has nothing to do with
// sockets, and a pair that moves a byte over a connection.
func BenchmarkBystander(b *testing.B) {
	n := startBenchNginx(b, false)
	here, there := tcpPair(b)
	kinds := []struct {
		name  string
		calls int
		call  func()
	}{
		{"getppid", 300_000, func() { _, _, _ = syscall.RawSyscall(syscall.SYS_GETPPID, 0, 0, 0) }},
		{"send+recv", 50_000, func() {
			var one [1]byte
			_, _ = syscall.Write(here, one[:])
			_, _ = syscall.Read(there, one[:])
		}},
	}
	for _, backend := range []string{BackendSockets, BackendCalls} {
		if _, err := choose(backend); err != nil {
			b.Log(err)
			continue
		}
		for _, kind := range kinds {
			b.Run(backend+"/"+kind.name, func(b *testing.B) {
				call := func() float64 {
					began := time.Now()
					for range kind.calls {
						kind.call()
					}
					return float64(time.Since(began)) / float64(kind.calls)
				}
				for b.Loop() {
					var alone, beside []float64
					for range 7 {
						alone = append(alone, call())
						stop := watch(defaults(backend), nil)(b, n)
						n.ask(b, 1)
						beside = append(beside, call())
						stop()
					}
					b.ReportMetric(median(alone), "ns:alone")
					b.ReportMetric(median(beside)-median(alone), "ns:added")
				}
			})
		}
	}
}

// tcpPair is both ends of a connection of this process.
func tcpPair(b *testing.B) (here, there int) {
	b.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(b, err)
	defer listener.Close()
	conn, err := net.Dial("tcp", listener.Addr().String())
	require.NoError(b, err)
	other, err := listener.Accept()
	require.NoError(b, err)
	for i, c := range []net.Conn{conn, other} {
		defer c.Close()
		file, err := c.(*net.TCPConn).File()
		require.NoError(b, err)
		// The runtime's own way of waiting is no part of it.
		require.NoError(b, syscall.SetNonblock(int(file.Fd()), false))
		b.Cleanup(func() { _ = file.Close() })
		if i == 0 {
			here = int(file.Fd())
		} else {
			there = int(file.Fd())
		}
	}
	return here, there
}

// benchNginx is a real nginx with one worker, and kept connections to it.
type benchNginx struct {
	pids    []uint32
	port    uint16
	clients []*benchClient
}

const request = "GET /index.html HTTP/1.1\r\nHost: shop.example.org\r\nUser-Agent: bench/1.0\r\nAccept: */*\r\nX-A: 1\r\nX-B: 2\r\nX-C: 3\r\nCookie: a=b; c=d\r\n\r\n"

func startBenchNginx(b testing.TB, withTLS bool) *benchNginx {
	b.Helper()
	testkit.RequireRoot(b)
	dir := b.TempDir()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(b, err)
	address := free.Addr().String()
	require.NoError(b, free.Close())
	listen := address + ";"
	if withTLS {
		out, err := exec.Command("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1",
			"-subj", "/CN=localhost", "-keyout", dir+"/key", "-out", dir+"/cert").CombinedOutput()
		require.NoError(b, err, "%s", out)
		listen = fmt.Sprintf("%s ssl; ssl_certificate %s/cert; ssl_certificate_key %s/key;", address, dir, dir)
	}
	conf := fmt.Sprintf(`daemon off; worker_processes 1; user root; pid %[1]s/pid; error_log %[1]s/error.log; events {}
http { access_log off; client_body_temp_path %[1]s/b; proxy_temp_path %[1]s/p; fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;
  server { listen %[2]s keepalive_requests 10000000; location / { return 200 "hello, world\n"; } } }`, dir, listen)
	require.NoError(b, os.WriteFile(filepath.Join(dir, "conf"), []byte(conf), 0o600))
	cmd := exec.Command("/usr/sbin/nginx", "-p", dir, "-c", filepath.Join(dir, "conf"), "-e", filepath.Join(dir, "error.log"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	require.NoError(b, cmd.Start())
	b.Cleanup(func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL); _ = cmd.Wait() })
	n := &benchNginx{port: uint16(free.Addr().(*net.TCPAddr).Port)}
	dial := func() (net.Conn, error) {
		if withTLS {
			return tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true})
		}
		return net.Dial("tcp", address)
	}
	for range 8 {
		var conn net.Conn
		require.Eventually(b, func() bool { conn, err = dial(); return err == nil }, 10*time.Second, 10*time.Millisecond)
		b.Cleanup(func() { _ = conn.Close() })
		n.clients = append(n.clients, &benchClient{conn, bufio.NewReader(conn)})
	}
	n.pids = append(n.pids, uint32(cmd.Process.Pid))
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", cmd.Process.Pid, cmd.Process.Pid))
	require.NoError(b, err)
	for text := range strings.FieldsSeq(string(children)) {
		pid, err := strconv.ParseUint(text, 10, 32)
		require.NoError(b, err)
		n.pids = append(n.pids, uint32(pid))
	}
	return n
}

func (n *benchNginx) ask(b testing.TB, count int) {
	b.Helper()
	require.NoError(b, n.clients[0].ask(count))
}

// flood asks over all connections at once, so that nginx never waits: what it costs a processor to fall asleep and to wake would
// hide what is measured.
func (n *benchNginx) flood(b testing.TB, count int) {
	b.Helper()
	errs := make(chan error, len(n.clients))
	for _, c := range n.clients {
		go func() { errs <- c.ask(count / len(n.clients)) }()
	}
	for range n.clients {
		require.NoError(b, <-errs)
	}
}

// benchClient is a kept connection.
type benchClient struct {
	conn   net.Conn
	reader *bufio.Reader
}

func (c *benchClient) ask(count int) error {
	for range count {
		if _, err := io.WriteString(c.conn, request); err != nil {
			return err
		}
		answer, err := http.ReadResponse(c.reader, nil)
		if err != nil {
			return err
		}
		if _, err := io.Copy(io.Discard, answer.Body); err != nil {
			return err
		}
	}
	return nil
}

// cpu is the time that nginx ran, in nanoseconds: what programs of ours do in its calls is in it.
func (n *benchNginx) cpu(b *testing.B) uint64 {
	b.Helper()
	var sum uint64
	for _, pid := range n.pids {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/schedstat", pid))
		require.NoError(b, err)
		ran, err := strconv.ParseUint(strings.Fields(string(text))[0], 10, 64)
		require.NoError(b, err)
		sum += ran
	}
	return sum
}
