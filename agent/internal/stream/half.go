package stream

import (
	"bytes"
	"math"

	"github.com/sidelight/sidelight/agent/internal/probe"
	trafficv1 "github.com/sidelight/sidelight/proto/gen/sidelight/traffic/v1"
)

// half is one direction of a connection: events by sequence number become bytes in order and gaps.
type half struct {
	started bool
	next    uint32
	// early holds events that came before the ones they follow: two threads share a socket.
	early   []probe.Event
	deliver func(data []byte, mono uint64)
	skip    func(n uint64, why trafficv1.GapReason, mono uint64)
}

// maxEarly bounds what waits for its turn.
const maxEarly = 32

func (h *half) take(e *probe.Event) {
	if !h.started {
		h.started, h.next = true, e.Seq
	}
	if e.Seq == h.next {
		h.pass(e)
		h.settle()
		return
	}
	// Sequence numbers wrap: the sign of the difference tells before from behind.
	if ahead := int32(e.Seq - h.next); ahead < 0 {
		h.overlap(e, uint32(-ahead))
		return
	}
	kept := *e
	kept.Data = bytes.Clone(e.Data)
	h.early = append(h.early, kept)
	if len(h.early) > maxEarly {
		h.flush()
	}
}

// pass hands on an event whose turn it is.
func (h *half) pass(e *probe.Event) {
	h.next += e.Len
	h.deliver(e.Data, e.Mono)
	if missing := uint64(e.Len) - uint64(len(e.Data)); missing > 0 {
		h.skip(missing, reason(e.Flags), e.Mono)
	}
}

// overlap drops what was seen before.
func (h *half) overlap(e *probe.Event, seen uint32) {
	if seen >= e.Len {
		return
	}
	tail := *e
	tail.Seq += seen
	tail.Len -= seen
	tail.Data = tail.Data[min(int(seen), len(tail.Data)):]
	h.pass(&tail)
	h.settle()
}

// settle hands on early events whose turn has come.
func (h *half) settle() {
	for again := true; again; {
		again = false
		for i := range h.early {
			if h.early[i].Seq == h.next {
				e := h.early[i]
				h.early = append(h.early[:i], h.early[i+1:]...)
				h.pass(&e)
				again = true
				break
			}
		}
	}
}

// flush gives up waiting: what lies between is a gap. The ring was full, or a call was not followed.
func (h *half) flush() {
	for len(h.early) > 0 {
		first := 0
		for i := range h.early {
			if int32(h.early[i].Seq-h.early[first].Seq) < 0 {
				first = i
			}
		}
		e := h.early[first]
		h.early = append(h.early[:first], h.early[first+1:]...)
		if ahead := int32(e.Seq - h.next); ahead >= 0 {
			if ahead > 0 {
				h.skip(uint64(ahead), trafficv1.GapReason_GAP_REASON_RING_FULL, e.Mono)
			}
			h.next = e.Seq
			h.pass(&e)
		} else {
			h.overlap(&e, uint32(-ahead))
		}
		h.settle()
	}
}

// oldest is when the first of what waits for its turn came; far in the future if nothing does.
func (h *half) oldest() uint64 {
	oldest := uint64(math.MaxUint64)
	for i := range h.early {
		oldest = min(oldest, h.early[i].Mono)
	}
	return oldest
}

func reason(f probe.Flags) trafficv1.GapReason {
	switch {
	case f&probe.FlagSizeOnly != 0:
		return trafficv1.GapReason_GAP_REASON_SENDFILE
	case f&probe.FlagFault != 0:
		return trafficv1.GapReason_GAP_REASON_FAULT
	default:
		return trafficv1.GapReason_GAP_REASON_BUDGET
	}
}
