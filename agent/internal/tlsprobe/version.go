package tlsprobe

import (
	"bytes"
	"debug/elf"
	"encoding/hex"
	"io"
	"regexp"
	"strconv"
)

// What is read in search of a version; libcrypto, the larger of the two libraries, has 7 MB.
const (
	maxScan  = 32 << 20
	scanStep = 64 << 10
	maxNote  = 4 << 10
	maxNodes = 256
)

var (
	versionText = regexp.MustCompile(`OpenSSL (\d{1,2}\.\d{1,2}\.\d{1,3}[a-z]{0,2}(?:-[0-9A-Za-z.-]{1,16})?) `)
	versionNode = regexp.MustCompile(`^OPENSSL_(\d{1,2})[._](\d{1,2})(?:[._](\d{1,3}))?`)
)

// Version is what an OpenSSL library says of its version, empty if nothing. From 3.0 on only libcrypto has it as a text;
// libssl has the versions at which its symbols were added, so it is known to be "3.5+".
func Version(f io.ReaderAt) string {
	m, err := open(f)
	if err != nil {
		return ""
	}
	return m.version()
}

func (m *image) version() string {
	left := uint64(maxScan)
	for _, p := range m.loads {
		if p.Flags&uint32(elf.PF_W) != 0 {
			continue
		}
		size := min(p.Filesz, left)
		left -= size
		if v := scan(io.NewSectionReader(m.r, int64(p.Off), int64(size))); v != "" {
			return v
		}
	}
	return m.leastVersion()
}

// scan looks for the text in pieces that overlap by more than its length.
func scan(r io.Reader) string {
	const overlap = 64
	buf := make([]byte, overlap+scanStep)
	kept := 0
	for {
		n, err := io.ReadFull(r, buf[kept:])
		piece := buf[:kept+n]
		if bytes.Contains(piece, []byte("OpenSSL ")) {
			if found := versionText.FindSubmatch(piece); found != nil {
				return string(found[1])
			}
		}
		if err != nil {
			return ""
		}
		kept = copy(buf, piece[len(piece)-overlap:])
	}
}

// leastVersion is the newest of the versions that the symbols are of.
func (m *image) leastVersion() string {
	var newest []int
	at := m.dynamic[elf.DT_VERDEF]
	for range min(m.dynamic[elf.DT_VERDEFNUM], maxNodes) {
		var def struct {
			Version, Flags, Index, Count uint16
			Hash, Aux, Next              uint32
		}
		var name struct{ Name, Next uint32 }
		if m.read(at, &def) != nil || m.read(at+uint64(def.Aux), &name) != nil {
			break
		}
		if found := versionNode.FindStringSubmatch(m.name(uint64(name.Name))); found != nil {
			if v := numbers(found[1:]); compare(v, newest) > 0 {
				newest = v
			}
		}
		if def.Next == 0 {
			break
		}
		at += uint64(def.Next)
	}
	return dotted(newest)
}

func numbers(parts []string) []int {
	var v []int
	for _, part := range parts {
		n, err := strconv.Atoi(part)
		if err != nil {
			break
		}
		v = append(v, n)
	}
	return v
}

func compare(a, b []int) int {
	for i := range 3 {
		if d := at(a, i) - at(b, i); d != 0 {
			return d
		}
	}
	return len(a) - len(b)
}

func at(v []int, i int) int {
	if i < len(v) {
		return v[i]
	}
	return 0
}

// dotted leaves out the last number since 3.0: symbols are only added with the second.
func dotted(v []int) string {
	if len(v) < 2 {
		return ""
	}
	text := strconv.Itoa(v[0]) + "." + strconv.Itoa(v[1])
	if v[0] < 3 && len(v) > 2 {
		text += "." + strconv.Itoa(v[2])
	}
	return text + "+"
}

// buildID is the linker's fingerprint of the library.
func (m *image) buildID() string {
	for _, p := range m.notes {
		if p.Filesz > maxNote {
			continue
		}
		note := make([]byte, p.Filesz)
		if n, _ := m.r.ReadAt(note, int64(p.Off)); n < len(note) {
			continue
		}
		if id := gnuBuildID(note); id != "" {
			return id
		}
	}
	return ""
}

func gnuBuildID(note []byte) string {
	const header, kind = 12, 3
	for len(note) >= header {
		le := func(i int) int {
			return int(uint32(note[i]) | uint32(note[i+1])<<8 | uint32(note[i+2])<<16 | uint32(note[i+3])<<24)
		}
		name, desc := le(0), le(4)
		start := header + (name+3)&^3
		if name > len(note) || desc > len(note) || start+desc > len(note) {
			return ""
		}
		if le(8) == kind && bytes.Equal(note[header:header+name], []byte("GNU\x00")) {
			return hex.EncodeToString(note[start : start+desc])
		}
		note = note[min(start+(desc+3)&^3, len(note)):]
	}
	return ""
}
