package observe

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/sidelight/sidelight/internal/testkit"
	"github.com/sidelight/sidelight/internal/testkit/hostile"
	detectionv1 "github.com/sidelight/sidelight/proto/gen/sidelight/detection/v1"
	processorv1 "github.com/sidelight/sidelight/proto/gen/sidelight/processor/v1"
	trafficv1 "github.com/sidelight/sidelight/proto/gen/sidelight/traffic/v1"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 7e6, time.UTC)

func id(n byte) []byte { return append(bytes.Repeat([]byte{0xab}, 15), n) }

// some are summaries of all shapes.
func some() []*processorv1.Summary {
	shop := &trafficv1.Workload{Cluster: "main", Node: "n1", Namespace: "web", Pod: "shop-0", Container: "app", Service: "shop"}
	return []*processorv1.Summary{
		{
			ExchangeId: id(1), Revision: 1, Phase: trafficv1.Phase_PHASE_CLOSED, Complete: true, ObservedAt: timestamppb.New(noon),
			Request: &detectionv1.RequestSummary{
				Method: "GET", Host: "shop.example", Path: "/orders/7", Status: 200, Client: &trafficv1.Client{Address: "10.1.2.3"}, Workload: shop,
				TraceId: "4bf92f3577b34da6a3ce929d0e0e4736", UserAgent: "curl/8",
			},
		},
		{
			ExchangeId: id(2), Revision: 2, Phase: trafficv1.Phase_PHASE_UPDATE, Complete: true, ObservedAt: timestamppb.New(noon.Add(time.Minute)),
			Request: &detectionv1.RequestSummary{
				Method: "POST", Host: "shop.example:8080", Path: "/search", Status: 500, Peer: &trafficv1.SocketAddress{Ip: []byte{192, 168, 0, 9}},
				Workload: &trafficv1.Workload{Node: "host-1", Service: "nginx"},
			},
			Hits: []*processorv1.SummaryHit{{Type: "sqli", Point: "query.q"}, {Type: "xss", Point: "body.json.user.name"}},
		},
		{
			ExchangeId: id(3), Revision: 1, Phase: trafficv1.Phase_PHASE_REQUEST, WhyIncomplete: "body not complete yet", Duplicate: true,
			Request: &detectionv1.RequestSummary{Method: "PUT", Host: "shop.example", Path: "/" + strings.Repeat("long/", 60)},
			Hits:    []*processorv1.SummaryHit{{Type: "rce", Point: "header.User-Agent"}},
		},
		{
			ExchangeId: id(4), Revision: 1, Complete: true, ObservedAt: timestamppb.New(noon),
			Request: &detectionv1.RequestSummary{
				Method: "GET", Host: "evil\x1b[2J", Path: "/a  200  shop  sqli@path\u202e\u009b31m\n/b", Status: 404,
				Client: &trafficv1.Client{Address: "2001:db8::1"}, Workload: &trafficv1.Workload{Container: "a\tb"},
			},
			Hits: []*processorv1.SummaryHit{{Type: "xss", Point: "query.<b>\U000E0041"}},
		},
		{},
	}
}

func TestGolden(t *testing.T) {
	t.Parallel()
	for name, p := range map[string]printer{"pretty": pretty{time.UTC}, "json": asJSON{}} {
		var out bytes.Buffer
		for _, s := range some() {
			require.NoError(t, p.Print(&out, s))
		}
		testkit.Golden(t, filepath.Join("testdata", name+".golden"), out.Bytes())
	}
}

// hostileSummary has the text in every place that a stranger can write to.
func hostileSummary(n int, text string) *processorv1.Summary {
	return &processorv1.Summary{
		ExchangeId: id(byte(n)), Revision: 1, WhyIncomplete: text,
		Request: &detectionv1.RequestSummary{
			Method: text, Path: text, Host: text, TraceId: text, UserAgent: text, Client: &trafficv1.Client{Address: text},
			Workload: &trafficv1.Workload{Cluster: text, Node: text, Namespace: text, Pod: text, Container: text, Service: text},
		},
		Hits: []*processorv1.SummaryHit{{Type: text, Point: text}},
	}
}

// requireHarmless demands that a terminal would show all of it, and obey none.
func requireHarmless(t *testing.T, shown string) {
	t.Helper()
	require.True(t, utf8.ValidString(shown))
	for _, r := range shown {
		if r != '\n' {
			require.True(t, r == ' ' || unicode.IsPrint(r), "it shows %U", r)
			require.False(t, unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Bidi_Control, r), "it shows %U", r)
		}
	}
}

func TestHostileTextIsHarmless(t *testing.T) {
	t.Parallel()
	for i, text := range append(hostile.Corpus(), "\U000E0041tag") {
		var human, machine bytes.Buffer
		s := hostileSummary(i, text)
		require.NoError(t, pretty{time.UTC}.Print(&human, s))
		requireHarmless(t, human.String())
		require.Equal(t, 1, strings.Count(human.String(), "\n"), "%q", text)
		require.NoError(t, asJSON{}.Print(&machine, s))
		requireHarmless(t, machine.String())
		require.Equal(t, 1, strings.Count(machine.String(), "\n"), "%q", text)
		if utf8.ValidString(text) {
			var back line
			require.NoError(t, json.Unmarshal(machine.Bytes(), &back))
			require.Equal(t, text, back.Request.Path, "a program reads the very text")
			require.Equal(t, text, back.Hits[0].Point)
		}
	}
}

func TestNoColumnCanBePretended(t *testing.T) {
	t.Parallel()
	columns := func(path string) int {
		var out bytes.Buffer
		s := some()[0]
		s.Request.Path = path
		require.NoError(t, pretty{time.UTC}.Print(&out, s))
		return len(strings.Fields(out.String()))
	}
	require.Equal(t, columns("/"), columns("/  404  shop  sqli@path"))
}
