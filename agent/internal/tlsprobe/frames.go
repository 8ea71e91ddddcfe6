package tlsprobe

import "sort"

// frames is the sorted table by which stack unwinders find functions, and the only list of all functions, local ones too,
// that a stripped library still has. Each entry is the start of a function, or of a part of one that the compiler moved.
type frames struct {
	m     *image
	table uint64
	base  uint64
	count uint64
}

// frameTable is nil where there is none, or none of the one encoding that linkers write.
func (m *image) frameTable() *frames {
	if m.frames == nil || m.frames.Filesz < 12 {
		return nil
	}
	var h struct {
		Version, PointerEncoding, CountEncoding, TableEncoding uint8
		Pointer                                                int32
		Count                                                  uint32
	}
	// 4-byte pointer relative to itself, 4-byte count, pairs of 4-byte offsets from the table's own address.
	if m.read(m.frames.Vaddr, &h) != nil || h.Version != 1 || h.PointerEncoding != 0x1b || h.CountEncoding != 0x03 || h.TableEncoding != 0x3b {
		return nil
	}
	if uint64(h.Count) > (m.frames.Filesz-12)/8 {
		return nil
	}
	return &frames{m: m, table: m.frames.Vaddr + 12, base: m.frames.Vaddr, count: uint64(h.Count)}
}

// at reads the start of function i; a damaged table reads as address 0.
func (f *frames) at(i uint64) uint64 {
	var start int32
	if f.m.read(f.table+i*8, &start) != nil {
		return 0
	}
	return f.base + uint64(int64(start))
}

// starts reports whether a function, or a moved part of one, begins at an address.
func (f *frames) starts(address uint64) bool {
	if f == nil {
		return false
	}
	i := sort.Search(int(f.count), func(i int) bool { return f.at(uint64(i)) >= address })
	return uint64(i) < f.count && f.at(uint64(i)) == address
}
