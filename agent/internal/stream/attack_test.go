package stream

import (
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sidelight/sidelight/agent/internal/probe"
	trafficv1 "github.com/sidelight/sidelight/proto/gen/sidelight/traffic/v1"
)

var (
	local  = netip.MustParseAddrPort("10.0.0.1:80")
	remote = netip.MustParseAddrPort("10.0.0.2:4711")
)

// sight is what the agent gets to see of a script.
type sight struct {
	late                bool
	holes, cuts, faults int // percent of events
	reordered, split    int
	budget              int
	// long conversations, and one hole early in them.
	long bool
}

// events is what the kernel makes of a script.
func (s *script) events(v sight) []*probe.Event {
	seq := [2]uint32{0xffffff00, 0xfffffff0}
	var lost, run [2]uint32
	var list []*probe.Event
	mono, last := 1000*ms, probe.Out
	hole := -1
	if v.long {
		hole = s.rng.IntN(12)
	}
	for _, m := range s.moves {
		if m.dir != last {
			last, run[m.dir] = m.dir, 0
		}
		for text := m.data; text != ""; {
			n := len(text)
			if s.chance(v.split) {
				n = 1 + s.rng.IntN(n)
			}
			e := &probe.Event{Conn: probe.ConnKey{Sock: 1, Start: 1}, Dir: m.dir, Flags: probe.FlagAccepted, Seq: seq[m.dir], Len: uint32(n),
				Data: []byte(text[:n]), Lost: lost[m.dir], Mono: mono, Local: local, Remote: remote}
			if !v.late {
				e.Flags |= probe.FlagStart
			}
			if room := v.budget - int(run[m.dir]); v.budget > 0 && n > room {
				e.Data, e.Flags = e.Data[:max(room, 0)], e.Flags|probe.FlagTruncated
			}
			run[m.dir] += uint32(n)
			text, seq[m.dir], mono = text[n:], seq[m.dir]+uint32(n), mono+ms
			switch {
			case s.chance(v.holes), m.dir == probe.In && hole == 0:
				hole--
				lost[m.dir] += e.Len
				continue
			case s.chance(v.cuts):
				e.Data, e.Flags = e.Data[:s.rng.IntN(len(e.Data)+1)], e.Flags|probe.FlagTruncated
			case s.chance(v.faults):
				e.Data, e.Flags = nil, e.Flags|pick(s, probe.FlagFault, probe.FlagSizeOnly)
			}
			if list = append(list, e); m.dir == probe.In {
				hole--
			}
		}
	}
	if v.late && len(list) > 0 {
		list = list[s.rng.IntN(len(list)):]
	}
	// The first of each direction come in order: no two threads read a connection that was just accepted.
	for i := 3; i < len(list); i++ {
		if list[i].Dir == list[i-1].Dir && list[i-1].Dir == list[i-2].Dir && list[i].Mono > list[i-1].Mono && s.chance(v.reordered) {
			list[i], list[i-1] = list[i-1], list[i]
		}
	}
	end := &probe.Event{Conn: probe.ConnKey{Sock: 1, Start: 1}, Flags: probe.FlagClose, Lost: lost[probe.In], Mono: mono, Ends: seq}
	return append(list, end)
}

// told is what came out, against what was there.
type told struct {
	true, resumed, false int
}

// judge holds what came out against the truth.
func (s *script) judge(t *testing.T, r *rig, v sight, from uint32) (sum told) {
	t.Helper()
	truths := map[string]*truth{}
	for _, q := range s.requests {
		truths[idAt(q.seq)] = q
	}
	seen := map[string]*trafficv1.Exchange{}
	for _, e := range r.out {
		id := string(e.GetId())
		if e.GetRequest().GetHeaders() == nil && seen[id] != nil {
			continue
		}
		seen[id] = e
	}
	for id, e := range seen {
		q := truths[id]
		if q == nil || string(e.GetRequest().GetMethod()) != q.method || string(e.GetRequest().GetTarget()) != q.target {
			require.True(t, v.late && e.GetResumed() && e.GetResponse() != nil, "planted: %v", e)
			sum.false++
			continue
		}
		if sum.true++; e.GetResumed() {
			sum.resumed++
		}
		s.exact(t, e, q)
		delete(truths, id)
	}
	if !s.tunnelled {
		require.LessOrEqual(t, sum.false, 1, "one in the life of a connection that is older than the agent, at the most")
	}
	// What is missing was counted.
	missing := 0
	for _, q := range truths {
		if int32(q.seq-from) >= 0 {
			missing += q.size
		}
	}
	if sum.false > 0 {
		missing = 0 // It may be in what was told instead.
	}
	require.LessOrEqual(t, uint64(missing), r.table.BytesLost.Load()+r.table.BytesSkipped.Load(), "requests are missing and not counted")
	require.Zero(t, r.table.kept)
	require.Zero(t, r.table.early)
	require.Empty(t, r.table.watched)
	require.Nil(t, r.table.busy.first)
	require.Nil(t, r.table.quiet.first)
	return sum
}

// exact: an exchange claims nothing that was not there.
func (s *script) exact(t *testing.T, e *trafficv1.Exchange, q *truth) {
	t.Helper()
	var headers strings.Builder
	for _, h := range e.GetRequest().GetHeaders() {
		fmt.Fprintf(&headers, "%s: %s\r\n", h.GetName(), h.GetValue())
	}
	gapInHead := false
	unseen := uint64(0)
	for _, g := range e.GetGaps() {
		gapInHead = gapInHead || g.GetPart() == trafficv1.Gap_PART_REQUEST_HEAD
		if g.GetPart() != trafficv1.Gap_PART_RESPONSE_HEAD {
			unseen += g.GetLength()
		}
	}
	require.True(t, strings.HasPrefix(q.headers, headers.String()), "%q is not the beginning of %q", headers.String(), q.headers)
	have := uint64(0)
	for _, segment := range e.GetRequest().GetBody() {
		end := segment.GetOffset() + uint64(len(segment.GetData()))
		require.LessOrEqual(t, end, uint64(len(q.body)))
		require.Equal(t, q.body[segment.GetOffset():end], string(segment.GetData()))
		have += uint64(len(segment.GetData()))
	}
	require.LessOrEqual(t, e.GetRequest().GetBodySize(), uint64(len(q.body)))
	if !e.GetRequest().GetBodyComplete() {
		return
	}
	require.False(t, gapInHead)
	require.Equal(t, q.headers, headers.String())
	require.Equal(t, uint64(len(q.body)), e.GetRequest().GetBodySize())
	require.Equal(t, uint64(len(q.body)), have+unseen, "what is not there is a gap")
	if q.trailers != "" {
		require.Equal(t, "1", string(e.GetRequest().GetTrailers()[0].GetValue()))
	}
}

// variants is the size of an attack; SIDELIGHT_ATTACK asks for another.
func variants() uint64 {
	if n, err := strconv.ParseUint(os.Getenv("SIDELIGHT_ATTACK"), 10, 64); err == nil {
		return n
	}
	return 10_000
}

// An attacker who controls all that is in bodies, headers and tunnels, and when it is sent, and whom luck gives any gap:
// what comes out is what the server read, or is counted.
func TestAttack(t *testing.T) {
	t.Parallel()
	sights := map[string]sight{
		"all seen":       {split: 40},
		"budgets":        {split: 20, budget: 90},
		"cut anywhere":   {split: 20, cuts: 15, faults: 5},
		"ring full":      {split: 10, holes: 15},
		"ring very full": {holes: 50},
		"reordered":      {split: 40, reordered: 20},
		"everything":     {split: 30, holes: 8, cuts: 8, faults: 4, reordered: 10},
		"one hole":       {long: true},
		"two":            {long: true, split: 3, holes: 1},
		"late, long":     {long: true, late: true, split: 5},
		"late":           {split: 10, late: true},
		"late, gaps":     {late: true, holes: 10, cuts: 5},
	}
	for name, v := range sights {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var sum told
			requests := 0
			n := variants() / uint64(len(sights))
			for seed := range n + 1 {
				s := newScript(seed*31+uint64(len(name)), v.long)
				r := newRig()
				list := s.events(v)
				from := uint32(0xffffff00)
				if v.late {
					from = s.seq[probe.In]
					for _, e := range list {
						if e.Dir == probe.In && e.Flags&probe.FlagClose == 0 {
							from = e.Seq
							break
						}
					}
				}
				for i, e := range list {
					r.table.Handle(e)
					if v.reordered == 0 && i%7 == 6 || v.holes > 0 && i == len(list)-2 {
						r.table.Tick(e.Mono + uint64(s.rng.IntN(200))*ms)
					}
				}
				one := s.judge(t, r, v, from)
				if t.Failed() {
					t.Fatalf("seed %d", seed)
				}
				sum.true, sum.resumed, sum.false = sum.true+one.true, sum.resumed+one.resumed, sum.false+one.false
				requests += len(s.requests)
			}
			t.Logf("%d conversations, %d requests: %d told, %d of them resumed; %d planted and marked", n+1, requests, sum.true, sum.resumed, sum.false)
			if v == (sight{split: v.split, reordered: v.reordered}) {
				require.Equal(t, requests, sum.true, "with all bytes seen, all requests are told")
			}
			require.Positive(t, sum.true)
			if !v.late {
				require.Zero(t, sum.false)
			}
		})
	}
}

// idAt is the id of a request that begins at a number, as a table makes it.
func idAt(seq uint32) string {
	if id, ok := ids.Load(seq); ok {
		return id.(string)
	}
	r := newRig()
	r.seq[probe.In] = seq
	r.in(request("x"))
	r.answer(ok)
	id := string(r.out[0].GetId())
	ids.Store(seq, id)
	return id
}

// ids remembers what idAt found: seeds share most offsets.
var ids sync.Map
