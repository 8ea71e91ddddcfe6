package local

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/sidelight/sidelight/internal/testkit/hostile"
)

// hostileRequests carry the corpus wherever HTTP lets a stranger choose a name or a value: once as an attack, once benign.
func hostileRequests() []string {
	var list []string
	for _, text := range hostile.Corpus() {
		if text == "" {
			continue
		}
		// What nginx takes as it stands in a header: all but the ends of lines and NUL.
		raw := strings.NewReplacer("\r", " ", "\n", " ", "\x00", " ").Replace(text)
		escaped := url.QueryEscape(text)
		head := "\r\nHost: shop.example.org\r\nUser-Agent: " + raw + "\r\nReferer: " + raw + "\r\nCookie: a=" + raw + "\r\nX-Text: " + raw + "\r\nAccept: */*\r\n\r\n"
		list = append(list,
			"GET /products/"+url.PathEscape(text)+"?q="+escaped+"&"+escaped+"=1 HTTP/1.1"+head,
			"GET /"+url.PathEscape(text)+"/etc/passwd?q=1'%20UNION%20SELECT%20password%20FROM%20users--%20"+escaped+"&"+escaped+"=%3Cscript%3Ealert(1)%3C/script%3E HTTP/1.1"+head)
	}
	return list
}

// One corpus, and every sink that exists: the terminal, JSON, logs, and the pages of a real browser.
func TestHostileNamesInEverySink(t *testing.T) {
	b := newBrowser(t)
	r := quiet(t, "nginx")
	ca := r.operatorFiles(t)
	pretty, lines := r.observe(t, ca), r.observe(t, ca, "--output=json")
	for _, request := range hostileRequests() {
		// nginx may refuse some of it, and says so; that is seen too.
		_ = play(r.shop, 1, func(int) string { return request })
	}
	marker := "/the-last-one/etc/passwd"
	load(t, r.shop, 1, func(int) string {
		return "GET " + marker + " HTTP/1.1\r\nHost: a\r\nUser-Agent: x\r\nAccept: */*\r\n\r\n"
	})
	for name, o := range map[string]*observer{"terminal": pretty, "json": lines} {
		// Exchanges that were judged in different batches may overtake one another: the last one need not come last.
		text := o.until(t, name+" does not show them all", func(text string) bool {
			return strings.Contains(text, marker) && strings.Count(text, "\n") > len(hostile.Corpus())
		})
		require.True(t, utf8.ValidString(text), name)
		for _, c := range text {
			require.False(t, c != '\n' && (unicode.IsControl(c) || unicode.Is(unicode.Bidi_Control, c) || unicode.Is(unicode.Cf, c)), "%s shows %U: %q", name, c, around(text, c))
		}
		if name == "json" {
			for line := range strings.Lines(text) {
				require.True(t, json.Valid([]byte(line)), "%q", line)
			}
		}
	}

	b.do(t, chromedp.Navigate(r.console), chromedp.WaitVisible(`input[type=password]`, chromedp.ByQuery),
		chromedp.SendKeys(`input[type=password]`, r.password+"\r", chromedp.ByQuery), chromedp.WaitVisible(`table.attacks tbody tr`, chromedp.ByQuery))
	b.await(t, "table.attacks td.target", "/the-last-one")
	b.harmless(t, "the list of attacks")
	var rows int
	b.do(t, chromedp.Poll(`document.querySelectorAll("table.attacks tbody tr a").length > 20`, nil),
		chromedp.Evaluate(`document.querySelectorAll("table.attacks tbody tr a").length`, &rows))
	for i := range min(rows, 40) {
		b.do(t, chromedp.Evaluate(fmt.Sprintf(`document.querySelectorAll("table.attacks tbody tr a")[%d].click()`, i), nil),
			chromedp.WaitVisible(`aside`, chromedp.ByQuery))
		b.harmless(t, "an attack's detail")
	}
	for _, page := range []string{"/apis", "/nodes", "/coverage", "/policy"} {
		b.do(t, chromedp.Navigate(r.console+page), chromedp.WaitVisible(`main`, chromedp.ByQuery))
		b.harmless(t, page)
	}
	b.mu.Lock()
	require.Empty(t, b.complaints)
	require.Equal(t, map[string]bool{r.console: true}, b.origins)
	b.mu.Unlock()
	require.NoError(t, r.cmd.Process.Signal(os.Interrupt))
	r.end(t)
}

// harmless looks at what a page shows now: nothing ran, and no character turns what a person reads.
func (b *browser) harmless(t *testing.T, where string) {
	t.Helper()
	var owned bool
	var text string
	b.do(t, chromedp.Evaluate(`"pwned" in window`, &owned), chromedp.Evaluate(`document.body.innerText`, &text))
	require.False(t, owned, "%s runs what it should show", where)
	for _, c := range text {
		require.False(t, unicode.Is(unicode.Bidi_Control, c) || c == '\x1b' || c == '\u200b' || c == '\ufeff', "%s shows %U: %q", where, c, around(text, c))
	}
}

func around(text string, c rune) string {
	at := strings.IndexRune(text, c)
	return strings.ToValidUTF8(text[max(0, at-40):min(len(text), at+40)], "?")
}

// operatorFiles asks the running demo for a certificate that reads.
func (d *demo) operatorFiles(t *testing.T) (dataDir string) {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(d.dir, "sidelight-demo-*", "data"))
	require.NoError(t, err)
	require.Len(t, found, 1)
	return found[0]
}

// observer is a running `sidelight observe`.
type observer struct {
	cmd  *exec.Cmd
	file string
}

func (d *demo) observe(t *testing.T, dataDir string, args ...string) *observer {
	t.Helper()
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	require.NoError(t, err)
	defer out.Close()
	o := &observer{file: out.Name(), cmd: exec.Command(binary, append([]string{"observe", "--data-dir", dataDir}, args...)...)}
	said, err := os.Create(filepath.Join(t.TempDir(), "said"))
	require.NoError(t, err)
	defer said.Close()
	o.cmd.Stdout, o.cmd.Stderr = out, said
	o.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	require.NoError(t, o.cmd.Start())
	t.Cleanup(func() {
		_ = o.cmd.Process.Signal(os.Interrupt)
		_ = o.cmd.Wait()
		if t.Failed() {
			text, _ := os.ReadFile(said.Name())
			t.Logf("observe said: %s", text)
		}
	})
	// It says so when all from here on is seen.
	require.Eventually(t, func() bool {
		text, err := os.ReadFile(said.Name())
		return err == nil && regexp.MustCompile(`(?i)watching|observing|connected`).Match(text)
	}, 20*time.Second, 20*time.Millisecond, "observe is not connected")
	return o
}

// until waits for whole lines that are enough, and gives all up to then.
func (o *observer) until(t *testing.T, complaint string, enough func(string) bool) string {
	t.Helper()
	var text []byte
	require.Eventually(t, func() bool {
		text, _ = os.ReadFile(o.file)
		return strings.HasSuffix(string(text), "\n") && enough(string(text))
	}, 20*time.Second, 50*time.Millisecond, complaint)
	return string(text)
}
