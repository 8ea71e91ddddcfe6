// Package probe is the agent's side of the BPF programs: it loads and attaches them while there is something to mirror,
// and turns their records into events.
package probe

import (
	"net/netip"
)

// Direction is as the mirrored process sees it.
type Direction uint8

const (
	In  Direction = iota // received by it
	Out                  // sent by it
)

// Flags say what is special about an event. The numbers are those of bpf/capture/events.h.
type Flags uint16

const (
	// FlagTruncated: over its budget, Len says how much there was.
	FlagTruncated Flags = 1 << iota
	// FlagSizeOnly: sendfile, splice: no buffer of the process held the bytes.
	FlagSizeOnly
	// FlagClose: the process's side of the connection is done.
	FlagClose
	// FlagFault: the kernel could not read the page.
	FlagFault
	// FlagAccepted: the server side of its connection, beyond doubt.
	FlagAccepted
	// FlagMore: another event of the same call follows.
	FlagMore
	// FlagStart: the connection's first byte was seen.
	FlagStart
)

// ConnKey tells connections apart: the kernel's socket, and when the programs first saw it, since addresses of sockets
// are used again.
type ConnKey struct {
	Sock  uint64
	Start uint64
}

// Event is some bytes that one call moved, or the news that it moved them.
type Event struct {
	Conn  ConnKey
	Dir   Direction
	Flags Flags
	// Seq is the TCP sequence number of the first byte: within a direction it numbers the stream, modulo 2³².
	Seq uint32
	// Len bytes were moved from Seq on; Data has the first of them, or none. Valid until the handler returns.
	Len  uint32
	Data []byte
	// Mono is the kernel's monotonic clock in nanoseconds.
	Mono          uint64
	Tgid, Tid     uint32
	Cgroup        uint64
	Netns         uint32
	Local, Remote netip.AddrPort
}
