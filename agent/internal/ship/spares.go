package ship

// spares are items that were sent or given up, whose memory the next take. Exchanges are of all sizes, and room is held, too: each
// waits among those of about its size.
type spares struct {
	bySize [keptWire/spareStep + 1][]*item
	bytes  int
}

const (
	// keptWire is the most that a spare item has room for, spareStep by how much sizes differ, keptBytes the bound for all of them.
	keptWire  = 2 << 10
	spareStep = 32
	keptBytes = 2 << 20
)

// take gives an item with room for so many bytes, and little more.
func (s *spares) take(size int) *item {
	// Among those of its own class some are too small, but where sizes do not change none is; all of the next one fit.
	if class := size / spareStep; class < len(s.bySize) {
		if list := s.bySize[class]; len(list) > 0 && cap(list[len(list)-1].wire) >= size {
			return s.pop(class)
		}
		if class++; class < len(s.bySize) && len(s.bySize[class]) > 0 {
			return s.pop(class)
		}
	}
	return &item{wire: make([]byte, 0, size)}
}

// put takes an item back that nothing points to any more.
func (s *spares) put(it *item) {
	wire := it.wire[:0]
	if cap(wire) > keptWire {
		return
	}
	*it = item{wire: wire}
	class := cap(wire) / spareStep
	s.bySize[class] = append(s.bySize[class], it)
	for s.bytes += it.cost(); s.bytes > keptBytes; {
		s.pop(s.most())
	}
}

// most is the size of which there is most: what comes now may be of another one than what came.
func (s *spares) most() (class int) {
	most := -1
	for i := range s.bySize {
		if n := len(s.bySize[i]) * (i*spareStep + itemBytes); n > most {
			most, class = n, i
		}
	}
	return class
}

func (s *spares) pop(class int) *item {
	list := s.bySize[class]
	last := len(list) - 1
	if last < 0 {
		return nil
	}
	it := list[last]
	list[last] = nil
	s.bySize[class] = list[:last]
	s.bytes -= it.cost()
	return it
}
