// Package ratelimit slows down guessing, in memory that never grows.
package ratelimit

import (
	"hash/maphash"
	"net"
	"net/netip"
	"sync"
	"time"
)

// slots is the number of buckets. Keys share a bucket by a hash with a secret seed, so nobody can aim at the bucket
// of another and no flood of names can push one out.
const slots = 8192

// Limiter is token buckets: Burst tries at once, then one per Every.
type Limiter struct {
	burst float64
	every time.Duration
	now   func() time.Time
	seed  maphash.Seed

	mu      sync.Mutex
	buckets []bucket
}

type bucket struct {
	spent float64
	at    time.Time
}

// New makes a limiter that reads the time from now.
func New(burst int, every time.Duration, now func() time.Time) *Limiter {
	return &Limiter{
		burst: float64(burst), every: every, now: now, seed: maphash.MakeSeed(), buckets: make([]bucket, slots),
	}
}

// Take uses up one try of key and says whether there was one.
func (l *Limiter) Take(key string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.refilled(key)
	if b.spent+1 > l.burst {
		return false
	}
	b.spent++
	return true
}

// Allowed says whether key has a try left, without using it.
func (l *Limiter) Allowed(key string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.refilled(key).spent+1 <= l.burst
}

// GiveBack returns a try: it turned out to be no guess.
func (l *Limiter) GiveBack(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.refilled(key)
	b.spent = max(0, b.spent-1)
}

func (l *Limiter) refilled(key string) *bucket {
	b := &l.buckets[maphash.String(l.seed, key)%slots]
	now := l.now()
	if passed := now.Sub(b.at); passed > 0 {
		b.spent = max(0, b.spent-float64(passed)/float64(l.every))
	}
	b.at = now
	return b
}

// Address gives the key of a remote address: an IPv4 address, or the /64 that one IPv6 user has as a rule.
func Address(remote string) string {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		host = remote
	}
	a, err := netip.ParseAddr(host)
	if err != nil {
		return host
	}
	a = a.Unmap().WithZone("")
	if a.Is4() {
		return a.String()
	}
	p, err := a.Prefix(64)
	if err != nil {
		return a.String()
	}
	return p.String()
}
