package route

import "slices"

// quantum is how many bytes of one source go before it is the next one's turn.
const quantum = 32 << 10

// lines is what waits, one line per source. Sources take turns by bytes, so that the queue of one that floods is its own.
type lines struct {
	bySource map[string]*line
	turns    []*line
	items    int
}

type line struct {
	source string
	items  []Item
	// credit is what it may still send in this turn; below 0 it waits some turns for what it had too much.
	credit int64
}

func (l *lines) of(source string) *line {
	q := l.bySource[source]
	if q == nil {
		q = &line{source: source}
		if l.bySource == nil {
			l.bySource = map[string]*line{}
		}
		l.bySource[source] = q
		l.turns = append(l.turns, q)
	}
	return q
}

func (l *lines) push(items []Item) {
	for _, item := range items {
		q := l.of(item.Source)
		q.items = append(q.items, item)
	}
	l.items += len(items)
}

// unshift puts items before what waits, each in its source's line.
func (l *lines) unshift(items []Item) {
	bySource := map[string][]Item{}
	for _, item := range items {
		bySource[item.Source] = append(bySource[item.Source], item)
	}
	for source, list := range bySource {
		q := l.of(source)
		q.items = append(list, q.items...)
	}
	l.items += len(items)
}

// take gives the items of one call; the first is taken whatever its size.
func (l *lines) take(maxItems int, maxBytes int64) []Item {
	var out []Item
	size := int64(0)
	for len(l.turns) > 0 {
		q := l.turns[0]
		if q.credit <= 0 {
			q.credit += quantum
		}
		// Who is alone takes nothing from anybody.
		alone := len(l.turns) == 1
		n := 0
		for n < len(q.items) && (alone || q.credit > 0) {
			item := q.items[n]
			if len(out) > 0 && (len(out) >= maxItems || size+item.Size > maxBytes) {
				l.cut(q, n)
				return out
			}
			out = append(out, item)
			size += item.Size
			if n++; !alone {
				q.credit -= item.Size
			}
		}
		l.cut(q, n)
		if len(q.items) > 0 {
			l.turns = append(slices.Delete(l.turns, 0, 1), q)
		}
	}
	return out
}

// cut removes the first n items of the line whose turn it is, and the line with the last of them.
func (l *lines) cut(q *line, n int) {
	clear(q.items[:n])
	q.items = q.items[n:]
	l.items -= n
	if len(q.items) == 0 {
		delete(l.bySource, q.source)
		l.turns = slices.Delete(l.turns, 0, 1)
	}
}
