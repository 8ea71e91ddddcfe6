package budget

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// machine is the thermostat without a clock and a world.
type machine struct {
	cfg     Config
	ceiling Ceiling
	ladder  []rung
	step    int
	// cause of the last step down.
	cause string

	// samples of the CPU time since the last step, oldest first; no more than Recovery.
	samples []sample
	// quiet is since when the ring was under no pressure.
	quiet time.Time
	lost  uint64
	seen  map[uint32]uint64

	shares map[uint32]float64
}

type sample struct {
	at  time.Time
	cpu time.Duration
}

type inputs struct {
	now       time.Time
	cpu       time.Duration
	lost      uint64
	fill      float64
	exchanges map[uint32]uint64
}

const (
	// full is the part of the ring beyond which it is taken to be running full: at a quarter the reader is woken.
	full = 0.5
	// far over its share it goes down by a whole class: halving bodies does not help against a flood of small requests.
	far = 2
	// back to what it may take at most before it takes a step back: about what a step adds.
	back = 0.5
)

func newMachine(cfg Config, c Ceiling) machine {
	return machine{cfg: cfg, ceiling: c, ladder: ladder(c)}
}

// look takes one look's numbers and tells whether the state changed.
func (m *machine) look(in inputs) bool {
	if len(m.samples) == 0 && m.quiet.IsZero() {
		// The first look: what was before is not known.
		m.lost, m.quiet, m.seen = in.lost, in.now, in.exchanges
	}
	before := m.step
	m.sample(in)
	lost := in.lost - min(in.lost, m.lost)
	m.lost = in.lost
	switch {
	case lost > 0:
		m.quiet = in.now
		m.down(in, m.step+1, fmt.Sprintf("the ring had no room for %d records", lost))
	case in.fill > full:
		m.quiet = in.now
		m.down(in, m.step+1, fmt.Sprintf("the ring was %.0f %% full", 100*in.fill))
	default:
		m.heat(in)
	}
	return m.share(in) || m.step != before
}

// heat acts on the CPU share.
func (m *machine) heat(in inputs) {
	if used, ok := m.mean(in.now, time.Duration(m.cfg.Window)); ok && m.cfg.CPU > 0 && used > m.cfg.CPU {
		to := m.step + 1
		if used > far*m.cfg.CPU {
			to = m.beyond(m.cfg.CPU / used)
		}
		m.down(in, to, fmt.Sprintf("the agent took %.2f of a core and may take %.2f", used, m.cfg.CPU))
		return
	}
	used, ok := m.mean(in.now, time.Duration(m.cfg.Recovery))
	cool := m.cfg.CPU == 0 || used < back*m.cfg.CPU
	if ok && cool && m.step > 0 && in.now.Sub(m.quiet) >= time.Duration(m.cfg.Recovery) {
		m.move(in, m.step-1)
	}
}

// beyond is the first step that sheds of another class than this one and the tails of bodies. What is left out costs nothing: of
// exchanges, it keeps no more than the part that may be taken, in one step.
func (m *machine) beyond(part float64) int {
	now := m.ladder[m.step]
	for i, r := range m.ladder {
		switch {
		case r.class < exchanges && r.class > max(now.class, bodyTail):
			return i
		case r.class == exchanges && i > m.step && (i == len(m.ladder)-1 || m.ladder[i+1].keep < now.keep*part):
			return i
		}
	}
	return m.step + 1
}

func (m *machine) down(in inputs, to int, cause string) {
	if m.step < len(m.ladder)-1 {
		m.cause = cause
		m.move(in, min(to, len(m.ladder)-1))
	}
}

// move starts to measure anew: what was before says nothing about this step.
func (m *machine) move(in inputs, to int) {
	m.step = to
	m.samples = append(m.samples[:0], sample{in.now, in.cpu})
}

func (m *machine) sample(in inputs) {
	m.samples = append(m.samples, sample{in.now, in.cpu})
	for len(m.samples) > 1 && in.now.Sub(m.samples[1].at) >= time.Duration(m.cfg.Recovery) {
		m.samples = m.samples[1:]
	}
}

// mean is the share of a core over the last `over`; not known before that time has passed since the last step.
func (m *machine) mean(now time.Time, over time.Duration) (float64, bool) {
	last := m.samples[len(m.samples)-1]
	for _, s := range slices.Backward(m.samples) {
		if took := now.Sub(s.at); took >= over && took > 0 {
			return float64(last.cpu-s.cpu) / float64(took), true
		}
	}
	return 0, false
}

// share says how many exchanges each process keeps, where the step asks for it.
func (m *machine) share(in inputs) bool {
	began := map[uint32]uint64{}
	for pid, n := range in.exchanges {
		if more := n - min(n, m.seen[pid]); more > 0 {
			began[pid] = more
		}
	}
	m.seen = in.exchanges
	next := fair(began, m.ladder[m.step].keep)
	if maps.Equal(next, m.shares) {
		return false
	}
	m.shares = next
	return true
}

// setCeiling keeps what was shed at least: a policy that allows more is no reason to copy more now.
func (m *machine) setCeiling(c Ceiling) {
	at := m.ladder[m.step]
	m.ceiling, m.ladder = c, ladder(c)
	if m.step == 0 {
		return
	}
	m.step = len(m.ladder) - 1
	for i, r := range m.ladder {
		if r.class > at.class || r.class == at.class && r.request <= at.request && r.response <= at.response && r.keep <= at.keep {
			m.step = i
			return
		}
	}
}

func (m *machine) state() State {
	r := m.ladder[m.step]
	s := State{Step: m.step, Request: r.request, Response: r.response, Shares: m.shares}
	if m.step > 0 {
		s.Text = r.text(m.ceiling) + ", since " + m.cause
	}
	return s
}
