package stream

import "github.com/sidelight/sidelight/agent/internal/probe"

// dropped is where a connection stood when it was given up, to make room or because nothing came.
type dropped struct {
	// whole: between two exchanges, in step.
	whole, tunnel, marked, guessed bool
	next, lost                     [2]uint32
}

// drops remembers connections that were given up: what comes of them later is not their beginning.
type drops struct {
	most  int
	by    map[probe.ConnKey]dropped
	order []probe.ConnKey
	// forgot: any that the kernel saw first at this time or before may have been forgotten here, too.
	forgot uint64
}

func (d *drops) add(key probe.ConnKey, where dropped) {
	for len(d.order) > 0 && (len(d.by) >= d.most || len(d.order) >= 2*d.most) {
		if _, known := d.by[d.order[0]]; known {
			d.forgot = max(d.forgot, d.order[0].Start)
			delete(d.by, d.order[0])
		}
		d.order = d.order[1:]
	}
	d.by[key] = where
	d.order = append(d.order, key)
}

// take forgets one that came back. Not known, it is new unless it may have been forgotten.
func (d *drops) take(key probe.ConnKey) (where dropped, known bool) {
	where, known = d.by[key]
	delete(d.by, key)
	return where, known || key.Start <= d.forgot && key.Start > 0
}

// where says where a connection stands that is given up.
func (c *conn) where() dropped {
	return dropped{
		whole: c.fate == followed && c.doubt == nil && len(c.open) == 0 && c.in.started && c.out.started && c.requests.Idle() &&
			!c.requests.Paused() && c.responses.Idle() && len(c.in.early)+len(c.out.early) == 0,
		tunnel: c.fate == tunnel, marked: c.marked, guessed: c.guessed,
		next: [2]uint32{c.in.next, c.out.next}, lost: [2]uint32{c.in.lost, c.out.lost},
	}
}
