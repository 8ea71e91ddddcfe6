package ship

import (
	"sync"

	"google.golang.org/grpc/mem"
)

// frame is a MirrorRequest as it goes on the wire. It is held until it is acknowledged, and by gRPC while that writes it: whoever is
// last gives its memory back.
type frame struct {
	bytes  []byte
	buffer mem.Buffer
}

// framePool keeps memory of large frames for the next ones: they would be half of all garbage.
type framePool struct {
	mu   sync.Mutex
	free []*[]byte
}

const (
	// pooledFrame is the least that is kept, keptFrames how many are.
	pooledFrame = 32 << 10
	keptFrames  = 4
)

// get gives a frame with room for n bytes.
func (p *framePool) get(n int) *frame {
	if n < pooledFrame {
		return &frame{bytes: make([]byte, 0, n)}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, one := range p.free {
		// Room is held, too.
		if c := cap(*one); c >= n && c <= 2*n {
			last := len(p.free) - 1
			p.free[i], p.free[last] = p.free[last], nil
			p.free = p.free[:last]
			return &frame{bytes: (*one)[:0]}
		}
	}
	return &frame{bytes: make([]byte, 0, n+n/8)}
}

// Get is gRPC's, which never asks.
func (p *framePool) Get(n int) *[]byte {
	b := make([]byte, n)
	return &b
}

// Put is gRPC's, when nobody holds a frame any more.
func (p *framePool) Put(b *[]byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.free) < keptFrames {
		p.free = append(p.free, b)
	}
}

// seal ends the writing; the frame is held once from now on.
func (f *frame) seal(p *framePool) {
	if cap(f.bytes) < pooledFrame {
		f.buffer = mem.SliceBuffer(f.bytes)
		return
	}
	f.buffer = mem.NewBuffer(&f.bytes, p)
}

// message is what gRPC is given: it holds the frame once more, until it is written.
type message struct{ mem.Buffer }

func (f *frame) message() message {
	f.buffer.Ref()
	return message{f.buffer}
}
