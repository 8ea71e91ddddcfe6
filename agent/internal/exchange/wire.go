package exchange

import (
	"bytes"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/sidelight/sidelight/agent/internal/http1"
	trafficv1 "github.com/sidelight/sidelight/proto/gen/sidelight/traffic/v1"
)

// The messages of exchange.proto and gap.proto are written here as they go on the wire, straight from what the parsers know: making
// messages first would cost more than all parsing. A test reads what is written back, and compares it with messages.
//
// All numbers of fields are below 16, so that a tag is one byte.
const (
	varint = byte(protowire.VarintType)
	length = byte(protowire.BytesType)

	exchangeID       = 1<<3 | length
	exchangeRevision = 2<<3 | varint
	exchangePhase    = 3<<3 | varint
	exchangeReason   = 4<<3 | varint
	exchangeContent  = 5<<3 | varint
	exchangeRequest  = 6<<3 | length
	exchangeResponse = 7<<3 | length
	exchangeGaps     = 10<<3 | length
	exchangeTimes    = 11<<3 | length
	exchangeResumed  = 12<<3 | varint

	requestMethod    = 1<<3 | length
	requestTarget    = 2<<3 | length
	requestProtocol  = 3<<3 | varint
	requestAuthority = 4<<3 | length
	requestScheme    = 5<<3 | length
	requestHeaders   = 6<<3 | length
	requestBody      = 7<<3 | length
	requestBodySize  = 8<<3 | varint
	requestComplete  = 9<<3 | varint
	requestTrailers  = 10<<3 | length
	requestAnomalies = 11<<3 | length

	responseStatus   = 1<<3 | varint
	responseHeaders  = 2<<3 | length
	responseBodySize = 3<<3 | varint

	headerName  = 1<<3 | length
	headerValue = 2<<3 | length

	segmentOffset = 1<<3 | varint
	segmentData   = 2<<3 | length

	gapPart   = 1<<3 | varint
	gapOffset = 2<<3 | varint
	gapLength = 3<<3 | varint
	gapReason = 4<<3 | varint

	timesStart = 4<<3 | varint
	timesTook  = 6<<3 | varint
	timesAfter = 7<<3 | varint
)

// encode writes this state into the revision.
func (o *Open) encode(r *Revision, out []byte, phase trafficv1.Phase, reason trafficv1.CloseReason) {
	q := asked{Request: o.request, scheme: o.conn.scheme(), content: r.Content}
	host := firstHost(o.request.Headers)
	if named := authority(o.request.Target, host); !r.Content || !bytes.Equal(named, host) {
		q.authority = named
	}
	request, response, times := q.size(), 0, o.timesSize()
	size := 64 + request + times + len(o.request.Gaps)*maxGap
	if o.answer != nil {
		response = sizeResponse(o.answer)
		size += sizeMessage(response) + len(o.answer.Gaps)*maxGap
	}
	out = slices.Grow(out, size)
	out = appendBytes(out, exchangeID, r.ID[:])
	out = appendVarint(out, exchangeRevision, uint64(r.Number))
	out = appendVarint(out, exchangePhase, uint64(phase))
	out = appendVarint(out, exchangeReason, uint64(reason))
	out = appendVarint(out, exchangeContent, uint64(o.contentRevision))
	out = q.append(appendLength(out, exchangeRequest, request))
	if o.answer != nil {
		out = appendResponse(appendLength(out, exchangeResponse, response), o.answer)
		r.Heads = textSize(o.answer.Headers)
	}
	for _, g := range o.request.Gaps {
		out = appendGap(out, g)
	}
	if o.answer != nil {
		// Of its body only the size is told.
		for _, g := range o.answer.Gaps {
			if g.InHead {
				out = AppendGap(out, trafficv1.Gap_PART_RESPONSE_HEAD, g.Offset, g.Length, g.Reason)
			}
		}
	}
	out = o.appendTimes(appendLength(out, exchangeTimes, times))
	if o.request.Resumed {
		out = append(out, exchangeResumed, 1)
	}
	if r.Wire = out; r.Content {
		for _, s := range o.request.Body {
			r.Body += len(s.Data)
		}
	}
}

// asked is a request as it is told; without content only by what names it.
type asked struct {
	*http1.Request
	scheme    string
	authority []byte
	content   bool
}

func (q *asked) size() int {
	n := sizeBytes(len(q.Method)) + sizeBytes(len(q.Target)) + sizeVarint(uint64(protocol(q.Minor))) + sizeBytes(len(q.authority)) +
		sizeBytes(len(q.scheme)) + sizeVarint(q.BodySize)
	if q.Complete {
		n += 2
	}
	if !q.content {
		return n
	}
	n += sizeHeaders(q.Headers) + sizeHeaders(q.Trailers) + sizeBytes(len(q.Anomalies))
	for i := range q.Body {
		n += sizeMessage(sizeSegment(&q.Body[i]))
	}
	return n
}

func (q *asked) append(out []byte) []byte {
	out = appendBytes(out, requestMethod, q.Method)
	out = appendBytes(out, requestTarget, q.Target)
	out = appendVarint(out, requestProtocol, uint64(protocol(q.Minor)))
	out = appendBytes(out, requestAuthority, q.authority)
	out = append(appendLength(out, requestScheme, len(q.scheme)), q.scheme...)
	if q.content {
		out = appendHeaders(out, requestHeaders, q.Headers)
		for i := range q.Body {
			s := &q.Body[i]
			out = appendLength(out, requestBody, sizeSegment(s))
			out = appendVarint(out, segmentOffset, s.Offset)
			out = appendBytes(out, segmentData, s.Data)
		}
	}
	out = appendVarint(out, requestBodySize, q.BodySize)
	if q.Complete {
		out = append(out, requestComplete, 1)
	}
	if !q.content {
		return out
	}
	out = appendHeaders(out, requestTrailers, q.Trailers)
	if len(q.Anomalies) > 0 {
		// Their numbers are below 128: one byte each.
		out = appendLength(out, requestAnomalies, len(q.Anomalies))
		for _, a := range q.Anomalies {
			out = append(out, byte(a))
		}
	}
	return out
}

func sizeResponse(r *http1.Response) int {
	return sizeVarint(uint64(r.Status)) + sizeHeaders(r.Headers) + sizeVarint(r.BodySize)
}

func appendResponse(out []byte, r *http1.Response) []byte {
	out = appendVarint(out, responseStatus, uint64(r.Status))
	out = appendHeaders(out, responseHeaders, r.Headers)
	return appendVarint(out, responseBodySize, r.BodySize)
}

// maxGap is more than any gap takes.
const maxGap = 32

func appendGap(out []byte, g http1.Gap) []byte {
	part := trafficv1.Gap_PART_REQUEST_BODY
	if g.InHead {
		part = trafficv1.Gap_PART_REQUEST_HEAD
	}
	return AppendGap(out, part, g.Offset, g.Length, g.Reason)
}

// AppendGap adds a gap to an exchange on the wire.
func AppendGap(out []byte, part trafficv1.Gap_Part, offset, size uint64, reason trafficv1.GapReason) []byte {
	n := sizeVarint(uint64(part)) + sizeVarint(offset) + sizeVarint(size) + sizeVarint(uint64(reason))
	out = appendLength(out, exchangeGaps, n)
	out = appendVarint(out, gapPart, uint64(part))
	out = appendVarint(out, gapOffset, offset)
	out = appendVarint(out, gapLength, size)
	return appendVarint(out, gapReason, uint64(reason))
}

// took and after tell times by their distance from the start: the aggregator knows both clocks of the agent.
func (o *Open) took() uint64 {
	if o.requestEnd == o.started {
		return 0
	}
	return distance(o.started, o.requestEnd)
}

func (o *Open) after() uint64 {
	if o.responseStart == 0 {
		return 0
	}
	return distance(o.started, o.responseStart)
}

// distance is never 0, which says that there was nothing: events of two processors may change places.
func distance(from, to uint64) uint64 {
	if to <= from {
		return 1
	}
	return to - from
}

func (o *Open) timesSize() int {
	return sizeVarint(o.started) + sizeVarint(o.took()) + sizeVarint(o.after())
}

func (o *Open) appendTimes(out []byte) []byte {
	out = appendVarint(out, timesStart, o.started)
	out = appendVarint(out, timesTook, o.took())
	return appendVarint(out, timesAfter, o.after())
}
