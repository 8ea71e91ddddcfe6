package behaviour

import "time"

const (
	// remembered is how long an exchange is known at least.
	remembered = 60 * time.Second
	// mostRemembered bounds one generation; beyond it the older one goes early.
	mostRemembered = 200_000
)

// seen remembers exchanges, so that a fact that is sent again counts once.
type seen struct {
	young, old map[[idSize]byte]struct{}
	turned     time.Time
}

func newSeen() *seen { return &seen{young: map[[idSize]byte]struct{}{}} }

// add remembers an exchange. False: it is known.
func (s *seen) add(id [idSize]byte, now time.Time) bool {
	if now.Sub(s.turned) >= remembered || len(s.young) >= mostRemembered {
		s.old, s.young, s.turned = s.young, map[[idSize]byte]struct{}{}, now
	}
	_, young := s.young[id]
	_, old := s.old[id]
	if young || old {
		return false
	}
	s.young[id] = struct{}{}
	return true
}
