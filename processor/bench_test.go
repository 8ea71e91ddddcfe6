package processor

import (
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	trafficv1 "github.com/sidelight/sidelight/proto/gen/sidelight/traffic/v1"

	"github.com/sidelight/sidelight/processor/internal/decode"
)

// browserGet is a benign request as a browser sends it: 15 headers, 3 arguments.
func browserGet() *trafficv1.Exchange {
	return exchange("GET", "/products/search?q=red+shoes&page=2&sort=price", [][2]string{
		{"Accept-Encoding", "gzip, deflate, br"}, {"Accept-Language", "en-US,en;q=0.9"}, {"Cache-Control", "max-age=0"},
		{"Cookie", "_ga=GA1.2.1234567890.1700000000; theme=dark; sid=s%3Aabc123.def456"}, {"Referer", "https://shop.example/products"},
		{"Sec-Ch-Ua", `"Chromium";v="130"`}, {"Sec-Fetch-Dest", "document"}, {"Sec-Fetch-Mode", "navigate"}, {"Sec-Fetch-Site", "same-origin"},
		{"Upgrade-Insecure-Requests", "1"}, {"X-Forwarded-For", "203.0.113.7"}, {"traceparent", traceparent},
	}, nil)
}

// order is a benign JSON body of about n bytes.
func order(n int) *trafficv1.Exchange {
	var b strings.Builder
	b.WriteString(`{"customer":"jane doe","lines":[`)
	for i := 0; b.Len() < n-40; i++ {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"sku":"A-%d","qty":%d,"note":"red"}`, i, i%7)
	}
	b.WriteString(`]}`)
	return exchange("POST", "/orders", [][2]string{{"Content-Type", "application/json"}}, []byte(b.String()))
}

func benchInspect(b *testing.B, x *trafficv1.Exchange) {
	i := inspector(b)
	b.ReportAllocs()
	var v Verdict
	for b.Loop() {
		v = i.Inspect(x)
	}
	// What one exchange costs on the links behind the processor.
	b.ReportMetric(float64(proto.Size(v.Observation)), "observation-B")
	hits := 0
	for _, h := range v.Hits {
		hits += proto.Size(h)
	}
	b.ReportMetric(float64(hits), "hits-B")
	b.ReportMetric(float64(proto.Size(v.Summary)), "summary-B")
}

func benchDecode(b *testing.B, x *trafficv1.Exchange) {
	b.ReportAllocs()
	for b.Loop() {
		decode.Decode(x.GetRequest(), nil, decode.DefaultLimits())
	}
}

func BenchmarkInspectGet(b *testing.B)    { benchInspect(b, browserGet()) }
func BenchmarkInspectJSON1K(b *testing.B) { benchInspect(b, order(1024)) }
func BenchmarkDecodeGet(b *testing.B)     { benchDecode(b, browserGet()) }
func BenchmarkDecodeJSON1K(b *testing.B)  { benchDecode(b, order(1024)) }
func BenchmarkInspectAttack(b *testing.B) {
	benchInspect(b, exchange("GET", "/?q=1%20UNION%20SELECT%20a,b%20FROM%20users--%20-", nil, nil))
}
