package ship

import (
	"github.com/sidelight/sidelight/agent/internal/workload"
)

// account is one workload's part of the buffer: what waits, oldest first.
type account struct {
	workload *workload.Workload
	queue    []*item
	// base is the place of the queue's first item: places only grow.
	base int
	// shed is the place up to which each stage of shedding went.
	shed [stages]int
	// bytes of what waits and of what is in flight.
	bytes int
	// cut is the last batch that has something of it, and ref its number there: 1 is the first.
	cut uint64
	ref int
}

func (a *account) push(it *item) {
	it.place = a.base + len(a.queue)
	a.queue = append(a.queue, it)
}

// pop takes the oldest.
func (a *account) pop() *item {
	it := a.queue[0]
	a.queue[0] = nil
	a.queue = a.queue[1:]
	a.base++
	if len(a.queue) == 0 {
		a.queue = nil
	}
	return it
}

// candidate gives the oldest item that this stage has not been to, nil if there is none.
func (a *account) candidate(s stage) *item {
	if s == wholeExchange {
		if len(a.queue) == 0 {
			return nil
		}
		return a.queue[0]
	}
	for place := max(a.shed[s], a.base); place < a.base+len(a.queue); place++ {
		a.shed[s] = place
		if it := a.queue[place-a.base]; it.gives(s) > 0 {
			return it
		}
	}
	a.shed[s] = a.base + len(a.queue)
	return nil
}
