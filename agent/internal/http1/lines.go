package http1

import "bytes"

// lines puts lines together from pieces.
type lines struct {
	partial []byte
	// dropped bytes of the line under way: it is longer than the limit.
	dropped int
}

// next takes one line, without its ending, off the data. A line that came whole is a slice of data: no copy. Not ok: all
// data is taken, and the line is not complete yet.
func (l *lines) next(data []byte, limit int) (line, rest []byte, bareLF, ok bool) {
	line, rest, ended := bytes.Cut(data, []byte{'\n'})
	if !ended {
		l.add(data, limit)
		return nil, nil, false, false
	}
	if len(l.partial) > 0 || l.dropped > 0 {
		l.add(line, limit)
		line = l.partial
		l.partial = l.partial[:0]
	} else if len(line) > limit {
		l.dropped = len(line) - limit
		line = line[:limit]
	}
	if l.dropped > 0 {
		// The ending was dropped with the rest.
		return line, rest, false, true
	}
	if n := len(line); n > 0 && line[n-1] == '\r' {
		return line[:n-1], rest, false, true
	}
	return line, rest, true, true
}

// long tells whether the line that next gave was cut, and forgets it.
func (l *lines) long() bool {
	cut := l.dropped > 0
	l.dropped = 0
	return cut
}

func (l *lines) add(b []byte, limit int) {
	if room := limit - len(l.partial); room < len(b) {
		l.dropped += len(b) - max(room, 0)
		b = b[:max(room, 0)]
	}
	l.partial = append(l.partial, b...)
}

// reset lets the memory go: most connections are idle most of the time.
func (l *lines) reset() { *l = lines{} }
