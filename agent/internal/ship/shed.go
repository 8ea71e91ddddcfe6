package ship

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
		b.waitingBytes -= it.size()
		b.hold(a, -it.cost())
		b.gone(a, it)
		b.spares.put(it)
		return
	}
	b.strip(a, it, s)
}

// gone counts an exchange, or a later revision of it, that is given up before it was sent.
func (b *buffer) gone(a *account, it *item) {
	var o *open
	if !it.last {
		if o = b.open[it.id]; o != nil && o.waiting == it {
			o.waiting = nil
		}
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
	x := &b.stripper
	if err := x.strip(it.wire, s, it.heads); err != nil {
		// It was encoded here. Should it ever happen, nothing is taken, and the item goes as a whole.
		it.body, it.heads = 0, 0
		return
	}
	if s == responseHead {
		b.losses.Add("response_heads", "shed", 1)
		it.heads = 0
	} else {
		b.losses.Add("body_bytes", "shed", int64(x.bytes))
		it.body -= int(x.bytes)
		if o := b.open[it.id]; o != nil && o.waiting == it {
			o.gaps = append(o.gaps, x.gaps...)
		}
	}
	before, size := it.cost(), it.size()
	// What is left may be held for long, and room counts.
	spare := b.spares.take(len(x.out))
	it.wire, spare.wire = append(spare.wire, x.out...), it.wire
	b.spares.put(spare)
	b.hold(a, it.cost()-before)
	b.waitingBytes += it.size() - size
	if cap(x.out) > keptScratch {
		*x = stripper{}
	}
}

// keptScratch bounds the memory kept for the next strip.
const keptScratch = 128 << 10

// worthGiving is what giving up the response's headers saves; little is not worth it.
func worthGiving(heads int) int {
	if heads <= leastHead {
		return 0
	}
	return heads
}

// leastHead is about what the gap costs that tells of it.
const leastHead = 16
