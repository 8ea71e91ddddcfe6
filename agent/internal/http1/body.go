package http1

import (
	"bytes"

	trafficv1 "github.com/sidelight/sidelight/proto/gen/sidelight/traffic/v1"
)

// bodyReader follows a body to its end.
type bodyReader struct {
	kind  bodyKind
	chunk chunkState
	left  uint64 // of the length, or of the chunk
}

type bodyKind uint8

const (
	bodyNone bodyKind = iota
	bodyLength
	bodyChunked
	bodyUntilClose
)

type chunkState uint8

const (
	chunkSize chunkState = iota
	chunkData
	chunkEnd
	chunkTrailers
)

const (
	// maxChunkLine bounds a chunk's size line with its extensions, and a line of the trailers.
	maxChunkLine = 8 << 10
	maxTrailers  = 64
)

// outcome of feeding a body.
type outcome uint8

const (
	bodyGoesOn outcome = iota
	bodyEnds
	bodyBroken // its framing cannot be followed
)

// feed takes what belongs to the body off the data.
func (r *bodyReader) feed(m *message, l *lines, data []byte, limits *Limits) (rest []byte, o outcome) {
	switch r.kind {
	case bodyLength:
		n := min(uint64(len(data)), r.left)
		m.body(data[:n], limits)
		r.left -= n
		if r.left == 0 {
			return data[n:], bodyEnds
		}
		return nil, bodyGoesOn
	case bodyUntilClose:
		m.body(data, limits)
		return nil, bodyGoesOn
	case bodyChunked:
		return r.chunks(m, l, data, limits)
	}
	return data, bodyEnds
}

func (r *bodyReader) chunks(m *message, l *lines, data []byte, limits *Limits) (rest []byte, o outcome) {
	for len(data) > 0 {
		if r.chunk == chunkData {
			n := min(uint64(len(data)), r.left)
			m.body(data[:n], limits)
			data, r.left = data[n:], r.left-n
			if r.left == 0 {
				r.chunk = chunkEnd
			}
			continue
		}
		line, after, bareLF, ok := l.next(data, maxChunkLine)
		if !ok {
			if l.dropped > 0 || r.chunk == chunkEnd && !bytes.HasPrefix([]byte{'\r'}, l.partial) {
				return r.broken(m, nil)
			}
			return nil, bodyGoesOn
		}
		data = after
		switch {
		case l.long():
			return r.broken(m, data)
		case r.chunk == chunkTrailers && len(line) == 0:
			if bareLF {
				m.anomaly(trafficv1.Anomaly_ANOMALY_BARE_LF)
			}
			return data, bodyEnds
		case r.chunk == chunkTrailers:
			if bareLF {
				m.anomaly(trafficv1.Anomaly_ANOMALY_BARE_LF)
			}
			m.trailer(line, limits.HeadKept)
		case r.chunk == chunkEnd && len(line) > 0:
			// Whatever its ending, which need not have come yet.
			return r.broken(m, data)
		case bareLF:
			// Servers differ: the line ends here, or goes on until a CRLF, or is refused.
			m.anomaly(trafficv1.Anomaly_ANOMALY_BARE_LF)
			return r.broken(m, data)
		case r.chunk == chunkSize:
			size, ok := parseChunkSize(line)
			if !ok {
				return r.broken(m, data)
			}
			r.left, r.chunk = size, chunkData
			if size == 0 {
				r.chunk = chunkTrailers
			}
		default:
			r.chunk = chunkSize
		}
	}
	return nil, bodyGoesOn
}

func (r *bodyReader) broken(m *message, rest []byte) ([]byte, outcome) {
	m.anomaly(trafficv1.Anomaly_ANOMALY_BAD_CHUNK)
	return rest, bodyBroken
}

// trailer keeps a line behind the last chunk.
func (m *message) trailer(line []byte, limit int) {
	m.odd(line)
	if len(m.Trailers) >= maxTrailers || m.heads+len(line) > limit {
		m.anomaly(trafficv1.Anomaly_ANOMALY_HEADERS_TOO_LARGE)
		return
	}
	colon := bytes.IndexByte(line, ':')
	if colon <= 0 || !isToken(line[:colon]) {
		m.anomaly(trafficv1.Anomaly_ANOMALY_BAD_HEADER)
		return
	}
	m.heads += len(line)
	line = bytes.Clone(line)
	m.Trailers = append(m.Trailers, Header{line[:colon:colon], trim(line[colon+1:])})
}

// parseChunkSize reads hex digits, and blanks and extensions behind them. Anything else, servers read in two ways.
func parseChunkSize(line []byte) (size uint64, ok bool) {
	digits := 0
	for digits < len(line) {
		var d byte
		switch c := line[digits]; {
		case c >= '0' && c <= '9':
			d = c - '0'
		case c >= 'a' && c <= 'f':
			d = c - 'a' + 10
		case c >= 'A' && c <= 'F':
			d = c - 'A' + 10
		default:
			return size, digits > 0 && isExtension(line[digits:])
		}
		if size >= 1<<59 {
			return 0, false
		}
		size = size<<4 | uint64(d)
		digits++
	}
	return size, digits > 0
}

func isExtension(b []byte) bool {
	if bytes.IndexByte(b, '\r') >= 0 || bytes.IndexByte(b, 0) >= 0 {
		return false
	}
	b = trim(b)
	return len(b) == 0 || b[0] == ';'
}

// skip tells of n bytes that were not seen. Broken: they reach beyond what the framing lets us know.
func (r *bodyReader) skip(m *message, n uint64, reason trafficv1.GapReason) (o outcome) {
	switch r.kind {
	case bodyLength:
		inside := min(n, r.left)
		m.skipBody(inside, reason)
		r.left -= inside
		if n > inside {
			return bodyBroken
		}
		if r.left == 0 {
			return bodyEnds
		}
		return bodyGoesOn
	case bodyUntilClose:
		m.skipBody(n, reason)
		return bodyGoesOn
	case bodyChunked:
		// Within one chunk the end is known; beyond it lies framing that was not seen.
		if r.chunk == chunkData && n <= r.left {
			m.skipBody(n, reason)
			if r.left -= n; r.left == 0 {
				r.chunk = chunkEnd
			}
			return bodyGoesOn
		}
		// How much of it is this body's is not known.
		m.gap(Gap{Offset: m.BodySize, Length: n, Reason: reason})
		return bodyBroken
	}
	return bodyBroken
}
