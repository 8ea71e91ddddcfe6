package ship

import (
	"math"

	"github.com/sidelight/sidelight/agent/internal/workload"
	"github.com/sidelight/sidelight/internal/losses"
	trafficv1 "github.com/sidelight/sidelight/proto/gen/sidelight/traffic/v1"
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
	// waiting counts items of all accounts.
	waiting int
	open    map[id]*open

	inflight map[uint64]*batch
	// sequences of the batches in flight: a resend keeps their order.
	sequences []uint64
	next      uint64
}

type id [16]byte

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

func (it *item) cost() int { return len(it.wire) + len(it.connection) + itemBytes }

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

// add takes an exchange, whose workload comes beside it, and gives up what is worth less when there is no room.
func (b *buffer) add(e *trafficv1.Exchange, w *workload.Workload) {
	a := b.account(w)
	it := &item{first: e.GetRevision() <= 1, last: e.GetPhase() == trafficv1.Phase_PHASE_CLOSED}
	copy(it.id[:], e.GetId())
	if it.first {
		w.Exchanges.Add(1)
	}
	if b.join(a, it, e) && b.fill(a, it, e) {
		a.push(it)
		b.hold(a, it.cost())
		b.waiting++
	}
	b.shed()
}

// fill makes an item hold this state of its exchange.
func (b *buffer) fill(a *account, it *item, e *trafficv1.Exchange) bool {
	wire, connection, err := encode(e)
	if err != nil {
		// Only text that is no UTF-8 can be the reason, and nothing of the traffic is text.
		b.losses.Add("exchanges", "not_encodable", 1)
		if it.first {
			a.workload.Lost.Add(1)
		}
		return false
	}
	it.wire, it.start, it.body, it.heads = wire, e.GetTimes().GetRequestStartMonoNs(), 0, headsOf(e)
	// What was shed of an exchange that waits has its connection beside it already.
	if connection != "" {
		it.connection = connection
	}
	it.content = e.GetContentRevision() == e.GetRevision()
	for _, segment := range e.GetRequest().GetBody() {
		it.body += len(segment.GetData())
	}
	return true
}

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
