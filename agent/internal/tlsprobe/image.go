package tlsprobe

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// What real libraries stay far below.
const (
	maxSegments = 128
	maxDynamic  = 1024
	maxName     = 64
)

// image reads a library as the dynamic loader does, by its segments and its dynamic section: what those say is what runs,
// and nothing is read that is not asked for. The section headers, which debug/elf goes by, may be missing, wrong, or ask for
// any amount of memory.
type image struct {
	r       io.ReaderAt
	machine elf.Machine
	loads   []elf.Prog64
	notes   []elf.Prog64
	frames  *elf.Prog64
	dynamic map[elf.DynTag]uint64
	// relocations counts what was read of them.
	relocations int
}

func open(r io.ReaderAt) (*image, error) {
	var ident [elf.EI_NIDENT]byte
	if _, err := r.ReadAt(ident[:], 0); err != nil || !bytes.HasPrefix(ident[:], []byte(elf.ELFMAG)) {
		return nil, errors.New("it is not an ELF file")
	}
	if elf.Class(ident[elf.EI_CLASS]) != elf.ELFCLASS64 {
		return nil, errors.New("it is a 32-bit library: only 64-bit ones are hooked")
	}
	if elf.Data(ident[elf.EI_DATA]) != elf.ELFDATA2LSB {
		return nil, errors.New("it is a big-endian library: only little-endian ones are hooked")
	}
	var h elf.Header64
	if err := decode(r, 0, &h); err != nil {
		return nil, fmt.Errorf("its ELF header cannot be read: %w", err)
	}
	if h.Phentsize != uint16(binary.Size(elf.Prog64{})) || h.Phnum > maxSegments {
		return nil, errors.New("its program headers are not those of a library")
	}
	m := &image{r: r, machine: elf.Machine(h.Machine)}
	progs := make([]elf.Prog64, h.Phnum)
	if err := decode(r, h.Phoff, progs); err != nil {
		return nil, fmt.Errorf("its program headers cannot be read: %w", err)
	}
	for i, p := range progs {
		if p.Vaddr+p.Filesz < p.Vaddr || p.Off+p.Filesz < p.Off {
			return nil, errors.New("its program headers are damaged")
		}
		switch elf.ProgType(p.Type) {
		case elf.PT_LOAD:
			m.loads = append(m.loads, p)
		case elf.PT_NOTE:
			m.notes = append(m.notes, p)
		case elf.PT_GNU_EH_FRAME:
			m.frames = &progs[i]
		}
	}
	return m, m.readDynamic(progs)
}

func (m *image) readDynamic(progs []elf.Prog64) error {
	m.dynamic = map[elf.DynTag]uint64{}
	for _, p := range progs {
		if elf.ProgType(p.Type) != elf.PT_DYNAMIC {
			continue
		}
		entries := make([]elf.Dyn64, min(p.Filesz/16, maxDynamic))
		if err := decode(m.r, p.Off, entries); err != nil {
			return fmt.Errorf("its dynamic section cannot be read: %w", err)
		}
		for _, e := range entries {
			if elf.DynTag(e.Tag) == elf.DT_NULL {
				return nil
			}
			m.dynamic[elf.DynTag(e.Tag)] = e.Val
		}
		return nil
	}
	return errors.New("it has no dynamic section: it is not a shared library")
}

// decode reads fixed-size data from the file.
func decode(r io.ReaderAt, offset uint64, into any) error {
	buf := make([]byte, binary.Size(into))
	if int64(offset) < 0 {
		return io.ErrUnexpectedEOF
	}
	if n, err := r.ReadAt(buf, int64(offset)); n < len(buf) {
		return err
	}
	_, err := binary.Decode(buf, binary.LittleEndian, into)
	return err
}

// segment is the one that holds an address, and how many of its bytes in the file begin there.
func (m *image) segment(address uint64) (*elf.Prog64, uint64) {
	for i := range m.loads {
		p := &m.loads[i]
		if address >= p.Vaddr && address-p.Vaddr < p.Filesz {
			return p, p.Filesz - (address - p.Vaddr)
		}
	}
	return nil, 0
}

// read fills into with the fixed-size data at an address.
func (m *image) read(address uint64, into any) error {
	p, left := m.segment(address)
	if p == nil || uint64(binary.Size(into)) > left {
		return fmt.Errorf("address %#x is outside the file", address)
	}
	return decode(m.r, p.Off+(address-p.Vaddr), into)
}

// text reads up to size bytes of code at an address: fewer where the segment ends, none where it is not executable.
func (m *image) text(address, size uint64) []byte {
	p, left := m.segment(address)
	if p == nil || p.Flags&uint32(elf.PF_X) == 0 {
		return nil
	}
	buf := make([]byte, min(size, left))
	n, _ := m.r.ReadAt(buf, int64(p.Off+(address-p.Vaddr)))
	return buf[:n]
}

// offset is where code lies in the file; false where there is none, or the file ends before it.
func (m *image) offset(address uint64) (uint64, bool) {
	if len(m.text(address, 1)) == 0 {
		return 0, false
	}
	p, _ := m.segment(address)
	return p.Off + (address - p.Vaddr), true
}

// name reads a string of the dynamic symbols; one that is longer than what is looked for is cut.
func (m *image) name(index uint64) string {
	address := m.dynamic[elf.DT_STRTAB] + index
	_, left := m.segment(address)
	buf := make([]byte, min(left, maxName))
	if m.read(address, buf) != nil {
		return ""
	}
	text, _, _ := bytes.Cut(buf, []byte{0})
	return string(text)
}
