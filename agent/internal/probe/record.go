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
	u64, u32, u16 := binary.NativeEndian.Uint64, binary.NativeEndian.Uint32, binary.NativeEndian.Uint16
	e.Flags, e.Dir = Flags(u16(raw[56:])), Direction(raw[58]&1)
	e.Conn = ConnKey{Sock: u64(raw), Start: u64(raw[8:]), TLS: e.Flags&FlagTLS != 0}
	e.Mono = u64(raw[16:])
	e.Seq, e.Len = u32(raw[24:]), u32(raw[28:])
	captured := u32(raw[32:])
	e.Tgid, e.Netns = u32(raw[36:]), u32(raw[40:])
	ipv4 := raw[59] == familyIPv4
	e.Local = address(raw[64:80], u16(raw[60:]), ipv4)
	e.Remote = address(raw[80:96], u16(raw[62:]), ipv4)
	e.Lost, e.Ends = u32(raw[44:]), [2]uint32{}
	if e.Flags&FlagClose != 0 {
		e.Ends = [2]uint32{e.Seq, u32(raw[48:])}
	}
	if uint64(captured) > uint64(len(raw)-headerSize) {
		return fmt.Errorf("a record says %d bytes and holds %d", captured, len(raw)-headerSize)
	}
	e.Data = raw[headerSize : headerSize+int(captured)]
	return nil
}

func address(raw []byte, port uint16, ipv4 bool) netip.AddrPort {
	if ipv4 {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(raw)), port)
	}
	return netip.AddrPortFrom(netip.AddrFrom16([16]byte(raw)).Unmap(), port)
}
