package ship

import (
	"google.golang.org/protobuf/proto"

	"github.com/sidelight/sidelight/internal/losses"
	trafficv1 "github.com/sidelight/sidelight/proto/gen/sidelight/traffic/v1"
)

// buffer holds exchanges from when they are made until they are acknowledged, bounded in bytes. Not safe for concurrent use.
type buffer struct {
	maxBytes int
	losses   *losses.Losses

	bytes    int
	waiting  []item
	inflight map[uint64]*batch
	// order of the batches in flight: a resend keeps it.
	order []uint64
	next  uint64
}

type item struct {
	exchange *trafficv1.Exchange
	size     int
}

type batch struct {
	sequence  uint64
	exchanges []*trafficv1.Exchange
	bytes     int
}

func newBuffer(maxBytes int, l *losses.Losses) *buffer {
	return &buffer{maxBytes: maxBytes, losses: l, inflight: map[uint64]*batch{}}
}

// add takes an exchange, giving up what is worth less when there is no room: bodies first, then the oldest exchanges.
func (b *buffer) add(e *trafficv1.Exchange) {
	it := item{e, proto.Size(e)}
	b.waiting = append(b.waiting, it)
	b.bytes += it.size
	for i := 0; i < len(b.waiting) && b.bytes > b.maxBytes; i++ {
		b.shedBody(&b.waiting[i])
	}
	drop := 0
	for drop < len(b.waiting) && b.bytes > b.maxBytes {
		b.bytes -= b.waiting[drop].size
		drop++
	}
	if drop > 0 {
		b.losses.Add("exchanges", "buffer_full", int64(drop))
		b.waiting = append(b.waiting[:0], b.waiting[drop:]...)
	}
}

func (b *buffer) shedBody(it *item) {
	body := it.exchange.GetRequest().GetBody()
	if len(body) == 0 {
		return
	}
	it.exchange.Request.Body = nil
	for _, segment := range body {
		it.exchange.Gaps = append(it.exchange.Gaps, &trafficv1.Gap{
			Part: trafficv1.Gap_PART_REQUEST_BODY, Offset: segment.GetOffset(), Length: uint64(len(segment.GetData())),
			Reason: trafficv1.GapReason_GAP_REASON_SHED,
		})
		b.losses.Add("body_bytes", "shed", int64(len(segment.GetData())))
	}
	b.bytes -= it.size
	it.size = proto.Size(it.exchange)
	b.bytes += it.size
}

// cut makes a batch of what waits, nil if nothing does.
func (b *buffer) cut(maxItems, maxBytes int) *batch {
	if len(b.waiting) == 0 {
		return nil
	}
	out := &batch{}
	n := 0
	for n < len(b.waiting) && n < maxItems && (n == 0 || out.bytes+b.waiting[n].size <= maxBytes) {
		out.exchanges = append(out.exchanges, b.waiting[n].exchange)
		out.bytes += b.waiting[n].size
		n++
	}
	rest := copy(b.waiting, b.waiting[n:])
	clear(b.waiting[rest:])
	b.waiting = b.waiting[:rest]
	b.next++
	out.sequence = b.next
	b.inflight[out.sequence] = out
	b.order = append(b.order, out.sequence)
	return out
}

// acknowledge forgets a batch.
func (b *buffer) acknowledge(sequence uint64) bool {
	done, ok := b.inflight[sequence]
	if !ok {
		return false
	}
	delete(b.inflight, sequence)
	b.bytes -= done.bytes
	for i, s := range b.order {
		if s == sequence {
			b.order = append(b.order[:i], b.order[i+1:]...)
			break
		}
	}
	return true
}

// unacknowledged are the batches in flight, oldest first.
func (b *buffer) unacknowledged() []*batch {
	list := make([]*batch, 0, len(b.order))
	for _, sequence := range b.order {
		list = append(list, b.inflight[sequence])
	}
	return list
}

func (b *buffer) empty() bool { return len(b.waiting) == 0 && len(b.inflight) == 0 }
