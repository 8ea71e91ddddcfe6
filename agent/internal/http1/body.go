package http1

import (
	trafficv1 "github.com/sidelight/sidelight/proto/gen/sidelight/traffic/v1"
)

// bodyReader follows a body to its end.
type bodyReader struct {
	kind  bodyKind
	left  uint64 // of the length, or of the chunk
	chunk chunkState
	lines lines
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
func (r *bodyReader) feed(m *message, data []byte, limit int) (rest []byte, o outcome) {
	switch r.kind {
	case bodyLength:
		n := min(uint64(len(data)), r.left)
		m.body(data[:n], limit)
		r.left -= n
		if r.left == 0 {
			return data[n:], bodyEnds
		}
		return nil, bodyGoesOn
	case bodyUntilClose:
		m.body(data, limit)
		return nil, bodyGoesOn
	case bodyChunked:
		return r.chunks(m, data, limit)
	}
	return data, bodyEnds
}

func (r *bodyReader) chunks(m *message, data []byte, limit int) (rest []byte, o outcome) {
	for len(data) > 0 {
		if r.chunk == chunkData {
			n := min(uint64(len(data)), r.left)
			m.body(data[:n], limit)
			data, r.left = data[n:], r.left-n
			if r.left == 0 {
				r.chunk = chunkEnd
			}
			continue
		}
		line, after, bareLF, ok := r.lines.next(data, maxChunkLine)
		if !ok {
			if r.lines.dropped > 0 {
				m.anomaly(trafficv1.Anomaly_ANOMALY_BAD_CHUNK)
				return nil, bodyBroken
			}
			return nil, bodyGoesOn
		}
		data = after
		if bareLF {
			m.anomaly(trafficv1.Anomaly_ANOMALY_BARE_LF)
		}
		switch {
		case r.lines.long():
			m.anomaly(trafficv1.Anomaly_ANOMALY_BAD_CHUNK)
			return nil, bodyBroken
		case r.chunk == chunkSize:
			size, ok := parseChunkSize(line)
			if !ok {
				m.anomaly(trafficv1.Anomaly_ANOMALY_BAD_CHUNK)
				return nil, bodyBroken
			}
			r.left, r.chunk = size, chunkData
			if size == 0 {
				r.chunk = chunkTrailers
			}
		case r.chunk == chunkEnd:
			if len(line) > 0 {
				m.anomaly(trafficv1.Anomaly_ANOMALY_BAD_CHUNK)
				return nil, bodyBroken
			}
			r.chunk = chunkSize
		case len(line) == 0:
			return data, bodyEnds
		default:
			m.trailer(line)
		}
	}
	return nil, bodyGoesOn
}

func (m *message) trailer(line []byte) {
	if len(m.Trailers) >= maxTrailers {
		return
	}
	for i, c := range line {
		if c == ':' && i > 0 {
			value := line[i+1:]
			for len(value) > 0 && (value[0] == ' ' || value[0] == '\t') {
				value = value[1:]
			}
			m.Trailers = append(m.Trailers, Header{m.keep(line[:i]), m.keep(value)})
			return
		}
	}
	m.anomaly(trafficv1.Anomaly_ANOMALY_BAD_HEADER)
}

// parseChunkSize reads hex digits and ignores extensions.
func parseChunkSize(line []byte) (size uint64, ok bool) {
	digits := 0
	for _, c := range line {
		var d byte
		switch {
		case c >= '0' && c <= '9':
			d = c - '0'
		case c >= 'a' && c <= 'f':
			d = c - 'a' + 10
		case c >= 'A' && c <= 'F':
			d = c - 'A' + 10
		case c == ';' || c == ' ' || c == '\t':
			return size, digits > 0
		default:
			return 0, false
		}
		if digits++; digits > 15 {
			return 0, false
		}
		size = size<<4 | uint64(d)
	}
	return size, digits > 0
}

// skip tells of n bytes that were not seen. False: they reach beyond what the framing lets us know.
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
		m.skipBody(n, reason)
		return bodyBroken
	}
	return bodyBroken
}
