package http1

import (
	"bytes"

	trafficv1 "github.com/sidelight/sidelight/proto/gen/sidelight/traffic/v1"
)

// framing is what a head says about where its message ends.
type framing struct {
	length    uint64
	hasLength bool
	badLength bool
	hasCoding bool
	// badCoding: it cannot be known that chunks frame the message.
	badCoding bool
	// doubtful: servers that accept the line read it in two ways.
	doubtful        bool
	upgrade, expect bool

	// lastHeader is the index of the line that a fold continues; -1: none.
	lastHeader int
	// pending is a line that frames, and value what it says so far: a fold may go on with it.
	pending field
	value   []byte
}

type field uint8

const (
	noField field = iota
	contentLength
	transferEncoding
)

// mayFrame sorts out the names that header knows nothing of: nearly all, by their length and first letter.
func mayFrame(name []byte) bool {
	switch len(name) {
	case len("Content-Length"):
		return name[0]|0x20 == 'c'
	case len("Transfer-Encoding"):
		return name[0]|0x20 == 't'
	case len("Upgrade"):
		return name[0]|0x20 == 'u'
	case len("Expect"):
		return name[0]|0x20 == 'e'
	}
	return false
}

// header looks for the lines that say where the message ends, and what comes behind it.
func (f *framing) header(name, value []byte, spaced, kept bool) {
	switch len(name) {
	case len("Content-Length"):
		if bytes.EqualFold(name, []byte("Content-Length")) {
			f.pending = contentLength
		}
	case len("Transfer-Encoding"):
		if bytes.EqualFold(name, []byte("Transfer-Encoding")) {
			f.pending = transferEncoding
		}
	case len("Upgrade"):
		f.upgrade = f.upgrade || bytes.EqualFold(name, []byte("Upgrade"))
	case len("Expect"):
		f.expect = f.expect || bytes.EqualFold(name, []byte("Expect"))
	}
	if f.pending == noField {
		return
	}
	f.doubtful = f.doubtful || spaced
	if f.value = value; !kept {
		f.value = bytes.Clone(value[:min(len(value), maxFraming)])
	}
}

// maxFraming bounds the value of a line that frames; no longer one has a meaning.
const maxFraming = 1 << 10

func (f *framing) fold(line []byte) {
	if f.pending == noField {
		return
	}
	joined := append(append(bytes.Clone(f.value), ' '), line...)
	f.value = trim(joined[:min(len(joined), maxFraming)])
}

// commit takes the pending line for what it says: nothing continues it.
func (f *framing) commit(m *message) {
	switch f.pending {
	case noField:
		return
	case contentLength:
		f.commitLength(m)
	case transferEncoding:
		if f.hasCoding || !bytes.EqualFold(f.value, []byte("chunked")) {
			m.anomaly(trafficv1.Anomaly_ANOMALY_BAD_TRANSFER_ENCODING)
			f.badCoding = f.badCoding || f.hasCoding || !chunkedLast(f.value)
		}
		f.hasCoding = true
	}
	f.pending, f.value = noField, nil
	if f.hasCoding && (f.hasLength || f.badLength) {
		m.anomaly(trafficv1.Anomaly_ANOMALY_CONTENT_LENGTH_AND_TRANSFER_ENCODING)
	}
}

func (f *framing) commitLength(m *message) {
	n, ok := parseLength(f.value)
	switch {
	case !ok:
		f.badLength = true
		m.anomaly(trafficv1.Anomaly_ANOMALY_BAD_CONTENT_LENGTH)
	case f.hasLength:
		m.anomaly(trafficv1.Anomaly_ANOMALY_DUPLICATE_CONTENT_LENGTH)
		f.badLength = f.badLength || n != f.length
	default:
		f.length, f.hasLength = n, true
	}
}

// chunkedLast tells whether chunks frame what other codings of the registry made: whoever accepts the list reads it so.
func chunkedLast(value []byte) bool {
	for coding := range bytes.SplitSeq(value, []byte{','}) {
		switch string(bytes.ToLower(trim(coding))) {
		case "gzip", "x-gzip", "deflate", "compress", "x-compress":
		case "chunked":
			// Once, and at the end.
			return len(coding) > 0 && bytes.HasSuffix(value, coding) && bytes.Count(bytes.ToLower(value), []byte("chunked")) == 1
		default:
			return false
		}
	}
	return false
}

func parseLength(value []byte) (n uint64, ok bool) {
	for _, c := range value {
		if c < '0' || c > '9' || n > (1<<63-1-9)/10 {
			return 0, false
		}
		n = n*10 + uint64(c-'0')
	}
	return n, len(value) > 0
}
