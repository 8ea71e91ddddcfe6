// Package http1 reads HTTP/1 as it passes by: a push parser per direction that is fed bytes and told of gaps. It keeps
// what it reads as it stood on the wire, and it never looks for a message in bytes that are part of another.
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
	Minor     byte
	Headers   []Header
	Trailers  []Header
	Body      []Segment
	BodySize  uint64
	Gaps      []Gap
	Anomalies []trafficv1.Anomaly
	// HeadDone: the blank line was seen. Complete: the last byte of the message was.
	HeadDone, Complete bool

	kept  int // bytes of body that are kept
	heads int // bytes of heads and trailers that are kept
	arena []byte
}

// Extent is how much of a message there is to inspect: what was seen of it and kept.
type Extent struct{ Bytes, Anomalies int }

// Extent grows with every byte that is kept; bytes that are only counted leave it as it is.
func (m *message) Extent() Extent { return Extent{m.heads + m.kept, len(m.Anomalies)} }

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

const arenaChunk = 2 << 10

// keep copies bytes into memory that lives as long as the message.
func (m *message) keep(b []byte) []byte {
	if cap(m.arena)-len(m.arena) < len(b) {
		m.arena = make([]byte, 0, max(arenaChunk, len(b)))
	}
	m.heads += len(b)
	start := len(m.arena)
	m.arena = append(m.arena, b...)
	return m.arena[start:len(m.arena):len(m.arena)]
}

// body adds bytes of the body, as far as the limit goes; the rest is a gap that the budget made.
func (m *message) body(b []byte, limit int) {
	if room := limit - m.kept; room < len(b) {
		m.addBody(b[:max(room, 0)])
		m.skipBody(uint64(len(b)-max(room, 0)), trafficv1.GapReason_GAP_REASON_BUDGET)
		return
	}
	m.addBody(b)
}

func (m *message) addBody(b []byte) {
	if len(b) == 0 {
		return
	}
	m.kept += len(b)
	// Bytes that follow directly grow the last segment.
	if n := len(m.Body); n > 0 && m.Body[n-1].Offset+uint64(len(m.Body[n-1].Data)) == m.BodySize {
		m.Body[n-1].Data = append(m.Body[n-1].Data, b...)
	} else {
		m.Body = append(m.Body, Segment{m.BodySize, append([]byte(nil), b...)})
	}
	m.BodySize += uint64(len(b))
}

func (m *message) skipBody(n uint64, reason trafficv1.GapReason) {
	if n == 0 {
		return
	}
	m.gap(Gap{Offset: m.BodySize, Length: n, Reason: reason})
	m.BodySize += n
}

func (m *message) gap(g Gap) {
	if n := len(m.Gaps); n > 0 {
		last := &m.Gaps[n-1]
		if last.InHead == g.InHead && last.Reason == g.Reason && last.Offset+last.Length == g.Offset {
			last.Length += g.Length
			return
		}
	}
	m.Gaps = append(m.Gaps, g)
}
