package processor

import (
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/timestamppb"

	trafficv1 "github.com/sidelight/sidelight/proto/gen/sidelight/traffic/v1"

	"github.com/sidelight/sidelight/processor/cases"
)

// inspectorOf compiles the rules once for all tests: an inspector is safe for concurrent use, and tests hold it to that.
var inspectorOf = sync.OnceValues(func() (*Inspector, error) {
	cfg := DefaultInspectorConfig()
	cfg.HashKey = "a key for tests, not a secret"
	return NewInspector(cfg)
})

func inspector(t testing.TB) *Inspector {
	t.Helper()
	i, err := inspectorOf()
	require.NoError(t, err)
	return i
}

// exchange makes an answered exchange; header pairs are added to those that every client sends.
func exchange(method, target string, headers [][2]string, body []byte) *trafficv1.Exchange {
	q := &trafficv1.Request{
		Method: []byte(method), Target: []byte(target), Protocol: trafficv1.Protocol_PROTOCOL_HTTP11,
		BodySize: uint64(len(body)), BodyComplete: true,
	}
	have := map[string]bool{}
	for _, h := range headers {
		q.Headers = append(q.Headers, &trafficv1.Header{Name: []byte(h[0]), Value: []byte(h[1])})
		have[strings.ToLower(h[0])] = true
	}
	for _, h := range [][2]string{
		{"Host", "shop.example"},
		{"User-Agent", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36"},
		{"Accept", "*/*"},
	} {
		if !have[strings.ToLower(h[0])] {
			q.Headers = append(q.Headers, &trafficv1.Header{Name: []byte(h[0]), Value: []byte(h[1])})
		}
	}
	if len(body) > 0 {
		q.Body = []*trafficv1.BodySegment{{Data: body}}
		q.Headers = append(q.Headers, &trafficv1.Header{Name: []byte("Content-Length"), Value: []byte(strconv.Itoa(len(body)))})
	}
	return &trafficv1.Exchange{
		Id: []byte("0123456789abcdef"), Revision: 1, ContentRevision: 1,
		Phase: trafficv1.Phase_PHASE_CLOSED, CloseReason: trafficv1.CloseReason_CLOSE_REASON_ANSWERED,
		Request: q, Response: &trafficv1.Response{Status: 200},
		Connection: &trafficv1.Connection{Peer: &trafficv1.SocketAddress{Ip: []byte{192, 0, 2, 7}, Port: 41000}},
		Workload:   &trafficv1.Workload{Cluster: "test", Service: "shop"},
		Times:      &trafficv1.Times{ObservedAt: timestamppb.New(testTime)},
	}
}

func caseExchange(c cases.Case) *trafficv1.Exchange {
	return exchange(c.Method, c.Target, c.Headers, c.Body)
}
