package agent

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sidelight/sidelight/agent/internal/selector"
)

func get(target string) string {
	return "GET " + target + " HTTP/1.1\r\nHost: localhost\r\n\r\n"
}

// A process that listens, is mirrored, and loads its TLS library long after.
func TestTLSLibraryLoadedLate(t *testing.T) {
	requireBPF(t)
	dir, address := place(t)
	script, err := filepath.Abs("testdata/server.py")
	require.NoError(t, err)
	p := &program{address: address, filter: selector.Filter{Executable: "/usr/bin/python3*", Service: "lazy"}, dir: dir}
	cmd := exec.Command(find(t, "/usr/bin/python3", "python3"), script, "lazy", fmt.Sprint(portOf(t, address)), filepath.Join(dir, "cert"), filepath.Join(dir, "key"))
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	p.launch(t, cmd)
	_, err = bufio.NewReader(stdout).ReadString('\n')
	require.NoError(t, err)
	s := &site{aggregator: &aggregator{came: make(chan struct{}, 1)}, address: address, filters: []selector.Filter{p.filter}}
	s.run(t)
	_, err = io.WriteString(p.stdin, "go\n")
	require.NoError(t, err)
	p.listening(t)
	// Whoever comes a moment after the library must be seen.
	s.hooked(t)
	c := dialTLS(t, address)
	require.NoError(t, c.ask(get("/late")))
	require.Equal(t, get("/late"), asSent(s.aggregator.await(t, "/late")[0]))
}

// Where nothing but musl is known the library is found by its path there, in a mount namespace of its own. What the linker was
// told decides which functions have probes; all that is captured is the same.
func TestTLSMusl(t *testing.T) {
	for name, test := range map[string]struct{ libraries, site, why string }{
		"linked as Alpine does":               {"/lib", "^ssl_read_internal, ssl_write_internal$", "^$"},
		"DT_HASH only, no table of functions": {"/opt/plain", "^SSL_read, SSL_read_ex, SSL_write, SSL_write_ex2?$", "no function is known to begin where SSL_read calls ssl_read_internal"},
	} {
		t.Run(name, func(t *testing.T) {
			requireBPF(t)
			p := inMusl(test.libraries)(t)
			s := mirror(t, p)
			list := s.agent.status().GetCoverage()
			require.NotEmpty(t, list)
			for _, c := range list {
				require.Len(t, c.GetTls(), 1)
				told := c.GetTls()[0]
				require.Equal(t, filepath.Join(test.libraries, "libssl.so.3"), told.GetLibrary())
				require.Regexp(t, `^3\.`, told.GetVersion())
				require.Regexp(t, test.site, told.GetSite())
				require.Regexp(t, test.why, told.GetWhy())
			}
			c := dialTLS(t, p.address)
			require.NoError(t, c.ask(get("/musl")))
			got := s.aggregator.await(t, "/musl")
			require.Equal(t, get("/musl"), asSent(got[0]))
			require.Equal(t, uint64(len("hello")), got[len(got)-1].GetResponse().GetBodySize())
		})
	}
}

// The same library also speaks for a process that is a client: that makes no exchanges.
func TestTLSClientLegs(t *testing.T) {
	requireBPF(t)
	upstream := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.URL.Path) }))
	t.Cleanup(upstream.Close)
	p, args := nginx(t, "", fmt.Sprintf("upstream app { server %s; keepalive 4; }", strings.TrimPrefix(upstream.URL, "https://")),
		`proxy_pass https://app/behind$uri; proxy_http_version 1.1; proxy_set_header Connection "";`)
	p.launch(t, exec.Command(find(t, "/usr/sbin/nginx", "nginx-light"), args...)).listening(t)
	s := mirror(t, p)
	c := dialTLS(t, p.address)
	for i := range 20 {
		require.NoError(t, c.ask(get(fmt.Sprintf("/%d", i))))
	}
	s.aggregator.await(t, "/19")
	require.Len(t, s.aggregator.targets(), 20)
	require.Zero(t, s.agent.probe.Stats().TLSMismatches)
	require.Zero(t, s.agent.probe.Stats().TLSUnplacedBytes)
	require.NotZero(t, s.agent.probe.Stats().ClientLegBytes)

	// And a client alone.
	curl := exec.Command(find(t, "/usr/bin/curl", "curl"), "-sk", upstream.URL+"/curl")
	s.stop()
	alone := &site{aggregator: &aggregator{came: make(chan struct{}, 1)}, address: p.address, filters: append(s.filters, selector.Filter{Executable: "curl"})}
	alone.run(t)
	text, err := curl.Output()
	require.NoError(t, err)
	require.Equal(t, "/curl", string(text))
	require.NoError(t, c.ask(get("/last")))
	alone.aggregator.await(t, "/last")
	require.Len(t, alone.aggregator.targets(), 1)
}

// Connections that are older than the agent: the next complete request of each is captured.
func TestOlderConnections(t *testing.T) {
	requireBPF(t)
	for _, name := range []string{"nginx", "haproxy", "python", "python, asyncio"} {
		t.Run(name, func(t *testing.T) {
			p := programs[name](t)
			c := dialTLS(t, p.address)
			require.NoError(t, c.ask(get("/before")))
			s := mirror(t, p)
			if name == "python" {
				// Its thread waits within the library, in a call that began before there were probes. What that call
				// reads is not seen, and is not hidden either.
				require.NoError(t, c.ask(get("/within")))
				require.Eventually(t, func() bool { return len(s.agent.status().GetCoverage()[0].GetTls()) == 2 }, 10*time.Second, 10*time.Millisecond)
			}
			require.NoError(t, c.ask(get("/after-1")))
			require.NoError(t, c.ask(get("/after-2")))
			require.Equal(t, get("/after-1"), asSent(s.aggregator.await(t, "/after-1")[0]))
			require.Equal(t, c.port, s.aggregator.await(t, "/after-2")[0].GetConnection().GetPeer().GetPort())
			// Another agent after this one numbers the bytes on: no two requests share an id.
			s.stop()
			require.NoError(t, c.ask(get("/unseen")))
			next := mirror(t, p)
			if name == "python" {
				require.NoError(t, c.ask(get("/within")))
			}
			require.NoError(t, c.ask(get("/again")))
			again := next.aggregator.await(t, "/again")
			for _, e := range s.aggregator.exchanges {
				require.NotEqual(t, e.GetId(), again[0].GetId())
			}
			require.Len(t, next.aggregator.targets(), 1)
			require.Zero(t, next.agent.probe.Stats().TLSMismatches)
		})
	}
	t.Run("plain", func(t *testing.T) {
		s := newSite(t)
		s.stop()
		conn, err := net.Dial("tcp", s.address)
		require.NoError(t, err)
		defer conn.Close()
		reader := bufio.NewReader(conn)
		ask := func(target string) {
			_, err := io.WriteString(conn, get(target))
			require.NoError(t, err)
			answer, err := http.ReadResponse(reader, nil)
			require.NoError(t, err)
			_, err = io.Copy(io.Discard, answer.Body)
			require.NoError(t, err)
		}
		ask("/before")
		next := &site{aggregator: &aggregator{came: make(chan struct{}, 1)}, address: s.address, filters: s.filters}
		next.run(t)
		ask("/after")
		require.Equal(t, get("/after"), asSent(next.aggregator.await(t, "/after")[0]))
	})
}

// From its first instruction to its first captured request, TLS included; and nothing that was selected costs anything soon
// after it is no more.
func TestHowSoon(t *testing.T) {
	requireBPF(t)
	// One is mirrored all the while, so that the programs are loaded, as on any host in use; then none is.
	for _, test := range []struct {
		name  string
		other bool
	}{{"others are mirrored", true}, {"the first one", false}} {
		t.Run(test.name, func(t *testing.T) {
			// A name of its own: other tests run nginx too.
			dir, _ := place(t)
			text, err := os.ReadFile(find(t, "/usr/sbin/nginx", "nginx-light"))
			require.NoError(t, err)
			binary := filepath.Join(dir, "soon")
			require.NoError(t, os.WriteFile(binary, text, 0o755))
			s := &site{aggregator: &aggregator{came: make(chan struct{}, 1)}, filters: []selector.Filter{{Executable: "soon"}}}
			if test.other {
				p := startNginx(t)
				s.filters = append(s.filters, p.filter)
			}
			s.runWithout(t)
			var took []time.Duration
			for i := range 10 {
				p, args := nginx(t, "", "", "")
				began := time.Now()
				p.launch(t, exec.Command(binary, args...))
				took = append(took, s.firstCaptured(t, p.address, i, began))
				require.NoError(t, syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL))
				if !test.other {
					require.Eventually(t, func() bool { return !s.agent.Attached() }, 2*time.Second, 10*time.Millisecond, "nothing is selected: nothing is attached; %v", s.agent.status().GetCoverage())
				}
			}
			slices.Sort(took)
			t.Logf("from start to the first request that is captured: %v", took)
			// The machine of the tests may be busy: what is promised is measured where it is not.
			require.Less(t, took[len(took)/2], time.Second)
		})
	}
}

// firstCaptured asks again and again until a request was captured, and tells when that one was sent.
func (s *site) firstCaptured(t *testing.T, address string, i int, began time.Time) time.Duration {
	t.Helper()
	for n := 0; ; n++ {
		target := fmt.Sprintf("/%d/%d", i, n)
		require.Less(t, time.Since(began), 10*time.Second)
		asked := time.Now()
		c, err := tryTLS(address)
		if err != nil {
			continue
		}
		err = c.ask(get(target))
		_ = c.conn.Close()
		for err == nil && time.Since(asked) < 100*time.Millisecond {
			if len(s.aggregator.of(target)) > 0 {
				return asked.Sub(began)
			}
			waitFor(s.aggregator.came, 10*time.Millisecond)
		}
	}
}

func waitFor(came <-chan struct{}, most time.Duration) {
	select {
	case <-came:
	case <-time.After(most):
	}
}
