package ship

import (
	"math"

	"github.com/sidelight/sidelight/agent/internal/exchange"
	"github.com/sidelight/sidelight/agent/internal/workload"
	"github.com/sidelight/sidelight/internal/losses"
)

// buffer holds exchanges from when they are made until they are acknowledged, bounded in bytes. They are held as they go on the
// wire: a message takes many times that in memory. Not safe for concurrent use.
type buffer struct {
	maxBytes int
	losses   *losses.Losses

	// bytes of what waits and of what is in flight.
	bytes, inflightBytes int
	accounts             map[*workload.Workload]*account
	// order of the accounts; turn is the one that the next batch begins with.
	order []*account
	turn  int
	// waiting counts items of all accounts, waitingBytes what they will take in a batch.
	waiting, waitingBytes int
	open                  map[id]*open

	inflight map[uint64]*batch
	next     uint64

	// cutting is what a batch is made of; it is kept for its memory.
	cutting  cutting
	stripper stripper
	spares   spares
	frames   framePool
}

type id = exchange.ID

// item is an exchange that waits.
type item struct {
	id   id
	wire []byte
	// connection on the wire, which a batch has once.
	connection string
	// place in its account's queue.
	place int
	// start of the request on the monotonic clock.
	start uint64
	// body and heads are bytes that can be given up: of the request's body, of the response's headers.
	body, heads int
	// first: no older revision of it was sent. last: it is closed. content: the request's headers and body are in it.
	first, last, content bool
}

// itemBytes is what an item takes beside its bytes on the wire.
const itemBytes = 192

func (it *item) cost() int { return cap(it.wire) + len(it.connection) + itemBytes }

// keptAccounts bounds the memory of workloads of which nothing is held.
const keptAccounts = 128

func newBuffer(maxBytes int, l *losses.Losses) *buffer {
	return &buffer{maxBytes: maxBytes, losses: l, accounts: map[*workload.Workload]*account{}, open: map[id]*open{}, inflight: map[uint64]*batch{}}
}

func (b *buffer) account(w *workload.Workload) *account {
	a := b.accounts[w]
	if a == nil {
		b.forgetIdle()
		a = &account{workload: w}
		b.accounts[w] = a
		b.order = append(b.order, a)
	}
	return a
}

func (b *buffer) forgetIdle() {
	if len(b.order) < keptAccounts {
		return
	}
	kept := b.order[:0]
	for _, a := range b.order {
		if a.bytes > 0 {
			kept = append(kept, a)
		} else {
			delete(b.accounts, a.workload)
		}
	}
	clear(b.order[len(kept):])
	b.order, b.turn = kept, 0
}

// add takes a copy of an exchange's newest state, and gives up what is worth less when there is no room.
func (b *buffer) add(r *exchange.Revision) {
	a := b.account(r.Workload)
	if r.Number <= 1 {
		a.workload.Exchanges.Add(1)
	}
	it := b.spares.take(len(r.Wire))
	it.id, it.connection, it.start = r.ID, r.Connection, r.Start
	it.first, it.last, it.content = r.Number <= 1, r.Last, r.Content
	it.wire = append(it.wire, r.Wire...)
	it.body, it.heads = r.Body, worthGiving(r.Heads)
	if b.join(a, it) {
		a.push(it)
		b.hold(a, it.cost())
		b.waiting++
		b.waitingBytes += it.size()
	} else {
		b.spares.put(it)
	}
	if b.bytes > b.maxBytes {
		b.shed()
	}
}

// size is about what it takes in a batch.
func (it *item) size() int { return len(it.wire) }

// hold counts bytes, or gives them back.
func (b *buffer) hold(a *account, n int) {
	b.bytes += n
	a.bytes += n
}

// oldest is when the oldest exchange began of which no revision is acknowledged, in monotonic time.
func (b *buffer) oldest() uint64 {
	oldest := uint64(math.MaxUint64)
	for _, a := range b.order {
		for _, it := range a.queue {
			if it.first {
				oldest = min(oldest, it.start)
			}
		}
	}
	for _, sent := range b.inflight {
		oldest = min(oldest, sent.oldest)
	}
	return oldest
}

func (b *buffer) empty() bool { return b.waiting == 0 && len(b.inflight) == 0 }
