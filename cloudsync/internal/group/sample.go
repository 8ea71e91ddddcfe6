package group

import (
	"cmp"
	"slices"
	"strings"
	"time"

	detectionv1 "github.com/sidelight/sidelight/proto/gen/sidelight/detection/v1"
)

const (
	// perSlot is how many hits of equal payload are samples in one hour.
	perSlot = 5
	// maxSlots bounds the pairs of payload and hour, the newest hours being kept: fifty samples tell a person enough.
	maxSlots = 10
)

// slot is the hits of one payload in one hour.
type slot struct {
	hour    int64
	payload string
}

func slotOf(h *detectionv1.Hit) slot {
	return slot{h.GetObservedAt().AsTime().Truncate(time.Hour).Unix(), string(h.GetPayloadHash())}
}

// newest puts later hours first.
func newest(a, b slot) int {
	return cmp.Or(cmp.Compare(b.hour, a.hour), strings.Compare(a.payload, b.payload))
}

// sample adds references and gives those that had to go: in each slot the first hits stay, and of all slots the newest.
// A slot or hit that goes can never be wanted again, since what pushed it out stays: so the order of arrival is the same.
func sample(a *detectionv1.Attack, refs ...*detectionv1.Hit) []*detectionv1.Hit {
	all := append(a.GetSamples(), refs...)
	slices.SortStableFunc(all, func(x, y *detectionv1.Hit) int { return cmp.Or(newest(slotOf(x), slotOf(y)), before(x, y)) })
	kept, gone := make([]*detectionv1.Hit, 0, len(all)), []*detectionv1.Hit(nil)
	slots, inSlot := 0, 0
	for i, h := range all {
		if i == 0 || slotOf(all[i-1]) != slotOf(h) {
			slots, inSlot = slots+1, 0
		}
		if inSlot++; slots > maxSlots || inSlot > perSlot {
			gone = append(gone, h)
			continue
		}
		kept = append(kept, h)
	}
	// A person reads them by time.
	slices.SortFunc(kept, before)
	a.Samples = kept
	return gone
}
