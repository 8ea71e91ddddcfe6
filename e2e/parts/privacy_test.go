package parts

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	consolev1 "github.com/sidelight/sidelight/proto/gen/sidelight/console/v1"
)

// canaries are secrets, by the place in a request where each is planted. None looks like another.
var canaries = map[string]string{
	"header":        "cnry-hdr-7Qm2xV9kLw4TzR8pYb3N",
	"bearer":        "cnryBearer.8fKq2LmZx0WvTn5RjHd7.Uc1PyGo4",
	"basic":         "cnryBasicPw5Hx9Qz",
	"cookie":        "cnryCookie3vB8nM1kJ6hG4fD2sA",
	"query":         "cnryQuery9wE7rT5yU3iO1pL",
	"path":          "cnryPath4Zx8Cv2Bn6Ml0Kj3Hg7Fd1Sa9Qw5Er",
	"form":          "cnryForm6tG2yH8uJ4iK0oL",
	"json":          "cnryJson1qA5wS9eD3rF7tG",
	"multipart":     "cnryMulti8zX4cV0bN6mL2kJ",
	"grpc metadata": "cnryGrpc5pO1iU7yT3rE9wQ",
	"card":          "4556737586899855",
}

// planted are requests that carry the canaries: once as anybody would, and once beside an attack.
func planted(attack bool, i int) []string {
	extra, tail := "", ""
	if attack {
		extra = "&q=1'%20UNION%20SELECT%20password%20FROM%20users--%20"
		tail = "' OR 1=1 -- "
	}
	c := canaries
	head := func(method, target, more string, body string) string {
		text := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: shop.example.org\r\nUser-Agent: Mozilla/5.0\r\ntraceparent: 00-%s-00f067aa0ba902b7-01\r\n%s", method, target, nonce(), more)
		if body != "" {
			text += fmt.Sprintf("Content-Length: %d\r\n", len(body))
		}
		return text + "\r\n" + body
	}
	basic := base64.StdEncoding.EncodeToString([]byte("alice:" + c["basic"]))
	form := url.Values{"user": {"alice"}, "password": {c["form"]}, "comment": {"hello" + tail}}.Encode()
	json := fmt.Sprintf(`{"user":"alice","credentials":{"password":%q,"card":%q},"comment":"hello%s"}`, c["json"], c["card"], tail)
	multipart := "--xyz\r\nContent-Disposition: form-data; name=\"secret\"\r\n\r\n" + c["multipart"] + "\r\n--xyz\r\nContent-Disposition: form-data; name=\"note\"\r\n\r\nhello" + tail + "\r\n--xyz--\r\n"
	return []string{
		head("GET", "/fixed/h?page=1"+extra, "X-Api-Key: "+c["header"]+"\r\nAuthorization: Bearer "+c["bearer"]+"\r\n", ""),
		head("GET", "/fixed/b?page=1"+extra, "Authorization: Basic "+basic+"\r\n", ""),
		head("GET", "/fixed/c?page=1"+extra, "Cookie: session="+c["cookie"]+"; theme=dark\r\n", ""),
		head("GET", "/fixed/q?access_token="+c["query"]+extra, "", ""),
		head("GET", "/fixed/reset/"+c["path"]+"?page=1"+extra, "", ""),
		head("POST", "/fixed/f", "Content-Type: application/x-www-form-urlencoded\r\n", form),
		head("POST", "/fixed/j", "Content-Type: application/json\r\n", json),
		head("POST", "/fixed/m", "Content-Type: multipart/form-data; boundary=xyz\r\n", multipart),
		head("POST", fmt.Sprintf("/fixed/shop.v1.Orders/Get?n=%d%s", i, extra), "Content-Type: application/grpc\r\ngrpc-timeout: 1S\r\nx-session-token: "+c["grpc metadata"]+"\r\n", "\x00\x00\x00\x00\x00"),
	}
}

// After a full run no canary stands in clear in any table, journal, log, tail, upload, metric, status or dump of a crash.
func TestNoSecretLeavesTheProcessor(t *testing.T) {
	debug := "log: {level: debug, format: text}\n"
	f := newFleet(t, options{log: debug})
	console := f.signIn()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	w := f.watch(ctx, "")
	before := w.count()
	client := &wire{f: f}
	defer client.close()
	sent := 0
	for i := range 6 {
		for _, request := range append(planted(false, i), planted(true, i)...) {
			require.NoError(t, client.send(request))
			sent++
		}
	}
	until(t, 20*time.Second, "all is seen", func() error {
		if n := w.count() - before; n < sent {
			return fmt.Errorf("%d of %d", n, sent)
		}
		return nil
	})
	until(t, 20*time.Second, "attacks and endpoints are in the console", func() error {
		attacks, err := console.Attacks.ListAttacks(ctx, connect.NewRequest(&consolev1.ListAttacksRequest{PageSize: 500}))
		require.NoError(t, err)
		endpoints, err := console.ListEndpoints(ctx)
		require.NoError(t, err)
		if len(attacks.Msg.GetAttacks()) < 8 || len(endpoints) < 8 {
			return fmt.Errorf("%d attacks, %d endpoints", len(attacks.Msg.GetAttacks()), len(endpoints))
		}
		return nil
	})
	<-time.After(3 * time.Second) // the slow lanes: counters, statuses

	sinks := map[string][]byte{"tables": f.postgres.dump(f), "tail": w.bytes(t)}
	f.eachCertified(func(p *process) {
		for _, page := range []string{"/metrics", "/statusz"} {
			require.NoError(t, f.ops(p, page, func(r *http.Response) error {
				text, err := io.ReadAll(r.Body)
				sinks[p.name+page] = text
				return err
			}))
		}
		limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", p.pid()))
		require.NoError(t, err)
		require.Regexp(t, `Max core file size\s+1\s+1`, string(limits), "%s would write its memory to a file", p.name)
	})
	// The loudest crash there is, with every goroutine's stack.
	f.eachCertified(func(p *process) { p.crash() })
	require.NoError(t, filepath.WalkDir(f.dir, func(path string, entry fs.DirEntry, err error) error {
		// nginx, the mirrored, knows what it was sent; and it is Postgres' dump that is read, whole.
		if err != nil || entry.IsDir() || strings.HasPrefix(path, f.site.nginx.dir) || strings.HasPrefix(path, f.postgres.dir) || !entry.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		sinks[strings.TrimPrefix(path, f.dir)] = text
		return err
	}))
	require.Contains(t, string(sinks["/processor-1/log"]), "goroutine ", "the crash was said")
	total := 0
	for sink, text := range sinks {
		total += len(text)
		for place, secret := range canaries {
			for _, form := range [][]byte{
				[]byte(secret), []byte(base64.StdEncoding.EncodeToString([]byte(secret))), []byte(hex.EncodeToString([]byte(secret))),
				[]byte(base64.StdEncoding.EncodeToString([]byte("alice:" + secret))),
			} {
				if at := bytes.Index(text, form); at >= 0 {
					t.Errorf("the %s canary stands in %s: …%q…", place, sink, text[max(0, at-120):min(len(text), at+len(form)+40)])
				}
			}
		}
	}
	t.Logf("%d requests; %d sinks with %d bytes were read", sent, len(sinks), total)
}

// bytes is all that the tail has shown.
func (w *tail) bytes(t testing.TB) []byte {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []byte
	for _, list := range w.all {
		for _, s := range list {
			text, err := proto.Marshal(s)
			require.NoError(t, err)
			all = append(all, text...)
		}
	}
	return all
}

// crash ends it as a bug in the runtime would.
func (p *process) crash() {
	p.t.Helper()
	p.mu.Lock()
	p.meant = true
	p.mu.Unlock()
	p.end(syscall.SIGABRT)
}
