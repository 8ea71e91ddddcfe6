package ship

import (
	"math"

	"github.com/sidelight/sidelight/agent/internal/workload"
)

// batch is in flight: encoded once, so that a resend is the same.
type batch struct {
	sequence uint64
	wire     frame
	shares   []share
	// items counts all its exchanges.
	items int
	// oldest start of the exchanges that come with it for the first time.
	oldest uint64
}

// share is one workload's part of a batch.
type share struct {
	account *account
	// ref names the workload within the batch: 1 is the first.
	ref uint32
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
	refs := map[*account]int{}
	var list []encoded
	var connections []string
	connectionRefs := map[string]uint32{}
	bytes := 0
	for out.items < maxItems && b.waiting > 0 {
		a := b.nextAccount()
		if out.items > 0 && bytes+len(a.queue[0].wire) > maxBytes {
			break
		}
		it := b.takeOldest(a)
		n, known := refs[a]
		if !known {
			n = len(out.shares)
			refs[a] = n
			out.shares = append(out.shares, share{account: a, ref: uint32(n + 1)})
		}
		s := &out.shares[n]
		if it.first {
			s.firsts++
			out.oldest = min(out.oldest, it.start)
		}
		s.bytes += it.cost()
		if it.connection != "" && connectionRefs[it.connection] == 0 {
			connections = append(connections, it.connection)
			connectionRefs[it.connection] = uint32(len(connections))
		}
		list = append(list, encoded{it.wire, s.ref, connectionRefs[it.connection]})
		bytes += len(it.wire)
		out.items++
	}
	names := make([]*workload.Workload, len(out.shares))
	for i, s := range out.shares {
		names[i] = s.account.workload
		b.inflightBytes += s.bytes
	}
	out.wire = encodeBatch(out.sequence, list, names, connections)
	b.inflight[out.sequence] = out
	b.sequences = append(b.sequences, out.sequence)
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
	for i, s := range b.sequences {
		if s == sequence {
			b.sequences = append(b.sequences[:i], b.sequences[i+1:]...)
			break
		}
	}
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
	list := make([]*batch, 0, len(b.sequences))
	for _, sequence := range b.sequences {
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
