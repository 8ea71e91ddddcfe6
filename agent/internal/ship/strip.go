package ship

import (
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/sidelight/sidelight/agent/internal/exchange"
	trafficv1 "github.com/sidelight/sidelight/proto/gen/sidelight/traffic/v1"
)

// Numbers of the fields that shedding takes from, in exchange.proto; a test reads what is written here through the messages.
const (
	fieldRequest  protowire.Number = 6
	fieldResponse protowire.Number = 7
	fieldBody     protowire.Number = 7 // of a request
	fieldHeaders  protowire.Number = 2 // of a response
	fieldOffset   protowire.Number = 1 // of a segment
	fieldData     protowire.Number = 2
)

// stripper writes exchanges anew without what a stage of shedding gives up, and with the gaps that say so. Under load this is done
// to every exchange, and making messages for it would cost more than making the exchange did.
type stripper struct {
	// out is the exchange, gaps are what was added to it, bytes what is gone of the body: until the next one.
	out, gaps []byte
	bytes     uint64
	inner     []byte
}

func (x *stripper) strip(wire []byte, s stage, heads int) error {
	x.out, x.gaps, x.bytes = x.out[:0], x.gaps[:0], 0
	err := fields(wire, func(number protowire.Number, field, value []byte) error {
		x.inner = x.inner[:0]
		var err error
		switch {
		case s == responseHead && number == fieldResponse:
			err = x.withoutHeaders(value)
			x.gaps = exchange.AppendGap(x.gaps, trafficv1.Gap_PART_RESPONSE_HEAD, 0, uint64(heads), trafficv1.GapReason_GAP_REASON_SHED)
		case s == bodyTail && number == fieldRequest:
			err = x.cutBody(value, keptBody)
		case s == wholeBody && number == fieldRequest:
			err = x.cutBody(value, 0)
		default:
			x.out = append(x.out, field...)
			return nil
		}
		x.out = appendMessage(x.out, number, x.inner)
		return err
	})
	x.out = append(x.out, x.gaps...)
	return err
}

func (x *stripper) withoutHeaders(response []byte) error {
	return fields(response, func(number protowire.Number, field, _ []byte) error {
		if number != fieldHeaders {
			x.inner = append(x.inner, field...)
		}
		return nil
	})
}

// cutBody leaves the first bytes of a body that were seen, and gives the rest as gaps.
func (x *stripper) cutBody(request []byte, kept int) error {
	return fields(request, func(number protowire.Number, field, value []byte) error {
		if number != fieldBody {
			x.inner = append(x.inner, field...)
			return nil
		}
		offset, data, err := segment(value)
		if err != nil {
			return err
		}
		keep := min(kept, len(data))
		kept -= keep
		switch {
		case keep == len(data) && keep > 0:
			x.inner = append(x.inner, field...)
		case keep > 0:
			var part []byte
			if offset > 0 {
				part = protowire.AppendVarint(protowire.AppendTag(part, fieldOffset, protowire.VarintType), offset)
			}
			x.inner = appendMessage(x.inner, fieldBody, appendMessage(part, fieldData, data[:keep]))
		}
		if rest := uint64(len(data) - keep); rest > 0 {
			x.bytes += rest
			x.gaps = exchange.AppendGap(x.gaps, trafficv1.Gap_PART_REQUEST_BODY, offset+uint64(keep), rest, trafficv1.GapReason_GAP_REASON_SHED)
		}
		return nil
	})
}

func appendMessage(out []byte, number protowire.Number, message []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(out, number, protowire.BytesType), message)
}

func segment(wire []byte) (offset uint64, data []byte, err error) {
	err = fields(wire, func(number protowire.Number, field, value []byte) error {
		switch number {
		case fieldOffset:
			_, _, n := protowire.ConsumeTag(field)
			offset, _ = protowire.ConsumeVarint(field[n:])
		case fieldData:
			data = value
		}
		return nil
	})
	return offset, data, err
}

// fields calls each for every field of a message: as it stands there, and what is in it if it has a length.
func fields(wire []byte, each func(number protowire.Number, field, value []byte) error) error {
	for len(wire) > 0 {
		number, kind, n := protowire.ConsumeTag(wire)
		if n < 0 {
			return protowire.ParseError(n)
		}
		size := protowire.ConsumeFieldValue(number, kind, wire[n:])
		if size < 0 {
			return protowire.ParseError(size)
		}
		var value []byte
		if kind == protowire.BytesType {
			value, _ = protowire.ConsumeBytes(wire[n:])
		}
		if err := each(number, wire[:n+size], value); err != nil {
			return err
		}
		wire = wire[n+size:]
	}
	return nil
}
