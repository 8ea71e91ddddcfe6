package local

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"

	consolev1 "github.com/sidelight/sidelight/proto/gen/sidelight/console/v1"
)

// maxAgent is the memory that the agent may ever have used.
const maxAgent = 150 << 20

// Random bytes, bodies that lie about their length, heads of a megabyte: nothing crashes, the agent stays small, and what
// comes after is still seen.
func TestHostileInput(t *testing.T) {
	r := quiet(t, "nginx")
	random := rand.New(rand.NewPCG(1, 2))
	hostile := map[string]func(i int) string{
		"random bytes": func(int) string {
			noise := make([]byte, 4000)
			for i := range noise {
				noise[i] = byte(random.Uint32())
			}
			return string(noise)
		},
		"body shorter than it says": func(int) string { return "POST /lie HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nshort" },
		"body longer than it says": func(int) string {
			return "POST /lie HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n" + strings.Repeat("GET /planted HTTP/1.1\r\n", 20)
		},
		"head of a megabyte": func(int) string {
			return "GET /big HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("x", 1<<20) + "\r\n\r\n"
		},
		"many headers": func(int) string {
			return "GET /many HTTP/1.1\r\nHost: a\r\n" + strings.Repeat("X-A: b\r\n", 20000) + "\r\n"
		},
		"broken chunks": func(int) string {
			return "POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nx\r\nzz\r\n"
		},
		"large body": func(int) string {
			return "POST /l HTTP/1.1\r\nHost: a\r\nContent-Length: 4000000\r\n\r\n" + strings.Repeat("b", 4000000)
		},
	}
	for name, make := range hostile {
		for i := range 30 {
			conn, err := net.Dial("tcp", r.shop)
			require.NoError(t, err, name)
			// Some never get an answer: a body that does not come, for one.
			require.NoError(t, conn.SetDeadline(time.Now().Add(200*time.Millisecond)))
			// nginx may close in the middle: that is its answer.
			_, _ = io.WriteString(conn, make(i))
			_, _ = bufio.NewReader(conn).ReadString('\n')
			require.NoError(t, conn.Close())
		}
	}
	attacks := r.signIn(t)
	load(t, r.shop, 1, func(int) string {
		return "GET /after/etc/passwd HTTP/1.1\r\nHost: a\r\nUser-Agent: test/1.0\r\nAccept: */*\r\n\r\n"
	})
	require.Eventually(t, func() bool {
		list, err := attacks.ListAttacks(t.Context(), connect.NewRequest(&consolev1.ListAttacksRequest{Types: []string{"ptrav"}}))
		require.NoError(t, err)
		for _, a := range list.Msg.GetAttacks() {
			if a.GetTarget().GetPath() == "/after/etc/passwd" {
				return true
			}
		}
		return false
	}, 30*time.Second, 50*time.Millisecond, "what comes after is still seen")

	peak := memory(t, r.find(t, "child agent"), "VmHWM")
	t.Logf("agent's largest memory: %d MiB", peak>>20)
	require.Less(t, peak, int64(maxAgent))
	require.NoError(t, r.cmd.Process.Signal(os.Interrupt))
	r.end(t)
}

func memory(t *testing.T, pid int, field string) int64 {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	require.NoError(t, err)
	m := regexp.MustCompile(field + `:\s+(\d+) kB`).FindStringSubmatch(string(text))
	require.NotNil(t, m)
	kib, err := strconv.ParseInt(m[1], 10, 64)
	require.NoError(t, err)
	return kib << 10
}

// The three requests of the first page of any test of such a product, through nginx: with the status that nginx gave.
func TestThreeCurls(t *testing.T) {
	r := quiet(t, "nginx")
	attacks := r.signIn(t)
	load(t, r.shop, 3, func(i int) string {
		target := []string{"/etc/passwd", "/?q=%27%20or%201%3D1--%20-", "/docs/etc/passwords"}[i]
		return fmt.Sprintf("GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: curl/8.5.0\r\nAccept: */*\r\n\r\n", target, r.shop)
	})
	found := map[string]string{}
	require.Eventually(t, func() bool {
		list, err := attacks.ListAttacks(t.Context(), connect.NewRequest(&consolev1.ListAttacksRequest{}))
		require.NoError(t, err)
		for _, a := range list.Msg.GetAttacks() {
			detail, err := attacks.GetAttack(t.Context(), connect.NewRequest(&consolev1.GetAttackRequest{Cluster: a.GetCluster(), Id: a.GetId()}))
			require.NoError(t, err)
			hit := detail.Msg.GetAttack().GetSamples()[0]
			e := hit.GetEvidence()
			found[a.GetType()+" "+a.GetPoint()] = fmt.Sprintf("%s %d %s %s", e.GetText()[e.GetOffset()-e.GetTextOffset():][:e.GetLength()],
				hit.GetRequest().GetStatus(), hit.GetRequest().GetClient().GetAddress(), hit.GetRequest().GetWorkload().GetService())
		}
		return len(found) >= 2
	}, 20*time.Second, 50*time.Millisecond)
	require.Len(t, found, 2, "the third is silent")
	require.Equal(t, "/etc/passwd 404 127.0.0.1 nginx", found["ptrav path"])
	require.Regexp(t, `^%27%20or%201%3D\S* 404 127\.0\.0\.1 nginx$`, found["sqli query.q"], "the bytes as they stood")
	require.NoError(t, r.cmd.Process.Signal(os.Interrupt))
	r.end(t)
}
