package observe

import "time"

const (
	// remembered is how long a revision is known at least, while there is room.
	remembered = time.Minute
	// maxRemembered bounds one of the two generations.
	maxRemembered = 1 << 16
	// longestID is far over what an exchange's id has. A longer one is not worth the memory.
	longestID = 64
)

type revision struct {
	id     string
	number uint32
}

// dedupe knows the revisions of the last minute: two aggregators show the same one when an agent had to send it again.
type dedupe struct {
	now      func() time.Time
	since    time.Time
	young    map[revision]struct{}
	old      map[revision]struct{}
	capacity int
}

func newDedupe(now func() time.Time) *dedupe {
	return &dedupe{now: now, since: now(), young: map[revision]struct{}{}, capacity: maxRemembered}
}

// Seen tells whether the revision was asked for before, and notes it.
func (d *dedupe) Seen(id []byte, number uint32) bool {
	if len(id) == 0 || len(id) > longestID {
		return false
	}
	switch age := d.now().Sub(d.since); {
	case age >= 2*remembered:
		d.young, d.old, d.since = map[revision]struct{}{}, nil, d.now()
	case age >= remembered || len(d.young) >= d.capacity:
		d.young, d.old, d.since = map[revision]struct{}{}, d.young, d.now()
	}
	r := revision{string(id), number}
	if _, found := d.young[r]; found {
		return true
	}
	d.young[r] = struct{}{}
	_, found := d.old[r]
	return found
}
