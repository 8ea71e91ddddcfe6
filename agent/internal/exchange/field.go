package exchange

import (
	"bytes"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/sidelight/sidelight/agent/internal/http1"
	trafficv1 "github.com/sidelight/sidelight/proto/gen/sidelight/traffic/v1"
)

// Fields whose tag is one byte. What is zero or empty is not written, as proto3 has it; messages are.

func sizeVarint(v uint64) int {
	if v == 0 {
		return 0
	}
	return 1 + protowire.SizeVarint(v)
}

func appendVarint(out []byte, tag byte, v uint64) []byte {
	if v == 0 {
		return out
	}
	return protowire.AppendVarint(append(out, tag), v)
}

func sizeBytes(n int) int {
	if n == 0 {
		return 0
	}
	return sizeMessage(n)
}

func appendBytes(out []byte, tag byte, b []byte) []byte {
	if len(b) == 0 {
		return out
	}
	return append(appendLength(out, tag, len(b)), b...)
}

func sizeMessage(n int) int {
	if n < 1<<7 {
		return 2 + n
	}
	return 1 + protowire.SizeVarint(uint64(n)) + n
}

// appendLength begins what is n bytes long.
func appendLength(out []byte, tag byte, n int) []byte {
	if n < 1<<7 {
		return append(out, tag, byte(n))
	}
	return protowire.AppendVarint(append(out, tag), uint64(n))
}

func sizeHeader(h *http1.Header) int { return sizeBytes(len(h.Name)) + sizeBytes(len(h.Value)) }

// plain tells whether a header has a name and a value, and both lengths and their sum's are one byte: as nearly all have.
func plain(name, value int) bool { return name > 0 && value > 0 && name+value < 1<<7-4 }

func sizeHeaders(list []http1.Header) int {
	n := 0
	for i := range list {
		if name, value := len(list[i].Name), len(list[i].Value); plain(name, value) {
			n += name + value + 6
		} else {
			n += sizeMessage(sizeHeader(&list[i]))
		}
	}
	return n
}

func appendHeaders(out []byte, tag byte, list []http1.Header) []byte {
	for i := range list {
		h := &list[i]
		if name, value := len(h.Name), len(h.Value); plain(name, value) {
			if line := asSent(h); line != nil {
				// Two bytes on the wire where the colon and the blank stood: one copy.
				out = append(append(out, tag, byte(name+value+4), headerName, byte(name)), line...)
				between := out[len(out)-value-2:]
				between[0], between[1] = headerValue, byte(value)
				continue
			}
			out = append(append(out, tag, byte(name+value+4), headerName, byte(name)), h.Name...)
			out = append(append(out, headerValue, byte(value)), h.Value...)
			continue
		}
		out = appendLength(out, tag, sizeHeader(h))
		out = appendBytes(out, headerName, h.Name)
		out = appendBytes(out, headerValue, h.Value)
	}
	return out
}

// textSize is what headers take in a head.
func textSize(list []http1.Header) int {
	n := 0
	for i := range list {
		n += len(list[i].Name) + len(list[i].Value) + len(": \r\n")
	}
	return n
}

// asSent is the line that a header is of, if two bytes lie between its name and its value there: as nearly always.
func asSent(h *http1.Header) []byte {
	n := len(h.Name) + 2
	if n+len(h.Value) > cap(h.Name) {
		return nil
	}
	line := h.Name[:n+len(h.Value)]
	if &line[n] != &h.Value[0] {
		return nil
	}
	return line
}

func sizeSegment(s *http1.Segment) int { return sizeVarint(s.Offset) + sizeBytes(len(s.Data)) }

func (c *Connection) scheme() string {
	if c.TLS != nil {
		return "https"
	}
	return "http"
}

func protocol(minor byte) trafficv1.Protocol {
	if minor == 0 {
		return trafficv1.Protocol_PROTOCOL_HTTP10
	}
	return trafficv1.Protocol_PROTOCOL_HTTP11
}

// authority is the first Host, or that of a target in absolute form.
func authority(target, host []byte) []byte {
	if len(target) > 0 && target[0] != '/' {
		if _, rest, found := bytes.Cut(target, []byte("://")); found {
			if end := bytes.IndexAny(rest, "/?#"); end >= 0 {
				rest = rest[:end]
			}
			return rest
		}
	}
	return host
}

func firstHost(headers []http1.Header) []byte {
	for i := range headers {
		if h := &headers[i]; len(h.Name) == len("Host") && bytes.EqualFold(h.Name, []byte("Host")) {
			return h.Value
		}
	}
	return nil
}
