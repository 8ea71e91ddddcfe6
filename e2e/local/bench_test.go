package local

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"

	"github.com/sidelight/sidelight/console/genconnect/sidelight/console/v1/consolev1connect"
	consolev1 "github.com/sidelight/sidelight/proto/gen/sidelight/console/v1"
)

// running is a demo that stays up, and what it printed of itself.
type running struct {
	*demo
	shop, console, password string
}

func stay(t testing.TB, args ...string) *running {
	d := startDemo(t, append([]string{"--seed=7", "--stay"}, args...)...)
	r := &running{demo: d}
	r.shop = d.until(t, `shop behind nginx http://([^\s,]+)`)[1]
	m := d.until(t, `^live traffic goes on.*Sign in at (\S+) as admin with (\S+)`)
	r.console, r.password = m[1], m[2]
	return r
}

// cpu sums the processor time of the demo's processes whose command line has the text, in seconds.
func (r *running) cpu(t testing.TB, text string) float64 {
	t.Helper()
	sum := 0.0
	for pid, line := range children(r.cmd.Process.Pid) {
		if !strings.Contains(line, text) {
			continue
		}
		stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
		if err != nil {
			continue
		}
		fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
		for _, field := range fields[11:13] {
			ticks, err := strconv.ParseFloat(field, 64)
			require.NoError(t, err)
			sum += ticks / 100
		}
	}
	return sum
}

// load sends n requests over one kept connection.
func load(t testing.TB, address string, n int, request func(int) string) {
	t.Helper()
	require.NoError(t, play(address, n, request))
}

func play(address string, n int, request func(int) string) error {
	var (
		conn   net.Conn
		reader *bufio.Reader
		err    error
	)
	for i := range n {
		if conn == nil {
			if conn, err = net.Dial("tcp", address); err != nil {
				return err
			}
			reader = bufio.NewReader(conn)
		}
		if _, err := io.WriteString(conn, request(i)); err != nil {
			return errors.Join(err, conn.Close())
		}
		answer, err := http.ReadResponse(reader, nil)
		if err != nil {
			return errors.Join(err, conn.Close())
		}
		if _, err := io.Copy(io.Discard, answer.Body); err != nil {
			return errors.Join(err, conn.Close())
		}
		if answer.Close {
			if err := conn.Close(); err != nil {
				return err
			}
			conn = nil
		}
	}
	if conn == nil {
		return nil
	}
	return conn.Close()
}

func ordinary(int) string {
	return "GET /products/4711?color=green HTTP/1.1\r\nHost: shop.example.org\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\n" +
		"Accept: application/json\r\nAccept-Language: en\r\nAccept-Encoding: gzip\r\nCookie: session=3b1f0c2d; theme=dark\r\n\r\n"
}

// BenchmarkPipeline: processor time per exchange of each process, with and without the agent's programs attached.
func BenchmarkPipeline(b *testing.B) {
	const n = 3000
	for b.Loop() {
		var nginx [2]float64
		for i, filters := range []string{"none", "nginx"} {
			r := quiet(b, filters)
			before := map[string]float64{}
			names := []string{"nginx: worker", "child agent", "child services", "postgres"}
			for _, name := range names {
				before[name] = r.cpu(b, name)
			}
			load(b, r.shop, n, ordinary)
			// The last flush and upload belong to it.
			<-time.After(3 * time.Second)
			nginx[i] = (r.cpu(b, "nginx: worker") - before["nginx: worker"]) / n * 1e6
			if filters == "nginx" {
				b.ReportMetric((r.cpu(b, "child agent")-before["child agent"])/n*1e6, "agent-µs/exchange")
				b.ReportMetric((r.cpu(b, "child services")-before["child services"])/n*1e6, "services-µs/exchange")
				b.ReportMetric((r.cpu(b, "postgres")-before["postgres"])/n*1e6, "postgres-µs/exchange")
			}
			_ = r.cmd.Process.Signal(os.Interrupt)
			r.end(b)
		}
		b.ReportMetric(nginx[0], "nginx-alone-µs/request")
		b.ReportMetric(nginx[1], "nginx-mirrored-µs/request")
		b.ReportMetric(nginx[1]/nginx[0], "nginx-ratio")
	}
}

// quiet is a demo without live traffic of its own: only what the benchmark sends is there.
func quiet(t testing.TB, filters string) *running {
	d := startDemo(t, "--seed=7", "--idle", "--filters="+filters)
	r := &running{demo: d}
	r.shop = d.until(t, `shop behind nginx http://([^\s,]+)`)[1]
	m := d.until(t, `^idle until Ctrl-C.*Sign in at (\S+) as admin with (\S+)`)
	r.console, r.password = m[1], m[2]
	return r
}

// BenchmarkCurlToConsole: from sending an attack to its hit standing in the console's list.
func BenchmarkCurlToConsole(b *testing.B) {
	const n, pace = 1000, 20 * time.Millisecond
	for b.Loop() {
		r := quiet(b, "nginx")
		attacks := r.signIn(b)
		sent := make([]time.Time, n)
		visible := make([]time.Duration, 0, n)
		played := make(chan error, 1)
		go func() {
			ticker := time.NewTicker(pace)
			defer ticker.Stop()
			played <- play(r.shop, n, func(i int) string {
				<-ticker.C
				sent[i] = time.Now()
				return fmt.Sprintf("GET /bench?file=/etc/passwd&n=%d HTTP/1.1\r\nHost: shop.example.org\r\nUser-Agent: bench/1.0\r\nAccept: */*\r\n\r\n", i)
			})
		}()
		deadline := time.Now().Add(2 * time.Minute)
		for len(visible) < n && time.Now().Before(deadline) {
			list, err := attacks.ListAttacks(context.Background(), connect.NewRequest(&consolev1.ListAttacksRequest{PageSize: 500, Types: []string{"ptrav"}}))
			require.NoError(b, err)
			now := time.Now()
			for _, a := range list.Msg.GetAttacks() {
				if a.GetTarget().GetPath() == "/bench" {
					for len(visible) < min(n, int(a.GetHitCount())) {
						visible = append(visible, now.Sub(sent[len(visible)]))
					}
				}
			}
			<-time.After(5 * time.Millisecond)
		}
		require.NoError(b, <-played)
		require.Len(b, visible, n)
		slices.Sort(visible)
		b.ReportMetric(float64(visible[n/2].Milliseconds()), "p50-ms")
		b.ReportMetric(float64(visible[n*99/100].Milliseconds()), "p99-ms")
		_ = r.cmd.Process.Signal(os.Interrupt)
		r.end(b)
	}
}

// signIn gives the console's own API, as a person's browser uses it.
func (r *running) signIn(t testing.TB) consolev1connect.AttackServiceClient {
	t.Helper()
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	// The run's own CA is not at hand here; the address is loopback.
	client := &http.Client{Jar: jar, Transport: origin{r.console, &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true}}}
	_, err = consolev1connect.NewSessionServiceClient(client, r.console+"/api").
		Login(context.Background(), connect.NewRequest(&consolev1.LoginRequest{User: "admin", Password: r.password}))
	require.NoError(t, err)
	return consolev1connect.NewAttackServiceClient(client, r.console+"/api")
}

type origin struct {
	url  string
	next http.RoundTripper
}

func (o origin) RoundTrip(r *http.Request) (*http.Response, error) {
	r.Header.Set("Origin", o.url)
	return o.next.RoundTrip(r)
}
