package stream

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sidelight/sidelight/agent/internal/probe"
	trafficv1 "github.com/sidelight/sidelight/proto/gen/sidelight/traffic/v1"
)

// run lets time pass as the agent does.
func (r *rig) run(d time.Duration) {
	for range d / (20 * time.Millisecond) {
		r.wait(20 * time.Millisecond)
	}
}

const upload = "POST /1 HTTP/1.1\r\nContent-Length: 100000000\r\n\r\n"

// How often an exchange that goes on is told again.
func TestPace(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		play         func(*rig)
		least, most  int
		contentsMost int
	}{
		"nothing new": {func(r *rig) { r.in(request("1")); r.run(time.Minute) }, 1, 1, 1},
		"bytes that are only counted": {func(r *rig) {
			r.in(upload + "abc")
			r.run(time.Second)
			for range 600 {
				r.table.Handle(r.event(probe.In, "", 1000, probe.FlagTruncated))
				r.run(100 * time.Millisecond)
			}
			// One more says that it is not whole.
		}, 2, 2, 1},
		"a body that doubles": {func(r *rig) {
			r.in(upload)
			for i := range 10 {
				r.in(strings.Repeat("x", 100<<i))
				r.run(time.Second)
			}
		}, 8, 11, 11},
		// A revision for each drop would be 600.
		"a large body, drop by drop": {func(r *rig) {
			r.in(upload + strings.Repeat("x", 50_000))
			for range 600 {
				r.in("x")
				r.run(time.Second)
			}
		}, 60, 140, 140},
		"drops faster than the pace": {func(r *rig) {
			r.in(upload)
			for range 1000 {
				r.in("xxxxxxxxxx")
				r.run(20 * time.Millisecond)
			}
		}, 10, 21, 21},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig()
			test.play(r)
			require.GreaterOrEqual(t, len(r.out), test.least)
			require.LessOrEqual(t, len(r.out), test.most)
			contents := 0
			for i, e := range r.out {
				require.Equal(t, uint32(i+1), e.GetRevision())
				if e.GetContentRevision() == e.GetRevision() {
					contents++
				} else {
					require.Empty(t, e.GetRequest().GetBody())
				}
			}
			require.LessOrEqual(t, contents, test.contentsMost)
		})
	}
}

// Whatever came before: what fills the budget is told within a second, and what is a good part of the body, too.
func TestLastBytesOfTheBudget(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		add, over string
	}{
		"the budget is full": {"attack", "more"},
		"an eighth more":     {strings.Repeat("x", 7000) + "attack", ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig()
			r.in(upload + strings.Repeat("x", 50_000))
			for range 600 {
				r.in("x")
				r.run(time.Second)
			}
			r.in(test.add)
			if test.over != "" {
				r.table.Handle(r.event(probe.In, "", len(test.over), probe.FlagTruncated))
			}
			r.run(1200 * time.Millisecond)
			segments := r.out[len(r.out)-1].GetRequest().GetBody()
			require.True(t, strings.HasSuffix(string(segments[0].GetData()), "attack"))
		})
	}
}

// A stream of events is over when its connection, or the next request, says so; any other answer over its budget is over at once.
func TestEndOfStreams(t *testing.T) {
	t.Parallel()
	head := "HTTP/1.1 200 OK\r\nContent-Type: %s\r\nTransfer-Encoding: chunked\r\n\r\n"
	over := func(r *rig, kind string) {
		r.in(request("1"))
		r.answer(fmt.Sprintf(head, kind))
		r.table.Handle(r.event(probe.Out, "", 9000, probe.FlagTruncated))
		r.run(3 * time.Second)
	}
	tests := map[string]struct {
		play func(*rig)
		want []string
	}{
		"no stream":                {func(r *rig) { over(r, "text/html") }, []string{"CLOSED ANSWERED /1 200"}},
		"stream that goes on":      {func(r *rig) { over(r, "text/event-stream; charset=utf-8") }, []string{"REQUEST UNSPECIFIED /1 200"}},
		"stream, connection ended": {func(r *rig) { over(r, "Text/Event-Stream"); r.close() }, []string{"REQUEST UNSPECIFIED /1 200", "CLOSED ANSWERED /1 200"}},
		"stream, next request": {func(r *rig) { over(r, "application/x-ndjson"); r.in(request("2")); r.answer(ok) },
			[]string{"REQUEST UNSPECIFIED /1 200", "CLOSED ANSWERED /1 200", "CLOSED ANSWERED /2 200"}},
		"status after the request": {func(r *rig) {
			r.in(request("1"))
			r.run(time.Second)
			r.answer(fmt.Sprintf(head, "text/event-stream") + "2\r\nok\r\n")
			r.run(700 * time.Millisecond)
			r.answer("2\r\nok\r\n")
			r.run(5 * time.Second)
			r.answer("0\r\n\r\n")
		}, []string{"REQUEST UNSPECIFIED /1 0", "UPDATE UNSPECIFIED /1 200", "CLOSED ANSWERED /1 200"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig()
			test.play(r)
			require.Equal(t, test.want, r.told())
		})
	}
}

// What began and was not handed on holds the time back, wherever it is.
func TestOldest(t *testing.T) {
	t.Parallel()
	const began = 1000 * ms // the rig's first event
	tests := map[string]struct {
		play func(*rig)
		want func(now uint64) uint64
	}{
		"nothing":             {func(*rig) {}, func(now uint64) uint64 { return now }},
		"answered":            {func(r *rig) { r.in(request("1")); r.answer(ok) }, func(now uint64) uint64 { return now }},
		"open":                {func(r *rig) { r.in(request("1")) }, func(uint64) uint64 { return began }},
		"reported, open":      {func(r *rig) { r.in(request("1")); r.run(time.Second) }, func(now uint64) uint64 { return now }},
		"a line under way":    {func(r *rig) { r.in("GET /"); r.run(time.Second) }, func(uint64) uint64 { return began }},
		"a line that dawdles": {func(r *rig) { r.in("GET /"); r.run(6 * time.Second) }, func(now uint64) uint64 { return now }},
		"early bytes": {func(r *rig) {
			r.in(request("0"))
			r.answer(ok)
			r.event(probe.In, "late", 4, 0)
			r.in("early")
		}, func(uint64) uint64 { return began + 3*ms }},
		"a second one in the same bytes": {func(r *rig) { r.in(request("1") + request("2")); r.answer(ok) }, func(uint64) uint64 { return began }},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig()
			test.play(r)
			require.Equal(t, test.want(r.mono), r.table.Oldest(r.mono))
		})
	}
}

// An exchange begins with the first byte of its line, and ends with its last, in whatever order its pieces came.
func TestTimes(t *testing.T) {
	t.Parallel()
	r := newRig()
	text := request("1")
	a, b, c := r.event(probe.In, text[:5], 5, 0), r.event(probe.In, text[5:9], 4, 0), r.event(probe.In, text[9:], len(text)-9, 0)
	for _, e := range []*probe.Event{a, c, b} {
		r.table.Handle(e)
	}
	r.answer(ok)
	times := r.out[0].GetTimes()
	require.Equal(t, a.Mono, times.GetRequestStartMonoNs())
	require.Equal(t, time.Unix(0, int64(c.Mono)).UnixNano(), times.GetRequestEnd().AsTime().UnixNano())
}

// Bytes are seen, left out on purpose, or lost; requests that were not seen at all are among the lost.
func TestBytesPerWorkload(t *testing.T) {
	t.Parallel()
	type counts struct{ skipped, lost uint64 }
	tests := map[string]struct {
		play func(*rig)
		want counts
	}{
		"all seen": {func(r *rig) { r.in(request("1")); r.answer(ok) }, counts{0, 0}},
		"body over its budget": {func(r *rig) {
			r.in("POST /1 HTTP/1.1\r\nContent-Length: 5000\r\n\r\n")
			r.table.Handle(r.event(probe.In, "", 5000, probe.FlagTruncated))
		}, counts{5000, 0}},
		"ring full in a body": {func(r *rig) {
			r.in("POST /1 HTTP/1.1\r\nContent-Length: 10\r\n\r\nabc")
			r.event(probe.In, "", 4, 0)
			r.in("hij")
			r.wait(100 * time.Millisecond)
		}, counts{0, 4}},
		"whole requests not seen": {func(r *rig) {
			r.in(request("1"))
			r.answer(ok)
			r.event(probe.In, "", 300, 0)
			r.in(request("4"))
			r.wait(100 * time.Millisecond)
			r.answer(ok)
		}, counts{0, 300 + uint64(len(request("4")))}},
		"pipelined behind the budget": {func(r *rig) {
			r.in("POST /1 HTTP/1.1\r\nContent-Length: 10\r\n\r\nabc")
			r.table.Handle(r.event(probe.In, "", 500, probe.FlagTruncated))
		}, counts{0, 500}},
		"fault":   {func(r *rig) { r.in(request("1")); r.table.Handle(r.event(probe.In, "", 70, probe.FlagFault)) }, counts{0, 70}},
		"no HTTP": {func(r *rig) { r.in("\x16\x03\x01\x02"); r.in("12345") }, counts{9, 0}},
		"sendfile": {func(r *rig) {
			r.in(request("1"))
			r.answer(strings.Replace(ok, "2\r\n\r\nok", "500\r\n\r\n", 1))
			r.table.Handle(r.event(probe.Out, "", 500, probe.FlagSizeOnly))
		}, counts{500, 0}},
		"tunnel": {func(r *rig) {
			r.in("CONNECT a:1 HTTP/1.1\r\n\r\n")
			r.answer("HTTP/1.1 200 OK\r\n\r\n")
			r.in("opaque")
		}, counts{6, 0}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig()
			test.play(r)
			require.Equal(t, test.want, counts{r.shop.BytesSkipped.Load(), r.shop.BytesLost.Load()})
			require.Equal(t, r.table.BytesSeen.Load(), r.shop.BytesSeen.Load())
			require.Equal(t, r.table.BytesLost.Load(), r.shop.BytesLost.Load())
		})
	}
}

// Closed exchanges do not stay in the builder's list.
func TestNothingStays(t *testing.T) {
	t.Parallel()
	r := newRig()
	var last []*trafficv1.Exchange
	for i := range 100 {
		r.in(request(fmt.Sprint(i)))
		r.answer(ok)
		last = r.out
	}
	require.Len(t, last, 100)
	require.Equal(t, r.mono, r.table.Oldest(r.mono))
	require.Zero(t, r.table.builder.Waiting())
}
