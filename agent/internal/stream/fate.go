package stream

import (
	trafficv1 "github.com/sidelight/sidelight/proto/gen/sidelight/traffic/v1"
)

// stash keeps, in order, what came behind a request that asks for an upgrade or a tunnel, until its answer says what it
// is: a client may send without waiting, and what it sends is then no request.
type stash struct {
	pieces []piece
	size   int
}

// piece is bytes, or the news of some that were not seen.
type piece struct {
	data []byte
	n    uint64
	why  trafficv1.GapReason
	mono uint64
}

// maxStash bounds the bytes of one stash.
const maxStash = 64 << 10

func (c *conn) stashed() *stash {
	if c.stash == nil {
		c.stash = &stash{}
	}
	return c.stash
}

func (s *stash) add(c *conn, data []byte) {
	room := min(len(data), maxStash-s.size)
	if c.table.tight() {
		room = 0
	}
	if room > 0 {
		s.pieces = append(s.pieces, piece{data: append([]byte(nil), data[:room]...), mono: c.now})
		s.size += room
	}
	if left := len(data) - room; left > 0 {
		s.miss(uint64(left), trafficv1.GapReason_GAP_REASON_BUDGET)
	}
}

func (s *stash) miss(n uint64, why trafficv1.GapReason) {
	if last := len(s.pieces) - 1; last >= 0 && s.pieces[last].n > 0 && (s.pieces[last].why == why || last >= maxEarly) {
		s.pieces[last].n += n
		return
	}
	s.pieces = append(s.pieces, piece{n: n, why: why})
}

func (s *stash) bytes() (n uint64) {
	for _, p := range s.pieces {
		n += uint64(len(p.data)) + p.n
	}
	return n
}

// upgraded: nothing that follows in either direction is HTTP. An answer that was only guessed to be one may lie.
func (c *conn) upgraded() {
	if c.guessed || c.doubt != nil {
		c.darken()
		return
	}
	c.finish(tunnel)
}

// refused: HTTP goes on behind a request that asked for something else. Where the refusal was only guessed to be one, it
// may have been part of another answer, and what follows may be in a tunnel.
func (c *conn) refused() {
	if !c.requests.Paused() || c.fate != followed {
		return
	}
	if c.guessed {
		if c.marked = true; c.stash != nil {
			c.darken()
			return
		}
	}
	c.requests.Continue()
	kept := c.stash
	c.stash = nil
	if kept == nil {
		return
	}
	now := c.now
	for _, p := range kept.pieces {
		if p.n > 0 {
			c.again(p)
			continue
		}
		(*inbound)(c).deliver(p.data, p.mono)
	}
	c.now = now
}

// again tells of missed bytes that were counted when they were missed.
func (c *conn) again(p piece) {
	switch {
	case c.fate != followed:
		c.unread(p.n)
	case c.stash != nil, c.requests.Paused():
		c.stashed().miss(p.n, p.why)
	default:
		c.missed(p.n, p.why)
	}
}

// darken gives up a connection on which requests may still come: nobody can know where they begin.
func (c *conn) darken() {
	if c.fate != followed {
		return
	}
	c.table.lost("connections", "unfollowed", 1)
	c.finish(dark)
}

// finish ends the reading of a connection. What waited for an answer to tell what it is, is counted.
func (c *conn) finish(f fate) {
	c.fate = f
	if c.doubt != nil {
		c.doubt.drop(c)
		c.doubt = nil
	}
	if c.stash != nil {
		n := c.stash.bytes()
		c.stash = nil
		if f == followed {
			c.table.lostBytes(c.info.Workload, n)
		} else {
			c.unread(n)
		}
	}
	if f == followed {
		return
	}
	if !c.requests.IsLost() {
		c.requests.Stop()
	}
	c.unplaced()
}

// unread counts bytes of a connection that is not read.
func (c *conn) unread(n uint64) {
	if c.fate == tunnel {
		c.table.skipped(c.info.Workload, n)
	} else {
		c.table.lostBytes(c.info.Workload, n)
	}
}
