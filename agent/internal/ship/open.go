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
	// gaps were made here in its request's content: revisions that do not repeat the content know nothing of them.
	gaps []*trafficv1.Gap
}

// join brings a new revision together with what is known of older ones. False: it need not be queued.
func (b *buffer) join(a *account, it *item, e *trafficv1.Exchange) bool {
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
	content := e.GetContentRevision() == e.GetRevision()
	if content {
		o.gaps = nil
	} else {
		e.Gaps = append(e.Gaps, o.gaps...)
	}
	if o.gone {
		return b.revive(a, it, o, content)
	}
	if o.waiting != nil && b.replace(a, it, o, e, content) {
		return false
	}
	o.waiting = it
	return true
}

// revive takes a revision of an exchange that was given up: only one that has all of it makes it an exchange again.
func (b *buffer) revive(a *account, it *item, o *open, content bool) bool {
	if content {
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
func (b *buffer) replace(a *account, it *item, o *open, e *trafficv1.Exchange, content bool) bool {
	old := o.waiting
	if !content && old.content {
		// The older one has what this one leaves out, and was never sent: so it becomes part of this one.
		before := &trafficv1.Exchange{}
		if err := proto.Unmarshal(old.wire, before); err != nil {
			return false
		}
		was, now := before.GetRequest(), e.GetRequest()
		now.Headers, now.Body, now.Trailers, now.Anomalies = was.GetHeaders(), was.GetBody(), was.GetTrailers(), was.GetAnomalies()
		e.ContentRevision = e.GetRevision()
	}
	taken := *old
	taken.last = it.last
	if !b.fill(a, &taken, e) {
		return true
	}
	b.hold(a, taken.cost()-old.cost())
	*old = taken
	// Where shedding has passed by, it does not come again.
	for s := range stages {
		if old.place < a.shed[s] && old.gives(s) > 0 {
			b.strip(a, old, s)
		}
	}
	return true
}
