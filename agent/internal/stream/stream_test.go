package stream

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/sidelight/sidelight/agent/internal/exchange"
	"github.com/sidelight/sidelight/agent/internal/probe"
	"github.com/sidelight/sidelight/agent/internal/workload"
	"github.com/sidelight/sidelight/internal/losses"
	aggregatorv1 "github.com/sidelight/sidelight/proto/gen/sidelight/aggregator/v1"
	trafficv1 "github.com/sidelight/sidelight/proto/gen/sidelight/traffic/v1"
)

const ms = uint64(time.Millisecond)

// rig plays events of one connection into a table.
type rig struct {
	table  *Table
	losses *losses.Losses
	out    []*trafficv1.Exchange
	mono   uint64
	seq    [2]uint32
	lost   uint32 // of what was received
	key    probe.ConnKey
	flags  probe.Flags
	shop   *workload.Workload
}

func newRig(mutate ...func(*Config)) *rig {
	r := &rig{losses: losses.NewLosses(nil, "agent"), mono: 1000 * ms, key: probe.ConnKey{Sock: 1, Start: 1}, flags: probe.FlagAccepted | probe.FlagStart,
		shop: workload.New(&trafficv1.Workload{Cluster: "standalone", Node: "shop-1", Service: "shop", Process: &trafficv1.Process{
			Pid: 4711, Executable: "/usr/sbin/nginx", Unit: "nginx.service", Cgroup: "/system.slice/nginx.service"}})}
	// Near the end of the number space: every test crosses it.
	r.seq = [2]uint32{0xfffffff0, 0xffffffff}
	cfg := DefaultConfig()
	for _, m := range mutate {
		m(&cfg)
	}
	builder := exchange.New(exchange.Config{BootID: "boot"}, func(revision *exchange.Revision) {
		e, err := revision.Message()
		if err != nil {
			panic(err)
		}
		start, t := time.Unix(0, int64(revision.Start)), e.GetTimes()
		t.RequestStart = timestamppb.New(start)
		if t.RequestTookNs != 0 {
			t.RequestEnd = timestamppb.New(start.Add(time.Duration(t.RequestTookNs)))
		}
		r.out = append(r.out, e)
	})
	r.table = NewTable(cfg, Deps{Builder: builder, Losses: r.losses, Workload: func(uint32) *workload.Workload { return r.shop }})
	return r
}

func (r *rig) event(dir probe.Direction, data string, size int, flags probe.Flags) *probe.Event {
	e := &probe.Event{Conn: r.key, Dir: dir, Flags: flags | r.flags, Seq: r.seq[dir], Len: uint32(size), Data: []byte(data), Mono: r.mono,
		Local: local, Remote: remote}
	if dir == probe.In {
		e.Lost = r.lost
	}
	r.seq[dir] += uint32(size)
	r.mono += ms
	return e
}

func (r *rig) in(data string)  { r.table.Handle(r.event(probe.In, data, len(data), 0)) }
func (r *rig) answer(s string) { r.table.Handle(r.event(probe.Out, s, len(s), 0)) }
func (r *rig) close()          { r.table.Handle(r.event(probe.In, "", 0, probe.FlagClose)) }
func (r *rig) wait(d time.Duration) {
	r.mono += uint64(d)
	r.table.Tick(r.mono)
}

// told shows every revision as "phase reason target status".
func (r *rig) told() []string {
	var list []string
	for _, e := range r.out {
		list = append(list, fmt.Sprintf("%s %s %s %d", strings.TrimPrefix(e.GetPhase().String(), "PHASE_"),
			strings.TrimPrefix(e.GetCloseReason().String(), "CLOSE_REASON_"), e.GetRequest().GetTarget(), e.GetResponse().GetStatus()))
	}
	return list
}

const (
	ok      = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
	get     = "GET /%s HTTP/1.1\r\nHost: a\r\n\r\n"
	chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
)

func request(name string) string { return fmt.Sprintf(get, name) }

func TestConversations(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		play func(*rig)
		want []string
	}{
		"quick answer": {func(r *rig) { r.in(request("1")); r.answer(ok) }, []string{"CLOSED ANSWERED /1 200"}},
		"keep-alive": {func(r *rig) { r.in(request("1")); r.answer(ok); r.in(request("2")); r.answer(ok) },
			[]string{"CLOSED ANSWERED /1 200", "CLOSED ANSWERED /2 200"}},
		"pipelined": {func(r *rig) { r.in(request("1") + request("2")); r.answer(ok + strings.Replace(ok, "200", "404", 1)) },
			[]string{"CLOSED ANSWERED /1 200", "CLOSED ANSWERED /2 404"}},
		"no answer": {func(r *rig) { r.in(request("1")); r.wait(600 * time.Millisecond); r.close() },
			[]string{"REQUEST UNSPECIFIED /1 0", "CLOSED RESET /1 0"}},
		"slow answer": {func(r *rig) { r.in(request("1")); r.wait(600 * time.Millisecond); r.answer(ok) },
			[]string{"REQUEST UNSPECIFIED /1 0", "CLOSED ANSWERED /1 200"}},
		"endless answer": {func(r *rig) {
			r.in(request("1"))
			r.answer(chunked + "2\r\nok\r\n")
			r.wait(600 * time.Millisecond)
			r.answer("2\r\nok\r\n")
			r.wait(600 * time.Millisecond)
			r.close()
		}, []string{"REQUEST UNSPECIFIED /1 200", "CLOSED ANSWERED /1 200"}},
		"endless request": {func(r *rig) {
			r.in("POST /1 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n")
			r.wait(600 * time.Millisecond)
			r.in("2\r\nok\r\n")
			r.wait(600 * time.Millisecond)
			r.wait(600 * time.Millisecond)
			r.close()
		}, []string{"REQUEST UNSPECIFIED /1 0", "UPDATE UNSPECIFIED /1 0", "CLOSED RESET /1 0"}},
		"continue": {func(r *rig) {
			r.in("POST /1 HTTP/1.1\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
			r.answer("HTTP/1.1 100 Continue\r\n\r\n")
			r.in("ok")
			r.answer(ok)
		}, []string{"CLOSED ANSWERED /1 200"}},
		"upgrade": {func(r *rig) {
			r.in("GET /1 HTTP/1.1\r\nUpgrade: websocket\r\n\r\n")
			r.answer("HTTP/1.1 101 Switching Protocols\r\n\r\n")
			r.in(request("planted"))
			r.answer(ok)
			r.in(request("planted"))
		}, []string{"CLOSED UPGRADED /1 101"}},
		"tunnel": {func(r *rig) {
			r.in("CONNECT a:1 HTTP/1.1\r\n\r\n")
			r.answer("HTTP/1.1 200 OK\r\n\r\n")
			r.in(request("planted"))
		},
			[]string{"CLOSED UPGRADED a:1 200"}},
		"answer too large for its budget": {func(r *rig) {
			r.in(request("1"))
			r.answer(chunked)
			r.table.Handle(r.event(probe.Out, "5000\r\nab", 9000, probe.FlagTruncated))
			r.table.Handle(r.event(probe.Out, "", 20000, probe.FlagTruncated))
			r.in(request("2"))
			r.answer(ok)
		}, []string{"CLOSED ANSWERED /1 200", "CLOSED ANSWERED /2 200"}},
		"head of an answer over its budget": {func(r *rig) {
			r.in(request("1"))
			r.table.Handle(r.event(probe.Out, "HTTP/1.1 201 Created\r\nX-One: 1\r\nX-Tw", 9000, probe.FlagTruncated))
			r.in(request("2"))
			r.answer(strings.Replace(ok, "200", "404", 1))
			r.in(request("3"))
			r.answer(ok)
		}, []string{"CLOSED ANSWERED /1 201", "CLOSED ANSWERED /2 404", "CLOSED ANSWERED /3 200"}},
		"head of an answer over its budget, told": {func(r *rig) {
			r.in(request("1"))
			r.table.Handle(r.event(probe.Out, "HTTP/1.1 201 Created\r\nX-One: 1\r\nX-Tw", 9000, probe.FlagTruncated))
			gaps := r.out[0].GetGaps()
			if len(gaps) != 1 || gaps[0].GetPart() != trafficv1.Gap_PART_RESPONSE_HEAD || gaps[0].GetReason() != trafficv1.GapReason_GAP_REASON_BUDGET {
				panic(fmt.Sprint("gaps: ", gaps))
			}
		}, []string{"CLOSED ANSWERED /1 201"}},
		"answer that found no room": {func(r *rig) {
			r.in(request("1"))
			r.seq[probe.Out] += uint32(len(ok))
			r.in(request("2"))
			late := r.event(probe.Out, ok, len(ok), 0)
			late.Lost = uint32(len(ok))
			r.table.Handle(late)
			// From here on both are in step again: the client waited for both answers.
			r.in(request("3"))
			r.answer(strings.Replace(ok, "200", "404", 1))
		}, []string{"CLOSED LOST /1 0", "CLOSED LOST /2 0", "CLOSED ANSWERED /3 404"}},
		"an answer is missed by who does not wait": {func(r *rig) {
			r.in(request("1") + request("2"))
			r.answer(ok + ok)
			r.in(request("3") + request("4"))
			r.table.Handle(r.event(probe.Out, "HTTP/1.1 200 OK\r\nX", 9000, probe.FlagTruncated))
			r.in(request("5"))
			// It may be for any of three.
			r.answer(strings.Replace(ok, "200", "404", 1))
			r.close()
		}, []string{"CLOSED ANSWERED /1 200", "CLOSED ANSWERED /2 200", "CLOSED ANSWERED /3 200", "CLOSED LOST /4 0", "CLOSED RESET /5 0"}},
		"answer by sendfile": {func(r *rig) {
			r.in(request("1"))
			r.answer("HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n")
			r.table.Handle(r.event(probe.Out, "", 5000, probe.FlagSizeOnly))
			r.in(request("2"))
			r.answer(ok)
		}, []string{"CLOSED ANSWERED /1 200", "CLOSED ANSWERED /2 200"}},
		"no HTTP": {func(r *rig) { r.in("\x16\x03\x01\x02"); r.answer("\x16"); r.in(request("planted")) }, nil},
		"optimistic upgrade": {func(r *rig) {
			r.in("GET /1 HTTP/1.1\r\nUpgrade: websocket\r\n\r\n" + request("planted"))
			r.in(request("planted"))
			r.wait(time.Second)
			r.answer("HTTP/1.1 101 Switching Protocols\r\n\r\n")
			r.in(request("planted"))
		}, []string{"REQUEST UNSPECIFIED /1 0", "CLOSED UPGRADED /1 101"}},
		"upgrade refused": {func(r *rig) {
			r.in("GET /1 HTTP/1.1\r\nUpgrade: h2c\r\n\r\n" + request("2")[:9])
			r.in(request("2")[9:])
			r.answer(ok)
			r.answer(strings.Replace(ok, "200", "404", 1))
			r.in(request("3"))
			r.answer(ok)
		}, []string{"CLOSED ANSWERED /1 200", "CLOSED ANSWERED /2 404", "CLOSED ANSWERED /3 200"}},
		"tunnel refused": {func(r *rig) {
			r.in("CONNECT a:1 HTTP/1.1\r\n\r\n" + request("2"))
			r.answer(strings.Replace(ok, "200", "405", 1) + ok)
		}, []string{"CLOSED ANSWERED a:1 405", "CLOSED ANSWERED /2 200"}},
		"upgrade with a body that was answered before its end": {func(r *rig) {
			r.in("POST /1 HTTP/1.1\r\nUpgrade: h2c\r\nContent-Length: 4\r\n\r\nab")
			r.answer(ok)
			r.in("cd" + request("2"))
			r.answer(ok)
		}, []string{"CLOSED ANSWERED /1 200", "CLOSED ANSWERED /2 200"}},
		"upgrade behind an answer that could not be followed": {func(r *rig) {
			r.in(request("1"))
			r.answer(chunked)
			r.table.Handle(r.event(probe.Out, "", 20000, probe.FlagTruncated))
			r.in("GET /2 HTTP/1.1\r\nUpgrade: x\r\n\r\n" + request("planted"))
			// It may be part of the first answer.
			r.answer(ok)
			r.in(request("planted"))
		}, []string{"CLOSED ANSWERED /1 200", "CLOSED ANSWERED /2 200"}},
		"answered before its end": {func(r *rig) {
			r.in("POST /1 HTTP/1.1\r\nContent-Length: " + fmt.Sprint(2+len(request("planted"))) + "\r\n\r\na")
			r.answer(strings.Replace(ok, "200", "413", 1))
			r.in(request("planted"))
			r.in("b" + request("2"))
			r.answer(ok)
		}, []string{"CLOSED ANSWERED /1 413", "CLOSED ANSWERED /2 200"}},
		"two answers to one request": {func(r *rig) {
			r.in(upload)
			r.answer(ok)
			r.answer(ok)
			r.in("a=1")
			r.close()
		}, []string{"REQUEST UNSPECIFIED /1 200", "CLOSED ANSWERED /1 200"}},
		"head, then get": {func(r *rig) {
			r.in("HEAD /1 HTTP/1.1\r\n\r\n" + request("2"))
			r.answer("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n" + strings.Replace(ok, "200", "404", 1))
		}, []string{"CLOSED ANSWERED /1 200", "CLOSED ANSWERED /2 404"}},
		"answers to nobody": {func(r *rig) { r.in(request("1")); r.answer(ok + ok); r.in(request("2")); r.answer(ok) },
			[]string{"CLOSED ANSWERED /1 200", "CLOSED ANSWERED /2 200"}},
		"no content, with content": {func(r *rig) {
			r.in(request("1"))
			r.answer("HTTP/1.1 204 No Content\r\n\r\nbody")
			r.in(request("2"))
			r.answer(ok)
		}, []string{"CLOSED ANSWERED /1 204", "CLOSED ANSWERED /2 200"}},
		"HTTP/0.9": {func(r *rig) { r.in("GET /\r\n"); r.answer("<html>"); r.in(request("planted")) }, nil},
		"smuggled": {func(r *rig) {
			r.in("POST /1 HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 9\r\n\r\nabc" + request("planted"))
			r.answer(strings.Replace(ok, "200", "400", 1))
			r.in(request("planted"))
		}, []string{"REQUEST UNSPECIFIED /1 0", "CLOSED ANSWERED /1 400"}},
		"left out from here on": {func(r *rig) {
			r.in(request("1"))
			r.table.Handle(r.event(probe.In, "", 0, probe.FlagClose|probe.FlagShed))
		}, []string{"CLOSED LOST /1 0"}},
		"agent stops": {func(r *rig) { r.in(request("1")); r.table.CloseAll(trafficv1.CloseReason_CLOSE_REASON_AGENT_STOP) },
			[]string{"CLOSED AGENT_STOP /1 0"}},
		"idle": {func(r *rig) { r.in(request("1")); r.wait(time.Hour) }, []string{"CLOSED IDLE /1 0"}},
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

func TestOrder(t *testing.T) {
	t.Parallel()
	t.Run("early events wait", func(t *testing.T) {
		t.Parallel()
		r := newRig()
		text := request("1")
		a, b, c := r.event(probe.In, text[:5], 5, 0), r.event(probe.In, text[5:9], 4, 0), r.event(probe.In, text[9:], len(text)-9, 0)
		r.table.Handle(a)
		r.table.Handle(c)
		r.table.Handle(b)
		r.answer(ok)
		require.Equal(t, []string{"CLOSED ANSWERED /1 200"}, r.told())
	})
	t.Run("what was seen before counts once", func(t *testing.T) {
		t.Parallel()
		r := newRig()
		e := r.event(probe.In, request("1"), len(request("1")), 0)
		r.table.Handle(e)
		r.table.Handle(e)
		r.answer(ok)
		require.Equal(t, []string{"CLOSED ANSWERED /1 200"}, r.told())
	})
	t.Run("a hole becomes a gap", func(t *testing.T) {
		t.Parallel()
		r := newRig()
		r.in("POST /1 HTTP/1.1\r\nContent-Length: 10\r\n\r\nabc")
		r.event(probe.In, "lost", 4, 0) // the ring was full
		r.in("hij")
		r.wait(100 * time.Millisecond)
		r.answer(ok)
		require.Equal(t, []string{"REQUEST UNSPECIFIED /1 0", "CLOSED ANSWERED /1 200"}, r.told(), "a body with a gap is reported at once")
		require.Equal(t, uint64(4), r.out[0].GetGaps()[0].GetLength())
		require.Equal(t, trafficv1.GapReason_GAP_REASON_RING_FULL, r.out[0].GetGaps()[0].GetReason())
		require.Contains(t, r.losses.Snapshot(), losses.Loss{Place: "request_bytes", Reason: "ring_full", Count: 4})
	})
}

// What is left out because the agent has to save says so.
func TestShed(t *testing.T) {
	t.Parallel()
	for flags, want := range map[probe.Flags]trafficv1.GapReason{
		probe.FlagTruncated:                  trafficv1.GapReason_GAP_REASON_BUDGET,
		probe.FlagTruncated | probe.FlagShed: trafficv1.GapReason_GAP_REASON_SHED,
	} {
		r := newRig()
		r.in("POST /1 HTTP/1.1\r\nContent-Length: 10\r\n\r\nabc")
		r.table.Handle(r.event(probe.In, "", 7, flags))
		r.answer(ok)
		require.Equal(t, want, r.out[0].GetGaps()[0].GetReason())
	}
}

func TestBounds(t *testing.T) {
	t.Parallel()
	r := newRig(func(c *Config) { c.MaxPipelined = 3 })
	r.in(strings.Repeat(request("x"), 10))
	require.Contains(t, r.losses.Snapshot(), losses.Loss{Place: "pipeline", Reason: "full", Count: 1})
	require.Equal(t, uint64(6*len(request("x"))), r.shop.BytesLost.Load()-uint64(len(request("x"))), "it and what follows is lost")
}

func TestIdentity(t *testing.T) {
	t.Parallel()
	// The same bytes seen by a second agent are the same exchange, wherever it came in.
	first, second := newRig(), newRig()
	first.in(request("1"))
	first.answer(ok)
	first.in(request("2"))
	first.answer(ok)
	second.seq[probe.In] += uint32(len(request("1")))
	second.in(request("2"))
	second.answer(ok)
	require.Equal(t, first.out[1].GetId(), second.out[0].GetId())
	require.NotEqual(t, first.out[0].GetId(), first.out[1].GetId())
	require.Len(t, first.out[0].GetId(), 16)
}

func BenchmarkExchange(b *testing.B) {
	r := newRig()
	wire := "GET /products/4711?color=green&size=42 HTTP/1.1\r\nHost: shop.example.org\r\n"
	for i := range 13 {
		wire += fmt.Sprintf("X-Header-%d: some value of a usual length %d\r\n", i, i)
	}
	wire += "\r\n"
	b.ReportAllocs()
	for b.Loop() {
		r.out = r.out[:0]
		r.in(wire)
		r.answer(ok)
		r.table.Tick(r.mono)
	}
	// What one exchange costs on the link to the aggregator, in a batch of a hundred of one workload over ten connections, and what
	// was captured of it.
	batch := &aggregatorv1.Batch{Workloads: []*trafficv1.Workload{r.shop.Name}}
	for range 10 {
		batch.Connections = append(batch.Connections, r.out[0].GetConnection())
	}
	r.out[0].WorkloadRef, r.out[0].ConnectionRef, r.out[0].Connection, r.out[0].Request.Authority = 1, 1, nil, nil
	for range 100 {
		batch.Exchanges = append(batch.Exchanges, r.out[0])
	}
	b.ReportMetric(float64(proto.Size(batch))/100, "sent-B")
	b.ReportMetric(float64(len(wire)+len(ok)), "captured-B")
}
