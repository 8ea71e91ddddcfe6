package ship

import (
	"encoding/binary"
	"testing"

	"github.com/sidelight/sidelight/internal/losses"
)

// BenchmarkBufferOfSizes: the same for exchanges of many sizes.
func BenchmarkBufferOfSizes(b *testing.B) {
	held := newBuffer(64<<20, losses.NewLosses(nil, "agent"))
	r := revision(quick("one", 0), shop())
	wire := make([]byte, 1<<11)
	n := uint64(0)
	b.ReportAllocs()
	for b.Loop() {
		n++
		binary.BigEndian.PutUint64(r.ID[:], n)
		// Sizes as a fixed generator gives them, 300 to 1800.
		r.Wire = wire[:300+n*2654435761>>8%1500]
		held.add(r)
		if n%100 == 0 {
			held.acknowledge(held.cut(100, 256<<10).sequence, 0)
		}
	}
}

// BenchmarkBuffer: one exchange through the buffer, from Take to its acknowledgement, with room and at three times what is taken.
func BenchmarkBuffer(b *testing.B) {
	for name, bound := range map[string]int{"room": 64 << 20, "overload": 1 << 20} {
		b.Run(name, func(b *testing.B) {
			held := newBuffer(bound, losses.NewLosses(nil, "agent"))
			r := revision(quick("one", 200), shop())
			n := uint64(0)
			b.ReportAllocs()
			for b.Loop() {
				n++
				binary.BigEndian.PutUint64(r.ID[:], n)
				held.add(r)
				if bound > 1<<20 && n%100 == 0 || n%300 == 0 {
					if sent := held.cut(100, 256<<10); sent != nil {
						held.acknowledge(sent.sequence, 0)
					}
				}
			}
		})
	}
}
