package stream

import (
	"bytes"
	"math"

	"github.com/sidelight/sidelight/agent/internal/probe"
	trafficv1 "github.com/sidelight/sidelight/proto/gen/sidelight/traffic/v1"
)

// receiver takes a stream in order.
type receiver interface {
	deliver(data []byte, mono uint64)
	skip(n uint64, why trafficv1.GapReason, mono uint64)
}

// half is one direction of a connection: events by sequence number become bytes in order and gaps.
type half struct {
	started bool
	next    uint32
	// lost is what the kernel had lost of this direction by the last event.
	lost uint32
	// early holds events that came before the ones they follow: two threads share a socket.
	early []probe.Event
}

// maxEarly bounds what waits for its turn.
const maxEarly = 32

// take takes an event, and tells how many bytes more wait for their turn because of it.
func (h *half) take(to receiver, e *probe.Event, room bool) (waiting int) {
	if !h.started {
		h.started, h.next = true, e.Seq
		h.lost = e.Lost
	}
	ahead := int32(e.Seq - h.next) // Sequence numbers wrap: the sign of the difference tells before from behind.
	switch {
	case ahead == 0:
		h.pass(to, e)
	case ahead < 0:
		h.overlap(to, e, uint32(-ahead))
	case uint32(ahead) == e.Lost-h.lost && len(h.early) == 0:
		// The ring was full: nothing comes that could fill the hole.
		to.skip(uint64(ahead), trafficv1.GapReason_GAP_REASON_RING_FULL, e.Mono)
		h.next = e.Seq
		h.pass(to, e)
	default:
		kept := *e
		kept.Data = bytes.Clone(e.Data)
		h.early = append(h.early, kept)
		if len(h.early) > maxEarly || !room {
			return len(e.Data) - h.flush(to)
		}
		return len(e.Data)
	}
	if len(h.early) == 0 {
		return 0
	}
	return -h.settle(to)
}

// pass hands on an event whose turn it is.
func (h *half) pass(to receiver, e *probe.Event) {
	h.next += e.Len
	if int32(e.Lost-h.lost) > 0 {
		h.lost = e.Lost
	}
	if len(e.Data) > 0 {
		to.deliver(e.Data, e.Mono)
	}
	if missing := uint64(e.Len) - uint64(len(e.Data)); missing > 0 {
		to.skip(missing, reason(e.Flags), e.Mono)
	}
}

// overlap drops what was seen before.
func (h *half) overlap(to receiver, e *probe.Event, seen uint32) {
	if seen >= e.Len {
		return
	}
	tail := *e
	tail.Seq += seen
	tail.Len -= seen
	tail.Data = tail.Data[min(int(seen), len(tail.Data)):]
	h.pass(to, &tail)
}

// settle hands on early events whose turn has come, and tells how many bytes wait no longer.
func (h *half) settle(to receiver) (settled int) {
	for again := true; again; {
		again = false
		for i := range h.early {
			if int32(h.early[i].Seq-h.next) <= 0 {
				settled += h.early1(to, i)
				again = true
				break
			}
		}
	}
	if len(h.early) == 0 {
		h.early = nil
	}
	return settled
}

// early1 takes one event off the waiting ones.
func (h *half) early1(to receiver, i int) int {
	e := h.early[i]
	h.early = append(h.early[:i], h.early[i+1:]...)
	if behind := h.next - e.Seq; behind > 0 {
		h.overlap(to, &e, behind)
	} else {
		h.pass(to, &e)
	}
	return len(e.Data)
}

// flush gives up waiting: what lies between is a gap. The ring was full, or a call was not followed.
func (h *half) flush(to receiver) (settled int) {
	for len(h.early) > 0 {
		first := 0
		for i := range h.early {
			if int32(h.early[i].Seq-h.early[first].Seq) < 0 {
				first = i
			}
		}
		e := &h.early[first]
		if ahead := int32(e.Seq - h.next); ahead > 0 {
			h.next = e.Seq
			to.skip(uint64(ahead), trafficv1.GapReason_GAP_REASON_RING_FULL, e.Mono)
		}
		settled += h.settle(to)
	}
	return settled
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
	case f&probe.FlagURing != 0:
		return trafficv1.GapReason_GAP_REASON_IO_URING
	case f&probe.FlagUnseen != 0:
		return trafficv1.GapReason_GAP_REASON_NOT_FOLLOWED
	case f&probe.FlagSizeOnly != 0:
		return trafficv1.GapReason_GAP_REASON_SENDFILE
	case f&probe.FlagFault != 0:
		return trafficv1.GapReason_GAP_REASON_FAULT
	case f&probe.FlagShed != 0:
		return trafficv1.GapReason_GAP_REASON_SHED
	default:
		return trafficv1.GapReason_GAP_REASON_BUDGET
	}
}
