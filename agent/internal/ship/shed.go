package ship

import (
	"google.golang.org/protobuf/proto"

	trafficv1 "github.com/sidelight/sidelight/proto/gen/sidelight/traffic/v1"
)

// stage of shedding: what is worth least goes first.
type stage int

const (
	bodyTail stage = iota
	wholeBody
	responseHead
	stages
	wholeExchange = stages
)

// keptBody is what of a body the first stage leaves: most attacks that are in a body are in its beginning.
const keptBody = 4 << 10

// gives says how many bytes this stage would save at an item.
func (it *item) gives(s stage) int {
	switch s {
	case bodyTail:
		return max(it.body-keptBody, 0)
	case wholeBody:
		return it.body
	case responseHead:
		return it.heads
	default:
		return it.cost()
	}
}

// shed makes the buffer fit its bound again. Only workloads over their fair share give, the greediest first: one that floods
// the buffer must not blind the others.
func (b *buffer) shed() {
	for s := bodyTail; s <= wholeExchange && b.bytes > b.maxBytes; s++ {
		for b.bytes > b.maxBytes {
			a, it := b.greediest(s, b.fairShare())
			if a == nil {
				break
			}
			b.give(a, it, s)
		}
	}
	// What is in flight cannot be taken back: whoever still has something must make room.
	for b.bytes > b.maxBytes {
		a, it := b.greediest(wholeExchange, 0)
		if a == nil {
			return
		}
		b.give(a, it, wholeExchange)
	}
}

// fairShare is the bound, divided among those that have something in the buffer.
func (b *buffer) fairShare() int {
	n := 0
	for _, a := range b.order {
		if a.bytes > 0 {
			n++
		}
	}
	return b.maxBytes / max(n, 1)
}

// greediest finds who holds most, over `share`, and has something to give at this stage.
func (b *buffer) greediest(s stage, share int) (most *account, give *item) {
	for _, a := range b.order {
		if a.bytes <= share || most != nil && a.bytes <= most.bytes {
			continue
		}
		if it := a.candidate(s); it != nil {
			most, give = a, it
		}
	}
	return most, give
}

func (b *buffer) give(a *account, it *item, s stage) {
	if s == wholeExchange {
		a.pop()
		b.waiting--
		b.hold(a, -it.cost())
		b.gone(a, it)
		return
	}
	b.strip(a, it, s)
}

// gone counts an exchange, or a later revision of it, that is given up before it was sent.
func (b *buffer) gone(a *account, it *item) {
	o := b.open[it.id]
	if o != nil && o.waiting == it {
		o.waiting = nil
	}
	switch {
	case !it.first:
		b.losses.Add("revisions", "buffer_full", 1)
	case o != nil:
		// A later revision may bring it all again.
		o.gone = true
	default:
		b.lose(a, 1)
	}
}

func (b *buffer) lose(a *account, n int) {
	b.losses.Add("exchanges", "buffer_full", int64(n))
	a.workload.Lost.Add(uint64(n))
}

// strip takes from an item what this stage gives up, and says so in the exchange itself.
func (b *buffer) strip(a *account, it *item, s stage) {
	e := &trafficv1.Exchange{}
	if err := proto.Unmarshal(it.wire, e); err != nil {
		// It was encoded here. Should it ever happen, nothing is taken, and the item goes as a whole.
		it.body, it.heads = 0, 0
		return
	}
	var gaps []*trafficv1.Gap
	switch s {
	case bodyTail:
		gaps = cutBody(e.GetRequest(), keptBody)
	case wholeBody:
		gaps = cutBody(e.GetRequest(), 0)
	default:
		b.losses.Add("response_heads", "shed", 1)
		gaps = []*trafficv1.Gap{{Part: trafficv1.Gap_PART_RESPONSE_HEAD, Length: uint64(it.heads), Reason: trafficv1.GapReason_GAP_REASON_SHED}}
		e.Response.Headers = nil
	}
	for _, gap := range gaps {
		if gap.GetPart() == trafficv1.Gap_PART_REQUEST_BODY {
			b.losses.Add("body_bytes", "shed", int64(gap.GetLength()))
		}
	}
	if o := b.open[it.id]; o != nil && o.waiting == it && s != responseHead {
		o.gaps = append(o.gaps, gaps...)
	}
	e.Gaps = append(e.Gaps, gaps...)
	before := it.cost()
	if b.fill(a, it, e) {
		b.hold(a, it.cost()-before)
	}
}

// cutBody leaves the first n bytes of a body that were seen, and gives the rest as gaps.
func cutBody(r *trafficv1.Request, n int) []*trafficv1.Gap {
	var gaps []*trafficv1.Gap
	var kept []*trafficv1.BodySegment
	for _, segment := range r.GetBody() {
		data := segment.GetData()
		keep := min(n, len(data))
		n -= keep
		if keep > 0 {
			kept = append(kept, &trafficv1.BodySegment{Offset: segment.GetOffset(), Data: data[:keep]})
		}
		if keep < len(data) {
			gaps = append(gaps, &trafficv1.Gap{
				Part: trafficv1.Gap_PART_REQUEST_BODY, Offset: segment.GetOffset() + uint64(keep), Length: uint64(len(data) - keep),
				Reason: trafficv1.GapReason_GAP_REASON_SHED,
			})
		}
	}
	r.Body = kept
	return gaps
}

// headsOf is what the headers of the response take on the wire; little is not worth giving up.
func headsOf(e *trafficv1.Exchange) int {
	n := 0
	for _, h := range e.GetResponse().GetHeaders() {
		n += len(h.GetName()) + len(h.GetValue()) + len(": \r\n")
	}
	if n <= leastHead {
		return 0
	}
	return n
}

// leastHead is about what the gap costs that tells of it.
const leastHead = 16
