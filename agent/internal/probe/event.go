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
	// FlagTLS: plaintext of a TLS session.
	FlagTLS
	// flagNotice: news of a process; it never reaches the handler of events.
	flagNotice
	// FlagShed: truncated, while budgets are below what was asked for; with FlagClose, left out from then on.
	FlagShed
	// FlagUnseen, with FlagSizeOnly: moved by a way that no program follows, and found out by the numbers of what came later.
	FlagUnseen
	// FlagURing, with FlagUnseen: by io_uring, as far as is known.
	FlagURing
)

// ConnKey tells streams of bytes apart: the kernel's socket, when the programs first saw it, since addresses of sockets
// are used again, and whether it is what the socket carries or the plaintext of the session on it.
type ConnKey struct {
	Sock  uint64
	Start uint64
	TLS   bool
}

// Event is some bytes that one call moved, or the news that it moved them.
type Event struct {
	Conn  ConnKey
	Dir   Direction
	Flags Flags
	// Seq numbers the first byte within its direction, modulo 2³²: the TCP sequence number, or that of the plaintext.
	Seq uint32
	// Len bytes were moved from Seq on; Data has the first of them, or none. Valid until the handler returns.
	Len  uint32
	Data []byte
	// Lost bytes of this direction found no room in the ring, so far.
	Lost uint32
	// Ends, with FlagClose, are the numbers behind the last byte of each direction.
	Ends [2]uint32
	// Mono is the kernel's monotonic clock in nanoseconds.
	Mono          uint64
	Tgid          uint32
	Netns         uint32
	Local, Remote netip.AddrPort
}

// NoticeKind says what happened to a process. The numbers are those of bpf/capture/events.h.
type NoticeKind uint8

const (
	// NoticeExec: any process of the host runs another program.
	NoticeExec NoticeKind = iota + 1
	// NoticeFork: a mirrored process has a child.
	NoticeFork
	// NoticeCode: a mirrored process mapped a file to execute, such as a library.
	NoticeCode
	// NoticeURing: a mirrored process uses io_uring.
	NoticeURing
)

// Notice is news of a process.
type Notice struct {
	Kind NoticeKind
	Tgid uint32
}

// Handlers take what the programs say. They are called from one goroutine.
type Handlers struct {
	Event func(*Event)
	// Idle is called whenever the ring was found empty.
	Idle func()
	// Notice may be nil. It must not block.
	Notice func(Notice)
}
