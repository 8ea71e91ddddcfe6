package tlsprobe

import (
	"debug/elf"
	"slices"
)

// Bounds on what is read: along one chain of a hash table, of which real ones hold a handful, and of the relocations of one
// library to name its stubs, of which it has some thousands and each wrapper one or two.
const (
	maxChain       = 1024
	maxRelocations = 1 << 18
)

// symbol is a function of the dynamic symbol table.
type symbol struct{ address, size uint64 }

// lookup finds the functions with a name, as the dynamic loader does: by a hash table, the only thing that says how many
// symbols there are. A library may have several of one name, under different symbol versions.
func (m *image) lookup(name string) []symbol {
	var found []symbol
	add := func(index uint32) {
		s, ok := m.symbol(index)
		if !ok || elf.ST_TYPE(s.Info) != elf.STT_FUNC || elf.SectionIndex(s.Shndx) == elf.SHN_UNDEF || m.name(uint64(s.Name)) != name {
			return
		}
		if f := (symbol{s.Value, s.Size}); !slices.ContainsFunc(found, func(other symbol) bool { return other.address == f.address }) {
			found = append(found, f)
		}
	}
	if table, ok := m.dynamic[elf.DT_GNU_HASH]; ok {
		m.gnuChain(table, name, add)
	} else if table, ok := m.dynamic[elf.DT_HASH]; ok {
		m.sysvChain(table, name, add)
	}
	return found
}

func (m *image) symbol(index uint32) (s elf.Sym64, ok bool) {
	return s, m.read(m.dynamic[elf.DT_SYMTAB]+uint64(index)*elf.Sym64Size, &s) == nil
}

func (m *image) gnuChain(table uint64, name string, add func(uint32)) {
	var h struct{ Buckets, First, Bloom, Shift uint32 }
	if m.read(table, &h) != nil || h.Buckets == 0 {
		return
	}
	hash := uint32(5381)
	for _, c := range []byte(name) {
		hash = hash*33 + uint32(c)
	}
	buckets := table + 16 + uint64(h.Bloom)*8
	var index, entry uint32
	if m.read(buckets+uint64(hash%h.Buckets)*4, &index) != nil || index < h.First {
		return
	}
	for range maxChain {
		if m.read(buckets+uint64(h.Buckets)*4+uint64(index-h.First)*4, &entry) != nil {
			return
		}
		if entry|1 == hash|1 {
			add(index)
		}
		if entry&1 != 0 {
			return
		}
		index++
	}
}

func (m *image) sysvChain(table uint64, name string, add func(uint32)) {
	var h struct{ Buckets, Chains uint32 }
	if m.read(table, &h) != nil || h.Buckets == 0 {
		return
	}
	var hash uint32
	for _, c := range []byte(name) {
		hash = hash<<4 + uint32(c)
		hash = hash ^ hash>>24&0xf0
		hash &= 0x0fffffff
	}
	var index uint32
	if m.read(table+8+uint64(hash%h.Buckets)*4, &index) != nil {
		return
	}
	for range maxChain {
		if index == 0 {
			return
		}
		add(index)
		if m.read(table+8+uint64(h.Buckets)*4+uint64(index)*4, &index) != nil {
			return
		}
	}
}

// imported names the symbol that a slot of the global offset table is filled with; empty if there is none.
func (m *image) imported(slot uint64) string {
	if elf.DynTag(m.dynamic[elf.DT_PLTREL]) == elf.DT_RELA { //nolint:misspell // the word of the ELF specification
		if name, ok := m.relocation(m.dynamic[elf.DT_JMPREL], m.dynamic[elf.DT_PLTRELSZ], slot); ok {
			return name
		}
	}
	name, _ := m.relocation(m.dynamic[elf.DT_RELA], m.dynamic[elf.DT_RELASZ], slot) //nolint:misspell // as above
	return name
}

func (m *image) relocation(table, size, slot uint64) (string, bool) {
	const entry, chunk = 24, 512
	for left := size / entry; left > 0; {
		rows := make([]elf.Rela64, min(left, chunk))
		if m.relocations += len(rows); m.relocations > maxRelocations || m.read(table, rows) != nil {
			return "", false
		}
		for _, row := range rows {
			if row.Off == slot {
				s, _ := m.symbol(elf.R_SYM64(row.Info))
				return m.name(uint64(s.Name)), true
			}
		}
		table += uint64(len(rows)) * entry
		left -= uint64(len(rows))
	}
	return "", false
}
