package budget

import (
	"maps"
	"math"
	"slices"
)

// fair gives the part that each process keeps so that all of them together keep `keep` of what began: who has little keeps
// all of it, who has most gives most.
func fair(began map[uint32]uint64, keep float64) map[uint32]float64 {
	if keep >= 1 || len(began) == 0 {
		return nil
	}
	var left float64
	for _, n := range began {
		left += float64(n)
	}
	left *= keep
	// The level up to which everyone is filled.
	level := math.Inf(1)
	counts := slices.Sorted(maps.Values(began))
	for i, n := range counts {
		if each := left / float64(len(counts)-i); float64(n) > each {
			level = each
			break
		}
		left -= float64(n)
	}
	shares := map[uint32]float64{}
	for pid, n := range began {
		if float64(n) > level {
			// In steps of a 256th: small changes are no news.
			shares[pid] = max(1, math.Round(256*level/float64(n))) / 256
		}
	}
	return shares
}
