package ship

import (
	"google.golang.org/protobuf/proto"

	trafficv1 "github.com/sidelight/sidelight/proto/gen/sidelight/traffic/v1"
)

// open is what is known here of an exchange whose last revision has not come.
type open struct {
	// waiting is its newest revision, as long as that was not sent.
	waiting *item
	// gone: it was given up before any revision was sent, and is lost unless a later one has it all again.
	gone bool
	// gaps, on the wire, were made here in its request's content: revisions that do not repeat the content know nothing of them.
	gaps []byte
}

// join brings a new revision together with what is known of older ones. False: it need not be queued.
func (b *buffer) join(a *account, it *item) bool {
	if it.first && it.last {
		return true
	}
	o := b.open[it.id]
	if o == nil {
		if !it.last {
			b.open[it.id] = &open{waiting: it}
		}
		return true
	}
	if it.last {
		delete(b.open, it.id)
	}
	if it.content {
		o.gaps = nil
	} else if len(o.gaps) > 0 {
		// Fields may stand in any order.
		it.wire = concat(it.wire, o.gaps)
	}
	if o.gone {
		return b.revive(a, it, o)
	}
	if o.waiting != nil && b.replace(a, it, o) {
		return false
	}
	o.waiting = it
	return true
}

// revive takes a revision of an exchange that was given up: only one that has all of it makes it an exchange again.
func (b *buffer) revive(a *account, it *item, o *open) bool {
	if it.content {
		it.first, o.gone, o.waiting = true, false, it
		return true
	}
	if it.last {
		b.lose(a, 1)
	} else {
		b.losses.Add("revisions", "buffer_full", 1)
	}
	return false
}

// replace lets a revision take the place of an older one that still waits: the newest state wins.
func (b *buffer) replace(a *account, it *item, o *open) bool {
	old := o.waiting
	taken := *it
	taken.place, taken.first = old.place, old.first
	if !it.content && old.content {
		// The older one has what this one leaves out, and was never sent: so it becomes part of this one.
		wire, err := merge(old.wire, it.wire)
		if err != nil {
			// Both were written by this agent. Should it ever happen, the two go one after the other.
			return false
		}
		taken.wire, taken.body, taken.content = wire, old.body, true
	}
	b.waitingBytes += taken.size() - old.size()
	b.hold(a, taken.cost()-old.cost())
	// The new one's item is free now, with the old one's bytes.
	*old, it.wire = taken, old.wire
	// Where shedding has passed by, it does not come again.
	for s := range stages {
		if old.place < a.shed[s] && old.gives(s) > 0 {
			b.strip(a, old, s)
		}
	}
	return true
}

// merge gives a state that has its request's content from the one before.
func merge(before, now []byte) ([]byte, error) {
	was, is := &trafficv1.Exchange{}, &trafficv1.Exchange{}
	if err := proto.Unmarshal(before, was); err != nil {
		return nil, err
	}
	if err := proto.Unmarshal(now, is); err != nil {
		return nil, err
	}
	from, to := was.GetRequest(), is.GetRequest()
	to.Headers, to.Body, to.Trailers, to.Anomalies = from.GetHeaders(), from.GetBody(), from.GetTrailers(), from.GetAnomalies()
	// With its headers it says its authority as the older one did.
	to.Authority = from.GetAuthority()
	is.ContentRevision = is.GetRevision()
	return proto.Marshal(is)
}

func concat(a, b []byte) []byte {
	return append(append(make([]byte, 0, len(a)+len(b)), a...), b...)
}
