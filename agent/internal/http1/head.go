package http1

import (
	"bytes"
	"strconv"

	trafficv1 "github.com/sidelight/sidelight/proto/gen/sidelight/traffic/v1"
)

// framing is what a head says about where its message ends.
type framing struct {
	length     uint64
	hasLength  bool
	badLength  bool
	hasCoding  bool
	chunked    bool
	badCoding  bool
	lastHeader int // index of the line that a fold continues; -1: none
}

// header reads one line of a head into the message and the framing. Lines beyond what is kept still count for framing.
func (m *message) header(f *framing, line []byte, keep bool) {
	if bytes.IndexByte(line, 0) >= 0 {
		m.anomaly(trafficv1.Anomaly_ANOMALY_NUL)
	}
	if line[0] == ' ' || line[0] == '\t' {
		m.fold(f, line)
		return
	}
	name, value, found := bytes.Cut(line, []byte{':'})
	if !found || len(name) == 0 {
		m.anomaly(trafficv1.Anomaly_ANOMALY_BAD_HEADER)
		f.lastHeader = -1
		return
	}
	if trimmed := bytes.TrimRight(name, " \t"); len(trimmed) != len(name) {
		m.anomaly(trafficv1.Anomaly_ANOMALY_SPACE_BEFORE_COLON)
		name = trimmed
	} else if !isToken(name) {
		m.anomaly(trafficv1.Anomaly_ANOMALY_BAD_HEADER)
	}
	value = bytes.Trim(value, " \t")
	m.frame(f, name, value)
	f.lastHeader = -1
	if keep {
		f.lastHeader = len(m.Headers)
		m.Headers = append(m.Headers, Header{m.keep(name), m.keep(value)})
	}
}

// fold joins a continued line to its header with one space, as RFC 9112 has it read.
func (m *message) fold(f *framing, line []byte) {
	m.anomaly(trafficv1.Anomaly_ANOMALY_OBS_FOLD)
	if f.lastHeader < 0 || f.lastHeader >= len(m.Headers) {
		return
	}
	h := &m.Headers[f.lastHeader]
	joined := append(append(append([]byte(nil), h.Value...), ' '), bytes.Trim(line, " \t")...)
	m.heads += len(joined) - len(h.Value)
	h.Value = joined
}

// frame notes the two headers that say where the message ends.
func (m *message) frame(f *framing, name, value []byte) {
	switch len(name) {
	case len("Content-Length"):
		if !bytes.EqualFold(name, []byte("Content-Length")) {
			return
		}
		n, ok := parseLength(value)
		switch {
		case !ok:
			f.badLength = true
			m.anomaly(trafficv1.Anomaly_ANOMALY_BAD_CONTENT_LENGTH)
		case f.hasLength:
			m.anomaly(trafficv1.Anomaly_ANOMALY_DUPLICATE_CONTENT_LENGTH)
			if n != f.length {
				f.badLength = true
			}
		default:
			f.length, f.hasLength = n, true
		}
	case len("Transfer-Encoding"):
		if !bytes.EqualFold(name, []byte("Transfer-Encoding")) {
			return
		}
		if f.hasCoding || !bytes.EqualFold(value, []byte("chunked")) {
			f.badCoding = true
			m.anomaly(trafficv1.Anomaly_ANOMALY_BAD_TRANSFER_ENCODING)
		}
		f.hasCoding = true
		// The last coding frames the message.
		last := value[bytes.LastIndexByte(value, ',')+1:]
		f.chunked = bytes.EqualFold(bytes.Trim(last, " \t"), []byte("chunked"))
	}
}

// conflict notes a head that two readers may frame in two ways.
func (m *message) conflict(f *framing) {
	if f.hasCoding && (f.hasLength || f.badLength) {
		m.anomaly(trafficv1.Anomaly_ANOMALY_CONTENT_LENGTH_AND_TRANSFER_ENCODING)
	}
}

func parseLength(value []byte) (uint64, bool) {
	if len(value) == 0 || len(value) > 19 {
		return 0, false
	}
	for _, c := range value {
		if c < '0' || c > '9' {
			return 0, false
		}
	}
	n, err := strconv.ParseUint(string(value), 10, 63)
	return n, err == nil
}

// parseRequestLine reads method SP target SP HTTP/1.x. The target may hold anything but the line's end: attacks do.
func parseRequestLine(line []byte) (method, target []byte, minor byte, ok bool) {
	first, last := bytes.IndexByte(line, ' '), bytes.LastIndexByte(line, ' ')
	if first <= 0 || first > maxMethod || last <= first+1 {
		return nil, nil, 0, false
	}
	version := line[last+1:]
	if len(version) != len("HTTP/1.1") || !bytes.HasPrefix(version, []byte("HTTP/1.")) || version[7] < '0' || version[7] > '9' {
		return nil, nil, 0, false
	}
	if !isToken(line[:first]) {
		return nil, nil, 0, false
	}
	return line[:first], line[first+1 : last], version[7] - '0', true
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
	if len(line) < len("HTTP/1.1 200") || !bytes.HasPrefix(line, []byte("HTTP/1.")) || line[8] != ' ' {
		return 0, 0, false
	}
	digits := line[9:12]
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, 0, false
		}
	}
	if len(line) > 12 && line[12] != ' ' {
		return 0, 0, false
	}
	return int(digits[0]-'0')*100 + int(digits[1]-'0')*10 + int(digits[2]-'0'), line[7] - '0', true
}

var tokenChars = func() (table [256]bool) {
	for _, c := range "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ" {
		table[c] = true
	}
	return table
}()

func isToken(b []byte) bool {
	for _, c := range b {
		if !tokenChars[c] {
			return false
		}
	}
	return len(b) > 0
}
