package stream

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sidelight/sidelight/agent/internal/probe"
)

// ask plays requests that are answered in turn.
func (r *rig) ask(from, to int) {
	for i := from; i < to; i++ {
		r.in(request(fmt.Sprint(i)))
		r.answer(ok)
	}
}

// hole loses bytes that the client sent.
func (r *rig) hole(n int) {
	r.event(probe.In, "", n, 0)
	r.lost += uint32(n)
}

// Behind a gap requests are told when more answers came than there can have been requests in it, and not before.
func TestResume(t *testing.T) {
	t.Parallel()
	const hidden = 140 // room for ten
	t.Run("between requests", func(t *testing.T) {
		t.Parallel()
		r := newRig()
		r.ask(0, 1)
		r.hole(hidden)
		r.answer(ok)
		r.ask(1, 40)
		list := r.told()
		require.Equal(t, "CLOSED ANSWERED /13 200", list[1])
		require.Len(t, list, 1+40-13)
		require.True(t, r.out[1].GetResumed())
		require.False(t, r.out[2].GetResumed())
		require.Equal(t, uint64(hidden+12*len(request("1"))+3), r.shop.BytesLost.Load())
	})
	t.Run("never in time for what may be planted", func(t *testing.T) {
		t.Parallel()
		// The hole has as many requests as it can hold, and the head of one whose body is all that follows.
		r := newRig()
		r.ask(0, 1)
		r.hole(hidden)
		r.answer(ok)
		for i := range 10 {
			r.in(request(fmt.Sprintf("planted-%d", i)))
			r.answer(ok)
		}
		r.in(request("planted"))
		r.wait(time.Minute)
		r.close()
		require.Len(t, r.out, 1)
	})
	t.Run("requests that may hide one begin the count again", func(t *testing.T) {
		t.Parallel()
		r := newRig()
		r.hole(28)
		r.ask(0, 3)
		r.in("POST / HTTP/1.1\r\nContent-Length: 26\r\n\r\nGET /planted HTTP/1.1\r\n\r\nab")
		r.answer(ok)
		require.Empty(t, r.out)
		r.ask(0, 3)
		require.Empty(t, r.out)
		r.ask(0, 10)
		require.NotEmpty(t, r.out)
	})
	t.Run("answers that may be part of another do not count", func(t *testing.T) {
		t.Parallel()
		r := newRig()
		r.hole(28)
		r.in(request("0"))
		// To HEAD this is one answer and the next, to GET it is one, with a body.
		many := strings.Repeat("HTTP/1.1 204 No Content\r\n\r\n", 50)
		r.answer(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(many), many))
		r.ask(1, 60)
		require.Empty(t, r.out)
		r.ask(60, 120)
		require.NotEmpty(t, r.out)
		require.True(t, r.out[len(r.out)-1].GetResumed(), "for the life of the connection")
	})
	t.Run("a chunked body over its budget", func(t *testing.T) {
		t.Parallel()
		r := newRig()
		r.in("POST /1 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nab")
		r.table.Handle(r.event(probe.In, "", 50, probe.FlagTruncated))
		r.in(request("planted-1"))
		r.answer("HTTP/1.1 100 Continue\r\n\r\n")
		r.in(request("planted-2"))
		r.answer(ok)
		r.ask(0, 30)
		list := r.told()
		require.Equal(t, []string{"REQUEST UNSPECIFIED /1 0", "CLOSED ANSWERED /1 200"}, list[:2])
		require.NotEmpty(t, r.out[1].GetGaps())
		require.False(t, r.out[1].GetRequest().GetBodyComplete())
		require.NotContains(t, strings.Join(list, " "), "planted")
		require.Contains(t, list, "CLOSED ANSWERED /29 200")
	})
	t.Run("the first bytes", func(t *testing.T) {
		t.Parallel()
		r := newRig()
		r.hole(30)
		r.in(request("planted"))
		r.answer(ok)
		r.close()
		require.Empty(t, r.out)
	})
}

// A connection that is older than the agent: what comes first may be the rest of anything.
func TestOlder(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		play func(*rig)
		want []string
	}{
		"idle": {func(r *rig) { r.ask(1, 3) }, []string{"CLOSED ANSWERED /1 200", "CLOSED ANSWERED /2 200"}},
		"in an answer": {func(r *rig) { r.answer("the rest of an answer"); r.ask(1, 2) },
			[]string{"CLOSED ANSWERED /1 200"}},
		"not before the answer": {func(r *rig) { r.in(request("1")); r.wait(time.Minute) }, nil},
		"with a body":           {func(r *rig) { r.in(strings.Replace(upload, "100000000", "3", 1)); r.in("abc"); r.answer(ok) }, []string{"CLOSED ANSWERED /1 200"}},
		"slow answer":           {func(r *rig) { r.in(request("1")); r.answer(chunked); r.run(time.Second) }, []string{"REQUEST UNSPECIFIED /1 200"}},
		"in an upload": {func(r *rig) {
			r.in("rest\r\n" + request("planted"))
			r.answer(ok)
			r.ask(1, 2)
		}, []string{"CLOSED ANSWERED /1 200"}},
		"in an upload, answered early": {func(r *rig) {
			r.in("rest")
			r.answer(ok)
			r.in("\x00 more" + request("planted"))
			r.in(request("planted"))
			r.close()
		}, nil},
		"in an upload that goes on": {func(r *rig) {
			r.in(request("planted") + "x")
			r.in(request("planted"))
			r.answer(ok)
			r.ask(1, 2)
		}, []string{"CLOSED ANSWERED /1 200"}},
		"answered before its end": {func(r *rig) { r.in(upload + "a"); r.answer(ok) }, nil},
		"two before an answer":    {func(r *rig) { r.in(request("planted") + request("planted")); r.answer(ok) }, nil},
		"continue is no answer": {func(r *rig) {
			r.in(request("planted"))
			r.answer("HTTP/1.1 100 Continue\r\n\r\n")
			r.in("x")
			r.answer(ok)
		}, nil},
		"websocket": {func(r *rig) {
			r.in("GET /1 HTTP/1.1\r\nUpgrade: websocket\r\n\r\n")
			r.answer("HTTP/1.1 101 Switching Protocols\r\n\r\n")
			r.in(request("planted"))
			r.answer(ok)
		}, []string{"CLOSED UPGRADED /1 101"}},
		"out of step once more, out of step for good": {func(r *rig) {
			r.ask(1, 2)
			r.in(request("planted") + request("planted"))
			r.answer(ok)
			r.ask(0, 100)
		}, []string{"CLOSED ANSWERED /1 200"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig()
			r.flags = probe.FlagAccepted
			test.play(r)
			require.Equal(t, test.want, r.told())
			for _, e := range r.out {
				require.True(t, e.GetResumed())
			}
			all := r.table.BytesSeen.Load()
			r.table.CloseAll(0)
			if test.want == nil {
				require.NotZero(t, r.shop.BytesLost.Load())
				require.LessOrEqual(t, r.shop.BytesLost.Load(), all)
			}
		})
	}
	t.Run("the mark goes when nothing can be open from before", func(t *testing.T) {
		t.Parallel()
		r := newRig()
		r.flags = probe.FlagAccepted
		r.ask(0, 100)
		require.Len(t, r.out, 100)
		require.True(t, r.out[64].GetResumed())
		require.False(t, r.out[65].GetResumed())
		require.Zero(t, r.shop.BytesLost.Load())
	})
}
