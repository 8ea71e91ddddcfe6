package exchange

import (
	"container/heap"
	"iter"
	"time"
)

// agenda is what is due when. First deadlines come in the order of time, and most are taken back long before they pass: they
// are a list. All others are a heap.
type agenda struct {
	head, tail *Open
	listed     int
	later      deadlines
}

// place says where an exchange stands: in the heap, from 1 on, or in the list.
type place int

const (
	nowhere place = 0
	inList  place = -1
)

// slack is how much later a first deadline may pass so that the list keeps its order: events of two processors change places by
// less.
const slack = uint64(time.Millisecond)

// first gives an exchange its first deadline.
func (a *agenda) first(o *Open, deadline uint64) {
	if a.tail != nil && deadline < a.tail.deadline {
		if a.tail.deadline-deadline > slack {
			o.deadline = deadline
			heap.Push(&a.later, o)
			return
		}
		deadline = a.tail.deadline
	}
	o.deadline, o.place, o.before = deadline, inList, a.tail
	if a.tail == nil {
		a.head = o
	} else {
		a.tail.behind = o
	}
	a.tail = o
	a.listed++
}

// at makes an exchange due at a time, or before if it is due before.
func (a *agenda) at(o *Open, deadline uint64) {
	switch {
	case o.place == nowhere:
		o.deadline = deadline
		heap.Push(&a.later, o)
	case deadline >= o.deadline:
	case o.place == inList:
		a.remove(o)
		o.deadline = deadline
		heap.Push(&a.later, o)
	default:
		o.deadline = deadline
		heap.Fix(&a.later, int(o.place)-1)
	}
}

func (a *agenda) remove(o *Open) {
	switch o.place {
	case nowhere:
		return
	case inList:
		if o.before == nil {
			a.head = o.behind
		} else {
			o.before.behind = o.behind
		}
		if o.behind == nil {
			a.tail = o.before
		} else {
			o.behind.before = o.before
		}
		o.before, o.behind, o.place = nil, nil, nowhere
		a.listed--
	default:
		heap.Remove(&a.later, int(o.place)-1)
	}
}

// next is what is due first, nil if nothing is.
func (a *agenda) next() *Open {
	if len(a.later) > 0 && (a.head == nil || a.later[0].deadline < a.head.deadline) {
		return a.later[0]
	}
	return a.head
}

func (a *agenda) len() int { return a.listed + len(a.later) }

func (a *agenda) all() iter.Seq[*Open] {
	return func(yield func(*Open) bool) {
		for o := a.head; o != nil; o = o.behind {
			if !yield(o) {
				return
			}
		}
		for _, o := range a.later {
			if !yield(o) {
				return
			}
		}
	}
}

// deadlines is a heap: the first is due first.
type deadlines []*Open

func (d deadlines) Len() int           { return len(d) }
func (d deadlines) Less(i, j int) bool { return d[i].deadline < d[j].deadline }
func (d deadlines) Swap(i, j int) {
	d[i], d[j] = d[j], d[i]
	d[i].place, d[j].place = place(i+1), place(j+1)
}

// Push is the heap's.
func (d *deadlines) Push(x any) {
	o := x.(*Open) //nolint:forcetypeassert // the heap holds nothing else
	*d = append(*d, o)
	o.place = place(len(*d))
}

// Pop is the heap's.
func (d *deadlines) Pop() any {
	last := len(*d) - 1
	o := (*d)[last]
	(*d)[last] = nil
	*d = (*d)[:last]
	o.place = nowhere
	return o
}
