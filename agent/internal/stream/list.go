package stream

// list holds connections by the time of their last byte, the longest quiet first.
type list struct{ first, last *conn }

// place is where a connection stands in the table's lists.
type place struct {
	in         *list
	prev, next *conn
	// watched is its index among the watched; unwatched: none.
	watched int
}

const unwatched = -1

func (l *list) push(c *conn) {
	c.place.in, c.place.prev, c.place.next = l, l.last, nil
	if l.last != nil {
		l.last.place.next = c
	} else {
		l.first = c
	}
	l.last = c
}

func (c *conn) leave() {
	p := &c.place
	if p.in == nil {
		return
	}
	if p.prev != nil {
		p.prev.place.next = p.next
	} else {
		p.in.first = p.next
	}
	if p.next != nil {
		p.next.place.prev = p.prev
	} else {
		p.in.last = p.prev
	}
	p.in, p.prev, p.next = nil, nil, nil
}

// touch moves a connection behind all others of its kind: it just had a byte.
func (t *Table) touch(c *conn) {
	to := &t.quiet
	if len(c.open) > 0 || c.doubt != nil && c.doubt.held != nil {
		to = &t.busy
	}
	if c.place.in != to || to.last != c {
		c.leave()
		to.push(c)
	}
	t.watch(c, len(c.in.early)+len(c.out.early) > 0 || c.waits())
}

// waits tells whether something began that was not handed on, and that the builder knows nothing of.
func (c *conn) waits() bool {
	return c.fate == followed && (c.requests.LineUnderWay() || c.doubt != nil && c.doubt.held != nil)
}

// watch keeps the few connections of which something is due.
func (t *Table) watch(c *conn, yes bool) {
	i := c.place.watched
	switch {
	case yes && i == unwatched:
		c.place.watched = len(t.watched)
		t.watched = append(t.watched, c)
	case !yes && i != unwatched:
		last := len(t.watched) - 1
		t.watched[i] = t.watched[last]
		t.watched[i].place.watched = i
		t.watched[last] = nil
		t.watched = t.watched[:last]
		c.place.watched = unwatched
	}
}
