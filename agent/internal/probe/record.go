package probe

import (
	"encoding/binary"
	"fmt"
	"net/netip"
)

// headerSize is sizeof(struct event) in bpf/capture/events.h.
const headerSize = 96

const familyIPv4 = 2

// notice reads a record that is about a process.
func notice(raw []byte) (Notice, bool) {
	if len(raw) < headerSize || Flags(binary.NativeEndian.Uint16(raw[56:]))&flagNotice == 0 {
		return Notice{}, false
	}
	return Notice{Kind: NoticeKind(raw[58]), Tgid: binary.NativeEndian.Uint32(raw[36:])}, true
}

// decode reads one record of the ring. Data points into it.
func decode(raw []byte, e *Event) error {
	if len(raw) < headerSize {
		return fmt.Errorf("a record of %d bytes, want at least %d: the BPF object and this program differ, build them together", len(raw), headerSize)
	}
	// Named, these would be called through pointers, which takes three times as long.
	h, n := (*[headerSize]byte)(raw), binary.NativeEndian
	e.Flags, e.Dir = Flags(n.Uint16(h[56:])), Direction(h[58]&1)
	e.Conn = ConnKey{Sock: n.Uint64(h[0:]), Start: n.Uint64(h[8:]), TLS: e.Flags&FlagTLS != 0}
	e.Mono = n.Uint64(h[16:])
	e.Seq, e.Len = n.Uint32(h[24:]), n.Uint32(h[28:])
	captured := n.Uint32(h[32:])
	e.Tgid, e.Netns = n.Uint32(h[36:]), n.Uint32(h[40:])
	ipv4 := h[59] == familyIPv4
	e.Local = address([16]byte(h[64:80]), n.Uint16(h[60:]), ipv4)
	e.Remote = address([16]byte(h[80:96]), n.Uint16(h[62:]), ipv4)
	e.Lost, e.Ends = n.Uint32(h[44:]), [2]uint32{}
	if e.Flags&FlagClose != 0 {
		e.Ends = [2]uint32{e.Seq, n.Uint32(h[48:])}
	}
	if uint64(captured) > uint64(len(raw)-headerSize) {
		return fmt.Errorf("a record says %d bytes and holds %d", captured, len(raw)-headerSize)
	}
	e.Data = raw[headerSize : headerSize+int(captured)]
	return nil
}

func address(raw [16]byte, port uint16, ipv4 bool) netip.AddrPort {
	if ipv4 {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(raw[:4])), port)
	}
	return netip.AddrPortFrom(netip.AddrFrom16(raw).Unmap(), port)
}
