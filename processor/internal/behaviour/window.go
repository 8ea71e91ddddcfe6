package behaviour

import (
	"encoding/binary"
	"time"

	detectionv1 "github.com/sidelight/sidelight/proto/gen/sidelight/detection/v1"
)

// parts is how many parts a window has: it moves on by one of them at a time.
const parts = 12

// slice counts the requests of one part of a window; at is its number since the epoch.
type slice struct {
	at                          int64
	requests, missed, forbidden int
}

// miss is a path that was not there.
type miss struct{ path, at int64 }

// window is what one client did to one service of late.
type window struct {
	service serviceKey
	// head is the newest slice.
	head  int64
	parts [parts]slice
	// misses are different paths, at most twice as many as are needed.
	misses []miss
	// quiet until this time: it was told of.
	quiet time.Time
}

// tally is what a window comes to.
type tally struct{ requests, missed, forbidden, paths int }

// add counts a fact. False: it is older than the window.
func (w *window) add(f *detectionv1.Fact, width time.Duration, most int) bool {
	at := f.GetObservedAt().AsTime().UnixNano() / int64(width)
	if at <= w.head-parts {
		return false
	}
	w.head = max(w.head, at)
	s := &w.parts[at%parts]
	if s.at != at {
		*s = slice{at: at}
	}
	s.requests++
	switch f.GetStatus() {
	case 404:
		s.missed++
	case 403:
		s.forbidden++
	default:
		return true
	}
	w.miss(pathOf(f), at, most)
	return true
}

// pathOf is the half of the endpoint's hash that tells literal paths apart.
func pathOf(f *detectionv1.Fact) int64 {
	return int64(binary.BigEndian.Uint64(f.GetEndpoint()[len(f.GetEndpoint())-8:]))
}

func (w *window) miss(path, at int64, most int) {
	free := -1
	for i := range w.misses {
		m := &w.misses[i]
		if m.path == path {
			m.at = max(m.at, at)
			return
		}
		if m.at <= w.head-parts {
			free = i
		}
	}
	switch {
	case free >= 0:
		w.misses[free] = miss{path, at}
	case len(w.misses) < most:
		w.misses = append(w.misses, miss{path, at})
	}
}

func (w *window) tally() tally {
	var t tally
	for _, s := range w.parts {
		if s.at > w.head-parts && s.at <= w.head {
			t.requests += s.requests
			t.missed += s.missed
			t.forbidden += s.forbidden
		}
	}
	for _, m := range w.misses {
		if m.at > w.head-parts {
			t.paths++
		}
	}
	return t
}
