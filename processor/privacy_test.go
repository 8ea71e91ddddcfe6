package processor

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	inventoryv1 "github.com/sidelight/sidelight/proto/gen/sidelight/inventory/v1"
	trafficv1 "github.com/sidelight/sidelight/proto/gen/sidelight/traffic/v1"

	"github.com/sidelight/sidelight/processor/internal/decode"
	"github.com/sidelight/sidelight/processor/internal/engine"
)

// The secrets that are planted. Each holds one word that stands nowhere else; the words of pathSecrets look like credentials.
const (
	canary    = "canary"
	pathToken = "kX9vB2mQ7pLw4ZtR8sYcN3"
	pathJWT   = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJjYW5hcnkifQ.dBjftJeZ4CVPmB92K27uhbUJU1p1rwW1gFWFOEjXk"
	pathHex   = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
	card      = "4111111111111111"
)

var basic = base64.StdEncoding.EncodeToString([]byte("jane:canary-basic"))

// attackIn gives a text that is an attack for each odd n, and none for each even.
func attackIn(n int) string {
	return []string{"", "' union select 1,2 from users-- ", "", "<script>alert(1)</script>", "", "../../../../etc/passwd"}[n%6]
}

// secretRequests have every place for a secret filled, each once benign and once with an attack in the secret, around it and elsewhere.
func secretRequests() []*trafficv1.Exchange {
	var out []*trafficv1.Exchange
	escaped := strings.NewReplacer(" ", "%20", "'", "%27", "<", "%3C", ">", "%3E")
	add := func(method, target string, headers [][2]string, body string) {
		x := exchange(method, target, headers, []byte(body))
		x.Id = fmt.Appendf(nil, "privacy-%08d", len(out))
		x.Times.ObservedAt = timestamppb.Now()
		out = append(out, x)
	}
	for n := range 6 {
		a, e := attackIn(n), escaped.Replace(attackIn(n))
		// The attack stands within the secret.
		add("GET", "/a?password=canary-1"+e+"&token=canary-2"+e+"&q=1", nil, "")
		for _, h := range []string{
			"Authorization", "X-Api-Key", "Cookie", "Proxy-Authorization", "X-Auth-Token", "Grpc-Metadata-Authorization", "x-user-credential-bin",
			"X-Csrf-Token", "X-Amz-Security-Token", "Ocp-Apim-Subscription-Key", "X-Session-Id",
		} {
			add("GET", "/a?q="+e, [][2]string{{h, "canary-3" + a}}, "")
		}
		add("GET", "/a?q="+e, [][2]string{{"Authorization", "Basic " + basic}}, "")
		add("GET", "/a?q="+e, [][2]string{{"Authorization", "Bearer canary-4" + a}, {"Cookie", "theme=" + a + "; sid=canary-5" + a + "; x=canary-6"}}, "")
		add("GET", "/reset/"+pathToken+"/x?q="+e, nil, "")
		add("GET", "/reset/"+pathJWT+"/x/"+e, nil, "")
		add("GET", "/reset/"+pathHex+e+"?q="+e, nil, "")
		add("POST", "/a", [][2]string{{"Content-Type", "application/x-www-form-urlencoded"}}, "user=jane"+e+"&password=canary-7"+e+"&api_key=canary-8&note="+e)
		for _, kind := range []string{"application/json", "text/plain", "application/vnd.x+json", ""} {
			add("POST", "/a", [][2]string{{"Content-Type", kind}},
				`{"user":"jane`+a+`","login":{"password":"canary-9`+a+`","secrets":["canary-10 x","canary-11`+a+`"],"n":{"access_token":"canary-12"}},"card":"`+card+`"}`)
		}
		add("POST", "/a", [][2]string{{"Content-Type", "application/json"}}, `{"wrapped":"{\"password\":\"canary-13 x`+a+`\"}","broken":`)
		add("POST", "/a", [][2]string{{"Content-Type", "multipart/form-data; boundary=b"}},
			"--b\r\nContent-Disposition: form-data; name=\"note\"\r\n\r\n"+a+"\r\n--b\r\nContent-Disposition: form-data; name=\"password\"\r\n\r\ncanary-14"+a+
				"\r\n--b\r\nContent-Disposition: form-data; name=\"api-key\"; filename=\""+a+"\"\r\n\r\nfile\r\n--b--\r\n")
		add("POST", "/a", [][2]string{{"Content-Type", "text/xml"}}, "<a><wsse:Password Type=\"x\">canary-15"+a+"</wsse:Password><b>"+a+"</b></a>")
		// The attack stands beside the secret.
		add("GET", "/a?next="+e+"https://jane:canary-16@shop.example/%3Ftoken%3Dcanary-17", [][2]string{
			{"Referer", "https://shop.example/a?access_token=canary-18&q=" + a}, {"X-Original-Url", "/b?pin=canary-19"}, {"User-Agent", "x token=canary-20 " + a},
		}, "")
		add("GET", "https://jane:canary-21@shop.example/a?q="+e, [][2]string{{"Host", "jane:canary-22@shop.example"}}, "")
		add("GET", "/a?"+pathToken+"&"+pathHex+"=1&q="+e, nil, "")
		add("GET", "/a?password=%27%20union%20select%20canary-27,2%20from%20canary-28--%20&q="+e, [][2]string{{"Cookie", "sid=' union select canary-29 from canary-30-- "}}, "")
		if n == 1 {
			// More values than are looked at.
			add("GET", "/a?q="+e+strings.Repeat("&a=1", 3000)+"&code=canary-23", [][2]string{{"X-Api-Key", "canary-24"}, {"Cookie", "a=canary-25"}}, "")
		}
		add("POST", "/a", [][2]string{{"Content-Type", "application/x-www-form-urlencoded"}, {"Content-Encoding", "zip"}}, "password=canary-26&q="+a)
	}
	return out
}

// inClear gives the planted secrets that stand in some bytes.
func inClear(b []byte) (found []string) {
	for _, s := range []string{canary, pathToken, pathJWT, pathHex, basic, card, "Y2FuYXJ5"} {
		if k := bytes.Index(b, []byte(s)); k >= 0 {
			found = append(found, fmt.Sprintf("%q", b[max(0, k-40):min(len(b), k+40)]))
		}
	}
	return found
}

func wire(t *testing.T, m proto.Message) []byte {
	t.Helper()
	b, err := proto.Marshal(m)
	require.NoError(t, err)
	return b
}

func TestNoSecretLeavesTheInspector(t *testing.T) {
	t.Parallel()
	i := inspector(t)
	attacks := 0
	for _, x := range secretRequests() {
		v := i.Inspect(x)
		said := fmt.Sprintf("%.200s %.200s", x.GetRequest().GetTarget(), x.GetRequest().GetHeaders())
		require.Empty(t, inClear(wire(t, v.Summary)), "summary of %s", said)
		for _, h := range v.Hits {
			attacks++
			require.Empty(t, inClear(wire(t, h)), "%s at %s in %s", h.GetType(), h.GetPoint(), said)
		}
		require.Empty(t, inClear(wire(t, v.Fact)), "fact of %s", said)
		require.LessOrEqual(t, proto.Size(v.Fact), largestFact)
		for _, o := range []*inventoryv1.Observation{v.Observation, i.outcomeObservation(x, true)} {
			o.Segments = nil // In memory only, by contract.
			require.Empty(t, inClear(wire(t, o)), "observation of %s", said)
		}
		require.Empty(t, inClear(wire(t, i.brief(x))), "brief of %s", said)
	}
	require.Greater(t, attacks, 100, "the attacks were found, so their evidence was looked at")
}

// buffer is a log that is written from many goroutines.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) bytes() []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	return bytes.Clone(b.b.Bytes())
}

// trips is an engine that fails on a request, saying what it should not.
type trips struct{}

func (trips) Match(r *decode.Request) ([]engine.Match, error) {
	panic(fmt.Sprintf("cannot read %s", r.Target))
}

// A whole service at its most talkative: answers, journal, inventory, status, metrics and logs; and a request that trips it.
func TestNoSecretLeavesTheService(t *testing.T) {
	t.Parallel()
	log := &buffer{}
	r := startWith(t, slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	client := r.dial(t, "aggregator")
	all := secretRequests()
	for from := 0; from < len(all); from += 32 {
		res, err := client.Inspect(t.Context(), batch(all[from:min(len(all), from+32)]...))
		require.NoError(t, err)
		require.Empty(t, inClear(wire(t, res)))
	}
	good := r.service.handler.inspector.Load()
	bad := *good
	bad.engine = trips{}
	r.service.handler.inspector.Store(&bad)
	res, err := client.Inspect(t.Context(), batch(numbered(77, exchange("GET", "/?token=canary-panic", nil, nil)), numbered(78, exchange("GET", "/ok", nil, nil))))
	require.NoError(t, err, "one request that trips the engine spoils no batch")
	require.Equal(t, "not inspected: the processor failed on it (string)", res.GetSummaries()[0].GetWhyIncomplete())
	require.Empty(t, inClear(wire(t, res)))
	require.Equal(t, int64(2), r.lost("inspect", "panic"))

	hits, _ := r.journal.kept()
	require.Greater(t, len(hits), 100)
	for _, h := range hits {
		require.Empty(t, inClear(wire(t, h)))
	}
	for range len(all) {
		o := <-r.inventory.seen
		o.Segments = nil
		require.Empty(t, inClear(wire(t, o)))
	}
	require.Empty(t, inClear(wire(t, r.service.status.Now())))
	require.Empty(t, inClear(metrics(t, r)))
	require.Empty(t, inClear(log.bytes()))
}

func metrics(t *testing.T, r *rig) []byte {
	t.Helper()
	ctx := t.Context()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.service.OpsAddr()+"/metrics", nil)
	require.NoError(t, err)
	c := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := c.Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.Contains(t, string(b), "sidelight_processor_exchanges_total")
	return b
}
