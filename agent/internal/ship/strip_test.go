package ship

import (
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	trafficv1 "github.com/sidelight/sidelight/proto/gen/sidelight/traffic/v1"
)

// stripped is what a stage of shedding must leave, made the plain way.
func stripped(e *trafficv1.Exchange, s stage, heads int) (*trafficv1.Exchange, []*trafficv1.Gap) {
	e = proto.CloneOf(e)
	gap := func(part trafficv1.Gap_Part, offset, length uint64) *trafficv1.Gap {
		return &trafficv1.Gap{Part: part, Offset: offset, Length: length, Reason: trafficv1.GapReason_GAP_REASON_SHED}
	}
	var gaps []*trafficv1.Gap
	if s == responseHead {
		if e.Response != nil {
			gaps = append(gaps, gap(trafficv1.Gap_PART_RESPONSE_HEAD, 0, uint64(heads)))
			e.Response.Headers = nil
		}
	} else if e.Request != nil {
		room := 0
		if s == bodyTail {
			room = keptBody
		}
		var kept []*trafficv1.BodySegment
		for _, segment := range e.GetRequest().GetBody() {
			data := segment.GetData()
			keep := min(room, len(data))
			room -= keep
			if keep > 0 {
				kept = append(kept, &trafficv1.BodySegment{Offset: segment.GetOffset(), Data: data[:keep]})
			}
			if keep < len(data) {
				gaps = append(gaps, gap(trafficv1.Gap_PART_REQUEST_BODY, segment.GetOffset()+uint64(keep), uint64(len(data)-keep)))
			}
		}
		e.Request.Body = kept
	}
	e.Gaps = append(e.Gaps, gaps...)
	return e, gaps
}

// Whatever an exchange holds: what a stage leaves of it on the wire is what it would leave of the message.
func FuzzStrip(f *testing.F) {
	whole := quick("seed", 9000)
	whole.Request.Body = append(whole.Request.Body, &trafficv1.BodySegment{Offset: 9500, Data: make([]byte, 300)}, &trafficv1.BodySegment{Offset: 9900})
	whole.Gaps = []*trafficv1.Gap{{Part: trafficv1.Gap_PART_REQUEST_BODY, Offset: 9000, Length: 500, Reason: trafficv1.GapReason_GAP_REASON_RING_FULL}}
	for _, e := range []*trafficv1.Exchange{whole, quick("small", 10), quick("none", 0), {}} {
		wire, err := proto.Marshal(e)
		require.NoError(f, err)
		f.Add(wire, uint8(e.GetRevision()))
		f.Add(wire[:len(wire)/2], uint8(2))
	}
	f.Fuzz(func(t *testing.T, wire []byte, n uint8) {
		s := stage(n % uint8(stages))
		e := &trafficv1.Exchange{}
		if (proto.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(wire, e) != nil {
			_ = new(stripper).strip(wire, s, 100) // it must not panic
			return
		}
		// As the agent writes it: each message once.
		wire, err := proto.Marshal(e)
		require.NoError(t, err)
		want, gaps := stripped(e, s, 100)
		x := &stripper{}
		require.NoError(t, x.strip(wire, s, 100))
		got := &trafficv1.Exchange{}
		require.NoError(t, proto.Unmarshal(x.out, got))
		require.True(t, proto.Equal(want, got), "want %v\ngot  %v", want, got)
		alone, length := &trafficv1.Exchange{}, uint64(0)
		require.NoError(t, proto.Unmarshal(x.gaps, alone))
		require.True(t, proto.Equal(&trafficv1.Exchange{Gaps: gaps}, alone))
		for _, g := range gaps {
			if g.GetPart() == trafficv1.Gap_PART_REQUEST_BODY {
				length += g.GetLength()
			}
		}
		require.Equal(t, length, x.bytes)
	})
}
