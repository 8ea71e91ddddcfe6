package demo

import (
	"slices"
	"time"
)

// delays are the times between sending and seeing.
type delays []time.Duration

func (d delays) quantile(q float64) time.Duration {
	if len(d) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(d))
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))].Round(time.Millisecond)
}
