// Package http1 reads HTTP/1 as it passes by: a push parser per direction that is fed bytes and told of gaps. It keeps
// what it reads as it stood on the wire, and it never looks for a message in bytes that are part of another. Where a head
// can be framed in two ways it follows what RFC 9112 says servers do, and where servers differ it stops following.
package http1

import (
	"slices"

	trafficv1 "github.com/sidelight/sidelight/proto/gen/sidelight/traffic/v1"
)

// Limits bound what one message may hold.
type Limits struct {
	// HeadKept is how much of a head is kept; beyond it lines still count for framing.
	HeadKept int
	// HeadSeen is how much of a head is read before the stream is given up.
	HeadSeen int
	// Body is how much of a body is kept.
	Body int
	// Why more is not kept; unspecified: the budget.
	Why trafficv1.GapReason
}

// DefaultLimits suit the kernel's budgets.
func DefaultLimits() Limits { return Limits{HeadKept: 64 << 10, HeadSeen: 1 << 20, Body: 1 << 20} }

// Header is one line of a head, as it stood.
type Header struct{ Name, Value []byte }

// Segment is a piece of a body.
type Segment struct {
	Offset uint64
	Data   []byte
}

// Gap is a range of a head or body that was not seen.
type Gap struct {
	InHead         bool
	Offset, Length uint64
	Reason         trafficv1.GapReason
}

// message is what requests and responses share.
type message struct {
	// Minor is the digit after HTTP/1.
	Minor byte
	// Head is the first line and every line that is kept, as they stood: names and values are slices of it.
	Head      []byte
	Headers   []Header
	Trailers  []Header
	Body      []Segment
	BodySize  uint64
	Gaps      []Gap
	Anomalies []trafficv1.Anomaly
	// HeadDone, Complete: the blank line was seen; the last byte of the message was.
	HeadDone, Complete bool

	kept  int // bytes of body that are kept
	room  int // bytes of memory for them
	heads int // bytes of heads and trailers that are kept
	// counted: the body is neither kept nor are there gaps for it, only its size.
	counted bool
}

// Extent is how much of a message there is to inspect: what was seen of it and kept.
type Extent struct{ Bytes, Anomalies int }

// Extent grows with every byte that is kept; bytes that are only counted leave it as it is.
func (m *message) Extent() Extent { return Extent{m.heads + m.kept, len(m.Anomalies)} }

// perMessage, perHeader, perPiece are what Go takes for them.
const (
	perMessage = 400
	perHeader  = 48
	perPiece   = 80
)

// Memory is about what the message takes. A head that comes in pieces is copied when it grows, and names and values may
// hold on to older copies.
func (m *message) Memory() int {
	head := cap(m.Head)
	if head > len(m.Head) {
		head *= 2
	}
	return perMessage + head + m.room + perHeader*(cap(m.Headers)+2*cap(m.Trailers)) + perPiece*(cap(m.Body)+cap(m.Gaps))
}

// Beyond says how much more this is; an anomaly counts like a byte.
func (e Extent) Beyond(other Extent) int {
	return e.Bytes - other.Bytes + e.Anomalies - other.Anomalies
}

// Request is what is known of a request so far.
type Request struct {
	message
	Method, Target []byte
	// Offset of its first byte in the stream.
	Offset uint64
	// Resumed: parsing began behind a gap.
	Resumed bool
	// Tunnel: CONNECT, or it asks for an upgrade. What follows is HTTP only if the answer says so.
	Tunnel bool
	// Plain: what it says of its framing, and everything else in its head, has one reading only.
	Plain bool
}

// Response is what is known of a response so far.
type Response struct {
	message
	Status int
}

// Lost tells that the end of the message cannot be known any more.
func (m *message) Lost() bool { return len(m.Gaps) > 0 && !m.Complete }

func (m *message) anomaly(a trafficv1.Anomaly) {
	if !slices.Contains(m.Anomalies, a) {
		m.Anomalies = append(m.Anomalies, a)
	}
}

// firstHead is room for most heads that come in pieces.
const firstHead = 512

// keepLine copies a line and its ending into the head, and gives the copy of the line.
func (m *message) keepLine(line []byte, bareLF bool) []byte {
	if cap(m.Head) == 0 {
		m.Head = make([]byte, 0, max(firstHead, len(line)+2))
	}
	start := len(m.Head)
	m.Head = append(m.Head, line...)
	end := len(m.Head)
	if !bareLF {
		m.Head = append(m.Head, '\r')
	}
	m.Head = append(m.Head, '\n')
	m.heads += len(m.Head) - start
	return m.Head[start:end:end]
}

// maxHeaders of a head are kept: an empty one takes more memory than the wire.
const maxHeaders = 1024

// maxPieces bounds the segments and gaps of one body: a sender that makes the ring overflow again and again must not fill
// memory with their headers.
const maxPieces = 256

// body adds bytes of the body, as far as the limit goes; the rest is a gap that the budget made.
func (m *message) body(b []byte, limits *Limits) {
	if m.counted {
		m.BodySize += uint64(len(b))
		return
	}
	room := limits.Body - m.kept
	if len(m.Gaps) >= maxPieces {
		room = 0
	}
	if room < len(b) {
		why := limits.Why
		if why == trafficv1.GapReason_GAP_REASON_UNSPECIFIED {
			why = trafficv1.GapReason_GAP_REASON_BUDGET
		}
		m.addBody(b[:max(room, 0)])
		m.skipBody(uint64(len(b)-max(room, 0)), why)
		return
	}
	m.addBody(b)
}

func (m *message) addBody(b []byte) {
	if len(b) == 0 {
		return
	}
	m.kept += len(b)
	n := len(m.Body)
	// Bytes that follow directly grow the last segment.
	if n == 0 || m.Body[n-1].Offset+uint64(len(m.Body[n-1].Data)) != m.BodySize {
		m.Body = append(m.Body, Segment{Offset: m.BodySize})
		n++
	}
	last := &m.Body[n-1]
	m.room -= cap(last.Data)
	last.Data = append(last.Data, b...)
	m.room += cap(last.Data)
	m.BodySize += uint64(len(b))
}

func (m *message) skipBody(n uint64, reason trafficv1.GapReason) {
	if n == 0 {
		return
	}
	if !m.counted {
		m.gap(Gap{Offset: m.BodySize, Length: n, Reason: reason})
	}
	m.BodySize += n
}

func (m *message) gap(g Gap) {
	if n := len(m.Gaps); n > 0 {
		last := &m.Gaps[n-1]
		if last.InHead == g.InHead && (last.Reason == g.Reason || n >= maxPieces) && last.Offset+last.Length == g.Offset {
			last.Length += g.Length
			return
		}
	}
	m.Gaps = append(m.Gaps, g)
}
