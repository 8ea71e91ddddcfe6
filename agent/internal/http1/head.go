package http1

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/bits"

	trafficv1 "github.com/sidelight/sidelight/proto/gen/sidelight/traffic/v1"
)

// maxLines of a head that is read in one go; longer ones are read line by line.
const maxLines = 96

// cut finds the lines of a head that lies in data as a whole, first line included. size 0: it does not.
func cut(data []byte, ends *[maxLines]int32) (count, size int) {
	data = data[:min(len(data), math.MaxInt32)]
	for pos := 0; count < maxLines; count++ {
		n := bytes.IndexByte(data[pos:], '\n')
		switch {
		case n < 0:
			return 0, 0
		case n == 0, n == 1 && data[pos] == '\r':
			return count, pos + n + 1
		}
		pos += n + 1
		ends[count] = int32(pos)
	}
	return 0, 0
}

// whole reads the lines behind the first of a head that was cut: one copy, and every name and value a slice of it.
func (m *message) whole(f *framing, data []byte, ends []int32) {
	raw := append(m.Head[:0], data...)
	m.Head, m.heads = raw, len(raw)
	if cap(m.Headers) < len(ends)-1 {
		m.Headers = make([]Header, 0, len(ends)-1)
	}
	if bytes.IndexByte(raw, 0) >= 0 {
		m.anomaly(trafficv1.Anomaly_ANOMALY_NUL)
	}
	crlfs := len(raw) - int(ends[len(ends)-1]) - 1
	if raw[ends[0]-2] == '\r' {
		crlfs++
	}
	begin := int(ends[0])
	for _, next := range ends[1:] {
		end := int(next) - 1
		if raw[end-1] == '\r' {
			end--
			crlfs++
		}
		m.header(f, raw[begin:end:end], true)
		begin = int(next)
	}
	f.commit(m)
	if crlfs <= len(ends) {
		m.anomaly(trafficv1.Anomaly_ANOMALY_BARE_LF)
	}
	if bytes.Count(raw, []byte{'\r'}) != crlfs {
		m.anomaly(trafficv1.Anomaly_ANOMALY_BAD_HEADER)
	}
}

// one reads one line of a head that comes in pieces. What is not kept still counts for framing.
func (m *message) one(f *framing, line []byte, bareLF, keep bool) {
	if bareLF {
		m.anomaly(trafficv1.Anomaly_ANOMALY_BARE_LF)
	}
	m.odd(line)
	if keep {
		line = m.keepLine(line, bareLF)
	}
	m.header(f, line, keep)
}

// odd notes bytes that have no business in a head: servers refuse them, drop them, or end a line there.
func (m *message) odd(line []byte) {
	if bytes.IndexByte(line, 0) >= 0 {
		m.anomaly(trafficv1.Anomaly_ANOMALY_NUL)
	}
	if bytes.IndexByte(line, '\r') >= 0 {
		m.anomaly(trafficv1.Anomaly_ANOMALY_BAD_HEADER)
	}
}

// header reads one line into the message and the framing.
func (m *message) header(f *framing, line []byte, keep bool) {
	colon := tokenLength(line)
	if colon == 0 || colon == len(line) || line[colon] != ':' {
		m.oddHeader(f, line, keep)
		return
	}
	if f.pending != noField {
		f.commit(m)
	}
	name, value := line[:colon], trim(line[colon+1:])
	if mayFrame(name) {
		f.header(name, value, false, keep)
	}
	if f.lastHeader = -1; keep {
		f.lastHeader = len(m.Headers)
		m.Headers = append(m.Headers, Header{name, value})
	}
}

// oddHeader reads a line that begins with no token and colon.
func (m *message) oddHeader(f *framing, line []byte, keep bool) {
	if line[0] == ' ' || line[0] == '\t' {
		m.fold(f, line)
		return
	}
	f.commit(m)
	f.lastHeader = -1
	colon := bytes.IndexByte(line, ':')
	if colon <= 0 {
		m.anomaly(trafficv1.Anomaly_ANOMALY_BAD_HEADER)
		return
	}
	name := bytes.TrimRight(line[:colon], " \t")
	spaced := len(name) < colon
	if spaced {
		m.anomaly(trafficv1.Anomaly_ANOMALY_SPACE_BEFORE_COLON)
	} else {
		m.anomaly(trafficv1.Anomaly_ANOMALY_BAD_HEADER)
	}
	value := trim(line[colon+1:])
	f.header(name, value, spaced, keep)
	if keep {
		f.lastHeader = len(m.Headers)
		m.Headers = append(m.Headers, Header{name, value})
	}
}

// fold joins a continued line to its header with one space, as RFC 9112 has it read.
func (m *message) fold(f *framing, line []byte) {
	m.anomaly(trafficv1.Anomaly_ANOMALY_OBS_FOLD)
	line = trim(line)
	f.fold(line)
	if f.lastHeader < 0 || f.lastHeader >= len(m.Headers) {
		return
	}
	h := &m.Headers[f.lastHeader]
	joined := make([]byte, 0, len(h.Value)+1+len(line))
	h.Value = trim(append(append(append(joined, h.Value...), ' '), line...))
}

// trim takes blanks off both ends.
func trim(b []byte) []byte {
	begin, end := 0, len(b)
	for begin < end && (b[begin] == ' ' || b[begin] == '\t') {
		begin++
	}
	for begin < end && (b[end-1] == ' ' || b[end-1] == '\t') {
		end--
	}
	return b[begin:end]
}

// parseRequestLine reads method SP target SP HTTP/1.x. The target may hold anything but the line's end: attacks do.
func parseRequestLine(line []byte) (method, target int, minor byte, ok bool) {
	const version = " HTTP/1.1"
	method = bytes.IndexByte(line, ' ')
	target = len(line) - len(version)
	if method <= 0 || method > maxMethod || target <= method+1 || !isToken(line[:method]) {
		return 0, 0, 0, false
	}
	tail := line[target:]
	if string(tail[:len(version)-1]) != version[:len(version)-1] || tail[8] < '0' || tail[8] > '9' {
		return 0, 0, 0, false
	}
	return method, target, tail[8] - '0', true
}

const maxMethod = 64

// couldBeRequest tells whether the bytes seen so far can be the beginning of a request line.
func couldBeRequest(b []byte) bool {
	end := bytes.IndexByte(b, ' ')
	if end < 0 {
		end = len(b)
	}
	return end <= maxMethod && isToken(b[:end])
}

// parseStatusLine reads HTTP/1.x SP status [SP reason].
func parseStatusLine(line []byte) (status int, minor byte, ok bool) {
	if len(line) < len("HTTP/1.1 200") || string(line[:7]) != "HTTP/1." || line[7] < '0' || line[7] > '9' || line[8] != ' ' {
		return 0, 0, false
	}
	for _, c := range line[9:12] {
		if c < '0' || c > '9' {
			return 0, 0, false
		}
		status = status*10 + int(c-'0')
	}
	// Less than 100 is no answer: taken for an interim one, it would never end.
	if status < 100 || len(line) > 12 && line[12] != ' ' {
		return 0, 0, false
	}
	return status, line[7] - '0', true
}

var tokenChars = func() (table [256]bool) {
	for _, c := range "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ" {
		table[c] = true
	}
	return table
}()

func isToken(b []byte) bool { return len(b) > 0 && tokenLength(b) == len(b) }

// tokenLength is how many bytes of a token b begins with. Names are nearly always letters and hyphens, which are looked at by eight:
// to go byte by byte is a quarter of what reading a head costs.
func tokenLength(b []byte) int {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	i := 0
	for ; i+8 <= len(b); i += 8 {
		word := binary.LittleEndian.Uint64(b[i:])
		// The top bit of a byte is set in letter if it is one, in hyphen if it is that. No sum carries into the next byte.
		low := (word | 0x20*ones) &^ tops
		letter := (low + (0x80-'a')*ones) &^ (low + (0x7f-'z')*ones) &^ word
		other := word ^ '-'*ones
		hyphen := ^(other&^tops + 0x7f*ones | other)
		if odd := ^(letter | hyphen) & tops; odd != 0 {
			i += bits.TrailingZeros64(odd) / 8
			break
		}
	}
	for i < len(b) && tokenChars[b[i]] {
		i++
	}
	return i
}
