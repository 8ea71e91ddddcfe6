package tlsprobe

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"encoding/hex"
	"maps"
	"slices"
	"strings"
)

// Where the parts of a built library lie. Addresses are not offsets, as in most real ones.
const (
	buildBase  = 0x10000
	buildStrs  = 0x300
	buildSyms  = 0x500
	buildHash  = 0x780
	buildRelas = 0x880
	buildVers  = 0x900
	buildSlots = 0xa00
	buildText  = 0xa80
	buildEH    = 0x1280
	buildSize  = 0x1400
)

// build is a library made of a few functions, in the tests' own assembler: hexadecimal bytes; call:NAME, jmp:NAME and slot:NAME
// (32 bits) for functions, and for slots of the global offset table; js>LABEL, je>LABEL, jmp>LABEL (8 bits) and @LABEL.
type build struct {
	functions map[string]string
	// local functions are in no symbol table; hidden ones are not in the frame table either.
	hidden   []string
	imports  []string
	versions []string
	again    string
	machine  elf.Machine
	sysv     bool
	noFrames bool
	noSizes  bool
	readOnly bool
}

func isExported(name string) bool { return strings.HasPrefix(name, "SSL_") }

func (b build) address(name string) uint64 {
	for i, other := range slices.Sorted(maps.Keys(b.functions)) {
		if other == name {
			return buildBase + buildText + uint64(i)*0x80
		}
	}
	panic("no function " + name)
}

func (b build) slot(name string) uint64 {
	return buildBase + buildSlots + 8*uint64(slices.Index(b.imports, name))
}

func (b build) assemble(name string) []byte {
	var code []byte
	labels, jumps := map[string]int{}, map[int]string{}
	wide := func(to uint64) {
		next := b.address(name) + uint64(len(code)) + 4
		code = binary.LittleEndian.AppendUint32(code, uint32(to-next))
	}
	for word := range strings.FieldsSeq(b.functions[name]) {
		op, arg, _ := strings.Cut(word, ":")
		short, label, _ := strings.Cut(word, ">")
		switch {
		case op == "call":
			code = append(code, 0xe8)
			wide(b.address(arg))
		case op == "jmp" && arg != "":
			code = append(code, 0xe9)
			wide(b.address(arg))
		case op == "slot":
			wide(b.slot(arg))
		case label != "":
			code = append(code, map[string]byte{"js": 0x78, "je": 0x74, "jmp": 0xeb}[short], 0)
			jumps[len(code)] = label
		case word[0] == '@':
			labels[word[1:]] = len(code)
		default:
			raw, err := hex.DecodeString(word)
			if err != nil {
				panic(err)
			}
			code = append(code, raw...)
		}
	}
	for at, label := range jumps {
		code[at-1] = byte(labels[label] - at)
	}
	return code
}

// image is the library's file.
func (b build) image() []byte {
	out := make([]byte, buildSize)
	put := func(at int, data any) {
		var w bytes.Buffer
		if err := binary.Write(&w, binary.LittleEndian, data); err != nil {
			panic(err)
		}
		copy(out[at:], w.Bytes())
	}
	strs := []byte{0}
	str := func(s string) uint32 {
		at := len(strs)
		strs = append(append(strs, s...), 0)
		return uint32(at)
	}
	symbols := []elf.Sym64{{}}
	for _, name := range b.imports {
		symbols = append(symbols, elf.Sym64{Name: str(name), Info: elf.ST_INFO(elf.STB_GLOBAL, elf.STT_FUNC)})
	}
	first := len(symbols)
	var starts []uint64
	for _, name := range slices.Sorted(maps.Keys(b.functions)) {
		code := b.assemble(name)
		put(int(b.address(name)-buildBase), code)
		if !slices.Contains(b.hidden, name) {
			starts = append(starts, b.address(name))
		}
		if isExported(name) {
			s := elf.Sym64{Name: str(name), Info: elf.ST_INFO(elf.STB_GLOBAL, elf.STT_FUNC), Shndx: 1, Value: b.address(name), Size: uint64(len(code))}
			if b.noSizes {
				s.Size = 0
			}
			symbols = append(symbols, s)
			if name == b.again {
				s.Value++
				symbols = append(symbols, s)
			}
		}
	}
	put(buildSyms, symbols)

	dynamic := []elf.Dyn64{
		{Tag: int64(elf.DT_STRTAB), Val: buildBase + buildStrs}, {Tag: int64(elf.DT_SYMTAB), Val: buildBase + buildSyms},
		{Tag: int64(elf.DT_PLTREL), Val: uint64(elf.DT_RELA)}, //nolint:misspell // the word of the ELF specification
		{Tag: int64(elf.DT_JMPREL), Val: buildBase + buildRelas},
		{Tag: int64(elf.DT_PLTRELSZ), Val: uint64(24 * len(b.imports))},
		{Tag: int64(elf.DT_VERDEF), Val: buildBase + buildVers}, {Tag: int64(elf.DT_VERDEFNUM), Val: uint64(len(b.versions))},
	}
	if b.sysv {
		dynamic = append(dynamic, elf.Dyn64{Tag: int64(elf.DT_HASH), Val: buildBase + buildHash})
		put(buildHash, sysvTable(len(symbols), first))
	} else {
		dynamic = append(dynamic, elf.Dyn64{Tag: int64(elf.DT_GNU_HASH), Val: buildBase + buildHash})
		put(buildHash, gnuTable(symbols, strs, first))
	}
	for i, name := range b.imports {
		put(buildRelas+24*i, elf.Rela64{Off: b.slot(name), Info: elf.R_INFO(uint32(i+1), uint32(elf.R_X86_64_JMP_SLOT))})
	}
	for i, version := range b.versions {
		put(buildVers+32*i, struct {
			Version, Flags, Index, Count uint16
			Hash, Aux, Next, Name, After uint32
		}{Version: 1, Aux: 20, Next: 32, Name: str(version)})
	}
	put(buildStrs, strs)
	if !b.noFrames {
		slices.Sort(starts)
		put(buildEH, []uint32{0x3b031b01, 0, uint32(len(starts))})
		for i, start := range starts {
			put(buildEH+12+8*i, int32(int64(start)-buildBase-buildEH))
		}
	}
	flags := uint32(elf.PF_R | elf.PF_X)
	if b.readOnly {
		flags = uint32(elf.PF_R)
	}
	machine := b.machine
	if machine == 0 {
		machine = elf.EM_X86_64
	}
	put(0, elf.Header64{
		Ident: [16]byte{0x7f, 'E', 'L', 'F', 2, 1, 1}, Type: uint16(elf.ET_DYN), Machine: uint16(machine),
		Phoff: 64, Phentsize: 56, Phnum: 4,
	})
	put(64, []elf.Prog64{
		{Type: uint32(elf.PT_LOAD), Flags: flags, Vaddr: buildBase, Filesz: buildSize, Memsz: buildSize},
		{Type: uint32(elf.PT_DYNAMIC), Off: 0x200, Vaddr: buildBase + 0x200, Filesz: uint64(16 * len(dynamic))},
		{Type: uint32(elf.PT_GNU_EH_FRAME), Off: buildEH, Vaddr: buildBase + buildEH, Filesz: uint64(12 + 8*len(starts))},
		{Type: uint32(elf.PT_NOTE), Off: 0x180, Filesz: 20},
	})
	put(0x180, []byte("\x04\x00\x00\x00\x04\x00\x00\x00\x03\x00\x00\x00GNU\x00\xde\xad\xbe\xef"))
	put(0x200, dynamic)
	return out
}

// sysvTable has one bucket with all defined symbols in it.
func sysvTable(symbols, first int) []uint32 {
	table := []uint32{1, uint32(symbols), uint32(first)}
	for i := range symbols {
		next := uint32(0)
		if i >= first && i+1 < symbols {
			next = uint32(i + 1)
		}
		table = append(table, next)
	}
	return table
}

func gnuTable(symbols []elf.Sym64, strs []byte, first int) []uint32 {
	table := []uint32{1, uint32(first), 1, 0, ^uint32(0), ^uint32(0), uint32(first)}
	for i, s := range symbols[first:] {
		name, _, _ := bytes.Cut(strs[s.Name:], []byte{0})
		hash := uint32(5381)
		for _, c := range name {
			hash = hash*33 + uint32(c)
		}
		hash &^= 1
		if first+i == len(symbols)-1 {
			hash |= 1
		}
		table = append(table, hash)
	}
	return table
}
