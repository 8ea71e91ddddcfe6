package local

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/sidelight/sidelight/examples/shop"
	"github.com/sidelight/sidelight/internal/testkit"
)

// browser is a real Chromium with a profile of its own, and what it complained of.
type browser struct {
	ctx context.Context

	mu         sync.Mutex
	complaints []string
	origins    map[string]bool
}

func newBrowser(t *testing.T) *browser {
	t.Helper()
	const binary = "/usr/bin/chromium"
	if _, err := os.Stat(binary); err != nil {
		testkit.Skip(t, "no Chromium: apt-get install chromium")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(binary), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.WindowSize(1440, 900), chromedp.UserDataDir(t.TempDir()),
		// The run's certificate is its own CA's.
		chromedp.IgnoreCertErrors, chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true))
	allocator, stopAllocator := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, stop := chromedp.NewContext(allocator)
	limited, cancel := context.WithTimeout(ctx, 2*time.Minute)
	t.Cleanup(func() {
		// Waits until the browser has ended: it writes to its profile until then.
		_ = chromedp.Cancel(ctx)
		cancel()
		stop()
		stopAllocator()
	})
	b := &browser{ctx: limited, origins: map[string]bool{}}
	chromedp.ListenTarget(limited, b.hear)
	require.NoError(t, chromedp.Run(limited, network.Enable(), log.Enable(), runtime.Enable()))
	return b
}

// hear notes every request's origin, and every error that the page or the browser reports.
func (b *browser) hear(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		if u, err := url.Parse(e.Request.URL); err == nil {
			b.origins[u.Scheme+"://"+u.Host] = true
		}
	case *log.EventEntryAdded:
		// Before sign-in the page asks who it is, and is told 401.
		if e.Entry.Level == log.LevelError && !strings.Contains(e.Entry.Text, "401") {
			b.complaints = append(b.complaints, e.Entry.Text)
		}
	case *runtime.EventExceptionThrown:
		b.complaints = append(b.complaints, e.ExceptionDetails.Error())
	}
}

func (b *browser) do(t *testing.T, actions ...chromedp.Action) {
	t.Helper()
	require.NoError(t, chromedp.Run(b.ctx, actions...))
}

func (b *browser) text(t *testing.T, selector string) string {
	t.Helper()
	var text string
	b.do(t, chromedp.Text(selector, &text, chromedp.ByQuery))
	return text
}

// await waits until the element's text has the words.
func (b *browser) await(t *testing.T, selector, words string) {
	t.Helper()
	b.do(t, chromedp.Poll(fmt.Sprintf(`[...document.querySelectorAll(%q)].some(e => e.textContent.includes(%q))`, selector, words), nil,
		chromedp.WithPollingTimeout(20*time.Second)))
}

func TestConsoleInARealBrowser(t *testing.T) {
	b := newBrowser(t)
	r := stay(t)
	b.do(t, chromedp.Navigate(r.console), chromedp.WaitVisible(`input[type=password]`, chromedp.ByQuery),
		chromedp.SendKeys(`input[type=password]`, "wrong\r", chromedp.ByQuery), chromedp.WaitVisible(`[role=alert]`, chromedp.ByQuery),
		chromedp.Evaluate(`document.querySelector("input[type=password]").select()`, nil), chromedp.SendKeys(`input[type=password]`, r.password+"\r", chromedp.ByQuery),
		chromedp.WaitVisible(`table.attacks tbody tr`, chromedp.ByQuery))

	// Live: an attack that is sent now stands there without a reload, and its markup is text.
	hostile := "/live?q=" + url.QueryEscape(`<script>document.title='owned'</script><img src=x onerror=document.title='owned'>`)
	load(t, r.shop, 1, func(int) string {
		return "GET " + hostile + " HTTP/1.1\r\nHost: live.example\r\nUser-Agent: browser-test/1.0\r\nAccept: */*\r\n\r\n"
	})
	b.await(t, "table.attacks td.target", "/live")
	b.do(t, chromedp.Evaluate(`[...document.querySelectorAll("table.attacks tbody tr")].find(r => r.textContent.includes("/live")).querySelector("a").click()`, nil),
		chromedp.WaitVisible(`aside mark`, chromedp.ByQuery))
	marked := b.text(t, "aside mark")
	detail := b.text(t, "aside")
	require.NotEmpty(t, marked)
	value, err := url.QueryUnescape(strings.TrimPrefix(hostile, "/live?q="))
	require.NoError(t, err)
	require.True(t, strings.Contains(value, marked) || strings.Contains(hostile, marked), "what is marked is what was sent: %q", marked)
	for _, want := range []string{"127.0.0.1", "nginx", "404"} {
		require.Contains(t, detail, want)
	}
	var title string
	b.do(t, chromedp.Title(&title))
	require.NotContains(t, title, "owned")

	// The URL is the state: a reload shows the same.
	b.do(t, chromedp.Reload(), chromedp.WaitVisible(`aside mark`, chromedp.ByQuery))
	require.Equal(t, marked, b.text(t, "aside mark"))

	b.do(t, chromedp.Navigate(r.console+"/apis"), chromedp.WaitVisible(`main table tbody tr`, chromedp.ByQuery))
	for _, route := range shop.Routes() {
		b.await(t, "main table tbody tr", route.Template)
	}
	b.do(t, chromedp.Navigate(r.console+"/nodes"), chromedp.WaitVisible(`main`, chromedp.ByQuery))
	for _, part := range []string{"agent", "aggregator", "processor", "apidiscovery", "cloudsync"} {
		b.await(t, "main", part)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	require.Empty(t, b.complaints)
	require.Equal(t, map[string]bool{r.console: true}, b.origins, "no request to anyone else, ever")
	require.NoError(t, r.cmd.Process.Signal(os.Interrupt))
	r.end(t)
}
