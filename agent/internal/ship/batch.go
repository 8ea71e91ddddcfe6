package ship

import (
	"maps"
	"math"
	"slices"
)

// batch is in flight: encoded once, so that a resend is the same.
type batch struct {
	sequence uint64
	frame    *frame
	size     int
	shares   []share
	// items counts all its exchanges.
	items int
	// oldest start of the exchanges that come with it for the first time.
	oldest uint64
}

// share is one workload's part of a batch.
type share struct {
	account *account
	// firsts counts exchanges of which no older revision was sent.
	firsts int
	bytes  int
}

// cut makes a batch of what waits, nil if nothing does or enough is in flight: what is in flight cannot be shed any more, so half
// of the bound is kept from it. Workloads take turns.
func (b *buffer) cut(maxItems, maxBytes int) *batch {
	if b.waiting == 0 || len(b.inflight) > 0 && b.inflightBytes >= b.maxBytes/2 {
		return nil
	}
	b.next++
	out := &batch{sequence: b.next, oldest: math.MaxUint64}
	c := &b.cutting
	bytes := 0
	for out.items < maxItems && b.waiting > 0 {
		a := b.nextAccount()
		if out.items > 0 && bytes+a.queue[0].size() > maxBytes {
			break
		}
		it := b.takeOldest(a)
		if a.cut != out.sequence {
			a.cut, a.ref = out.sequence, len(out.shares)+1
			out.shares = append(out.shares, share{account: a})
		}
		s := &out.shares[a.ref-1]
		if it.first {
			s.firsts++
			out.oldest = min(out.oldest, it.start)
		}
		s.bytes += it.cost()
		c.take(it, uint32(a.ref))
		bytes += it.size()
		out.items++
	}
	for _, s := range out.shares {
		c.names = append(c.names, s.account.workload)
		b.inflightBytes += s.bytes
	}
	out.frame = c.encode(out.sequence, &b.frames)
	out.size = len(out.frame.bytes)
	for _, e := range c.list {
		b.spares.put(e.item)
	}
	c.reset()
	b.inflight[out.sequence] = out
	return out
}

// nextAccount gives the next one in turn that has something waiting; the caller knows that one has.
func (b *buffer) nextAccount() *account {
	for range b.order {
		a := b.order[b.turn%len(b.order)]
		b.turn = (b.turn + 1) % len(b.order)
		if len(a.queue) > 0 {
			return a
		}
	}
	return nil
}

// takeOldest takes an account's oldest item to be sent: its bytes stay held until they are acknowledged.
func (b *buffer) takeOldest(a *account) *item {
	it := a.pop()
	b.waiting--
	b.waitingBytes -= it.size()
	if it.last {
		// Nothing is known of it any more.
		return it
	}
	if o := b.open[it.id]; o != nil && o.waiting == it {
		o.waiting = nil
	}
	return it
}

// acknowledge forgets a batch and counts what became of it. False: it is not in flight, and was counted before.
func (b *buffer) acknowledge(sequence uint64, refused int) bool {
	done, ok := b.inflight[sequence]
	if !ok {
		return false
	}
	delete(b.inflight, sequence)
	done.frame.buffer.Free()
	// The answer does not say which were refused. A batch of one workload, or one that was refused as a whole, tells it all;
	// else each workload has its part of them.
	refused = min(refused, done.items)
	firsts, lost := 0, 0
	for _, s := range done.shares {
		b.hold(s.account, -s.bytes)
		b.inflightBytes -= s.bytes
		firsts += s.firsts
		upTo := refused * firsts / max(done.items, 1)
		s.account.workload.Lost.Add(uint64(upTo - lost))
		s.account.workload.Acknowledged.Add(uint64(s.firsts - (upTo - lost)))
		lost = upTo
	}
	b.losses.Add("exchanges", "refused", int64(lost))
	b.losses.Add("revisions", "refused", int64(refused-lost))
	return true
}

// unacknowledged are the batches in flight, oldest first.
func (b *buffer) unacknowledged() []*batch {
	list := make([]*batch, 0, len(b.inflight))
	for _, sequence := range slices.Sorted(maps.Keys(b.inflight)) {
		list = append(list, b.inflight[sequence])
	}
	return list
}

// giveUp counts what the end of the agent loses: exchanges that were never acknowledged, and later revisions of others.
func (b *buffer) giveUp() (exchanges, revisions int) {
	count := func(n, firsts int) { exchanges, revisions = exchanges+firsts, revisions+n-firsts }
	for _, sent := range b.inflight {
		firsts := 0
		for _, s := range sent.shares {
			firsts += s.firsts
			s.account.workload.Lost.Add(uint64(s.firsts))
		}
		count(sent.items, firsts)
	}
	for _, a := range b.order {
		firsts := 0
		for _, it := range a.queue {
			if it.first {
				firsts++
			}
		}
		a.workload.Lost.Add(uint64(firsts))
		count(len(a.queue), firsts)
	}
	for _, o := range b.open {
		if o.gone {
			count(1, 1)
		}
	}
	b.losses.Add("exchanges", "agent_stop", int64(exchanges))
	b.losses.Add("revisions", "agent_stop", int64(revisions))
	return exchanges, revisions
}
