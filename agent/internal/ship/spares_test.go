package ship

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// An item is used again for what is about as large, whatever its size, and never for what is far smaller.
func TestSpares(t *testing.T) {
	t.Parallel()
	for size := 0; size <= keptWire; size += 31 {
		var s spares
		first := s.take(size)
		require.Equal(t, size, cap(first.wire))
		first.wire, first.first, first.connection = first.wire[:size], true, "old"
		s.put(first)
		for other := max(0, size-3*spareStep); other < size+3*spareStep; other++ {
			it := s.take(other)
			require.GreaterOrEqual(t, cap(it.wire), other)
			require.Less(t, cap(it.wire), other+2*spareStep)
			if it == first {
				s.put(it)
			}
		}
		again := s.take(size)
		require.Same(t, first, again)
		require.Equal(t, item{wire: again.wire[:0]}, *again)
		require.Zero(t, s.bytes)
	}
	// What shedding left has any size.
	var s spares
	s.put(&item{wire: make([]byte, 0, 3*spareStep-1)})
	require.Equal(t, 3*spareStep-1, cap(s.take(2*spareStep).wire))
	s.put(&item{wire: make([]byte, keptWire+1)})
	require.Zero(t, s.bytes, "one large exchange is no reason to hold on to its size")
	require.Equal(t, keptWire+1, cap(s.take(keptWire+1).wire))
}

// Spares are bounded together, and those that nobody takes make room for others.
func TestSparesAreBounded(t *testing.T) {
	t.Parallel()
	var s spares
	put := func(size, n int) {
		for range n {
			s.put(&item{wire: make([]byte, size)})
			require.LessOrEqual(t, s.bytes, keptBytes)
		}
	}
	put(512, keptBytes/512)
	before := len(s.bySize[512/spareStep])
	put(1024, 500)
	require.Len(t, s.bySize[1024/spareStep], 500)
	require.Less(t, len(s.bySize[512/spareStep]), before)
	sum := 0
	for _, list := range s.bySize {
		for _, it := range list {
			sum += it.cost()
		}
	}
	require.Equal(t, sum, s.bytes)
}
