package admit

import (
	"crypto/sha256"
	"time"

	inventoryv1 "github.com/sidelight/sidelight/proto/gen/sidelight/inventory/v1"
)

// Windows say how long exchanges are remembered.
type Windows struct {
	// Hold is how long an observation waits for its status.
	Hold time.Duration
	// Remember is how long a resend is recognised.
	Remember time.Duration
	// Most exchanges that are remembered; MostHeld of them wait for a status.
	Most, MostHeld int
}

// DefaultWindows fit the resends of the parts before this one.
func DefaultWindows() Windows {
	return Windows{Hold: time.Minute, Remember: time.Minute, Most: 200_000, MostHeld: 10_000}
}

// Exchanges makes one observation out of all that is said of an exchange: a resend counts once, a newer revision replaces
// an older one, and a status that comes later is joined.
type Exchanges struct {
	windows Windows
	known   map[[16]byte]*exchange
	// order is by arrival, oldest first; head is its first entry.
	order []entry
	head  int
	held  int
}

type exchange struct {
	revision uint32
	held     *inventoryv1.Observation
	status   bool
	seen     time.Time
}

type entry struct {
	id  [16]byte
	due time.Time
}

// Outcome is what is to be done with an observation.
type Outcome struct {
	// Settled is to be counted as a request.
	Settled *inventoryv1.Observation
	// Late brings the status of a request that was counted without one.
	Late *inventoryv1.Observation
	// Duplicate: it was seen before.
	Duplicate bool
}

// NewExchanges remembers nothing yet.
func NewExchanges(windows Windows) *Exchanges {
	return &Exchanges{windows: windows, known: map[[16]byte]*exchange{}}
}

// Len is how many exchanges are remembered.
func (e *Exchanges) Len() int { return len(e.known) }

// Take joins an observation with what is known of its exchange.
func (e *Exchanges) Take(o *inventoryv1.Observation, now time.Time) Outcome {
	if len(o.GetExchangeId()) == 0 {
		// Nothing to join by.
		return Outcome{Settled: o}
	}
	id := key(o.GetExchangeId())
	x := e.known[id]
	if x == nil {
		x = &exchange{revision: o.GetRevision(), seen: now, status: o.GetStatus() != 0}
		e.known[id] = x
		e.order = append(e.order, entry{id, now.Add(e.windows.Hold)})
		switch {
		case o.GetOutcomeOnly():
			return Outcome{Late: o}
		case x.status, e.held >= e.windows.MostHeld:
			return Outcome{Settled: o}
		}
		x.held = o
		e.held++
		return Outcome{}
	}
	if o.GetRevision() <= x.revision {
		return Outcome{Duplicate: true}
	}
	x.revision, x.seen = o.GetRevision(), now
	wasHeld := x.held != nil
	out := x.update(o)
	if wasHeld && x.held == nil {
		e.held--
	}
	return out
}

// update takes a newer revision.
func (x *exchange) update(o *inventoryv1.Observation) Outcome {
	held := x.held
	switch {
	case held != nil && o.GetOutcomeOnly():
		held.Status, held.ResponseContentType = o.GetStatus(), o.GetResponseContentType()
		held.Attack = held.GetAttack() || o.GetAttack()
	case held != nil:
		o.Attack = held.GetAttack() || o.GetAttack()
		x.held, held = o, o
	case !x.status && o.GetStatus() != 0:
		x.status = true
		return Outcome{Late: o}
	default:
		return Outcome{}
	}
	if held.GetStatus() == 0 {
		return Outcome{}
	}
	x.held, x.status = nil, true
	return Outcome{Settled: held}
}

// Sweep gives the observations that waited long enough for a status, and forgets exchanges that are old, or too many:
// `evicted` of them before their time.
func (e *Exchanges) Sweep(now time.Time) (settled []*inventoryv1.Observation, evicted int) {
	for e.head < len(e.order) {
		next := e.order[e.head]
		tooMany := len(e.known) > e.windows.Most
		if !tooMany && next.due.After(now) {
			break
		}
		e.order[e.head] = entry{}
		e.head++
		x := e.known[next.id]
		if x.held != nil {
			settled = append(settled, x.held)
			x.held = nil
			e.held--
		}
		switch {
		case tooMany:
			evicted++
			delete(e.known, next.id)
		case x.seen.Add(e.windows.Remember).After(now):
			// Due as any newcomer, so that the order stays one of time.
			e.order = append(e.order, entry{next.id, now.Add(e.windows.Hold)})
		default:
			delete(e.known, next.id)
		}
	}
	if e.head > len(e.order)/2 {
		e.order = append([]entry(nil), e.order[e.head:]...)
		e.head = 0
	}
	return settled, evicted
}

// key of an exchange id; those of our agents have 16 bytes.
func key(id []byte) [16]byte {
	if len(id) == 16 {
		return [16]byte(id)
	}
	sum := sha256.Sum256(id)
	return [16]byte(sum[:16])
}
