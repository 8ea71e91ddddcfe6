package ship

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sidelight/sidelight/agent/internal/workload"
	"github.com/sidelight/sidelight/internal/losses"
	trafficv1 "github.com/sidelight/sidelight/proto/gen/sidelight/traffic/v1"
)

// state is one revision of an exchange, as the builder makes them.
func state(revision, content uint32, phase trafficv1.Phase, body int) *trafficv1.Exchange {
	e := quick("x", body)
	e.Revision, e.ContentRevision, e.Phase = revision, content, phase
	if content < revision {
		e.Request = &trafficv1.Request{Target: e.GetRequest().GetTarget(), BodySize: uint64(body)}
	}
	if phase != trafficv1.Phase_PHASE_CLOSED {
		e.Response = nil
	}
	return e
}

const (
	asked  = trafficv1.Phase_PHASE_REQUEST
	update = trafficv1.Phase_PHASE_UPDATE
	closed = trafficv1.Phase_PHASE_CLOSED
)

func TestNewestStateTakesTheOldOnesPlace(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		states []*trafficv1.Exchange
		// sentAfter: a batch is cut after so many.
		sentAfter int
		want      []string // revision/content phase body headers
	}{
		"an answer joins its request":       {[]*trafficv1.Exchange{state(1, 1, asked, 50), state(2, 1, closed, 50)}, 0, []string{"2/2 CLOSED 50 1"}},
		"more of a body replaces":           {[]*trafficv1.Exchange{state(1, 1, asked, 50), state(2, 2, update, 70)}, 0, []string{"2/2 UPDATE 70 1"}},
		"three in one":                      {[]*trafficv1.Exchange{state(1, 1, asked, 50), state(2, 2, update, 70), state(3, 2, update, 0), state(4, 2, closed, 0)}, 0, []string{"4/4 CLOSED 70 1"}},
		"what was sent stays as it was":     {[]*trafficv1.Exchange{state(1, 1, asked, 50), state(2, 1, closed, 50)}, 1, []string{"2/1 CLOSED 0 0"}},
		"after what was sent they join too": {[]*trafficv1.Exchange{state(1, 1, asked, 50), state(2, 2, update, 60), state(3, 2, closed, 0)}, 1, []string{"3/3 CLOSED 60 1"}},
		"without content over none":         {[]*trafficv1.Exchange{state(1, 1, asked, 50), state(2, 1, update, 0), state(3, 1, closed, 0)}, 1, []string{"3/1 CLOSED 0 0"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := shop()
			b := newBuffer(1<<20, losses.NewLosses(nil, "agent"))
			for i, e := range test.states {
				b.addMessage(e, w)
				if i+1 == test.sentAfter {
					b.cut(10, 1<<20)
				}
			}
			var got []string
			sum := 0
			for _, it := range b.account(w).queue {
				e := decode(t, it)
				got = append(got, fmt.Sprintf("%d/%d %s %d %d", e.GetRevision(), e.GetContentRevision(), e.GetPhase().String()[6:], bodyOf(e), len(e.GetRequest().GetHeaders())))
				require.Equal(t, test.sentAfter == 0, it.first)
				sum += it.cost()
			}
			require.Equal(t, test.want, got)
			require.Equal(t, sum, b.bytes-b.inflightBytes)
			require.Equal(t, uint64(1), w.Exchanges.Load())
		})
	}
}

// A buffer so small that all has to go: what comes later decides whether the exchange is lost.
func TestGivenUpBeforeItWasClosed(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		then         []*trafficv1.Exchange
		waits        int
		lost, madeUp uint64
	}{
		"closed without content: lost":      {[]*trafficv1.Exchange{state(2, 1, update, 0), state(3, 1, closed, 0)}, 0, 1, 1},
		"a state with all of it revives it": {[]*trafficv1.Exchange{state(2, 2, update, 60), state(3, 2, closed, 0)}, 1, 0, 1},
		"nothing more came":                 {nil, 0, 0, 1},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := shop()
			b := newBuffer(1<<20, losses.NewLosses(nil, "agent"))
			b.addMessage(state(1, 1, asked, 50), w)
			b.maxBytes = 10
			b.shed()
			require.Zero(t, b.waiting)
			require.Zero(t, w.Lost.Load(), "not yet")
			b.maxBytes = 1 << 20
			for _, e := range test.then {
				b.addMessage(e, w)
			}
			require.Equal(t, test.waits, b.waiting)
			require.Equal(t, test.lost, w.Lost.Load())
			require.Equal(t, test.madeUp, w.Exchanges.Load())
			exchanges, _ := b.giveUp()
			require.Equal(t, 1-int(test.lost), exchanges)
		})
	}
}

// A body that was shed stays a gap in the revisions that do not repeat it.
func TestShedBodyStaysAGap(t *testing.T) {
	t.Parallel()
	w := shop()
	b := newBuffer(1<<20, losses.NewLosses(nil, "agent"))
	b.addMessage(state(1, 1, asked, 5000), w)
	b.maxBytes = 1000
	b.shed()
	b.cut(1, 1<<20)
	b.addMessage(state(2, 1, closed, 5000), w)
	e := decode(t, b.account(w).queue[0])
	require.Equal(t, 5000, bodyGaps(e))
	require.Empty(t, b.open)
}

// Where shedding has passed by, a larger state that takes the place gives at once.
func TestReplacedBehindTheShedding(t *testing.T) {
	t.Parallel()
	w := shop()
	b := newBuffer(1<<20, losses.NewLosses(nil, "agent"))
	b.addMessage(state(1, 1, asked, 6000), w)
	b.addMessage(quick("other", 6000), w)
	b.maxBytes = 3000
	b.shed()
	b.addMessage(state(2, 2, update, 9000), w)
	require.LessOrEqual(t, b.bytes, 3000)
	require.Zero(t, w.Lost.Load())
	require.Equal(t, 9000, bodyGaps(decode(t, b.account(w).queue[0])))
}

// Whatever happens in whatever order: the bound holds, and every exchange that was made is held, acknowledged or lost.
func FuzzBuffer(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 200, 201, 202, 203, 210, 220, 230, 240, 250}, uint16(3000))
	f.Add([]byte{0, 6, 12, 200, 0, 6, 12, 240, 241, 3, 9, 15, 255}, uint16(400))
	f.Fuzz(func(t *testing.T, script []byte, bound uint16) {
		if len(script) > 1000 {
			return
		}
		list := []*workload.Workload{named("a"), named("b"), named("c")}
		b := newBuffer(int(bound), losses.NewLosses(nil, "agent"))
		type live struct{ revision, content uint32 }
		states, ids := map[int]*live{}, map[int]string{}
		n := 0
		for _, op := range script {
			switch {
			case op < 200:
				// One of six exchanges goes on: with more content, without, or to its end.
				key := int(op % 6)
				s := states[key]
				if s == nil {
					n++
					s = &live{}
					states[key] = s
				}
				s.revision++
				if s.revision == 1 || op%3 == 0 {
					s.content = s.revision
				}
				phase := update
				if op%5 == 0 {
					phase = closed
					delete(states, key)
				}
				e := state(s.revision, s.content, phase, int(op)*40)
				if s.revision == 1 {
					ids[key] = fmt.Sprintf("%d-%014d", key, n)
				}
				e.Id = []byte(ids[key])
				b.addMessage(e, list[key%3])
			case op < 230:
				b.cut(int(op%4)+1, 4000)
			default:
				if sent := b.unacknowledged(); len(sent) > 0 {
					b.acknowledge(sent[int(op)%len(sent)].sequence, int(op%2))
				}
			}
			if b.waiting > 0 {
				require.LessOrEqual(t, b.bytes, int(bound))
			}
		}
		made, done, held := uint64(0), uint64(0), uint64(0)
		for _, w := range list {
			made += w.Exchanges.Load()
			done += w.Acknowledged.Load() + w.Lost.Load()
		}
		bytes := 0
		for _, a := range b.order {
			for _, it := range a.queue {
				bytes += it.cost()
				if it.first {
					held++
				}
			}
		}
		for _, sent := range b.inflight {
			for _, s := range sent.shares {
				bytes += s.bytes
				held += uint64(s.firsts)
			}
		}
		for _, o := range b.open {
			if o.gone {
				held++
			}
		}
		require.Equal(t, made, done+held)
		require.Equal(t, bytes, b.bytes)
	})
}
