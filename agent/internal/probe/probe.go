package probe

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sidelight/sidelight/internal/logkey"
)

// Config is the probe's own bounds.
type Config struct {
	// Backend is BackendAuto, or one of the others to have that one or none.
	Backend string
	// RequestBudget and ResponseBudget are the bytes copied per run of one direction.
	RequestBudget, ResponseBudget uint32
	// RingBytes is the size of the ring, a power of two.
	RingBytes uint32
	// Poll is how often the ring is read; earlier when it is a quarter full.
	Poll time.Duration
	// Nap is how long the reader sleeps when nothing comes; the next record wakes it.
	Nap time.Duration
	// paired attaches second programs also where no run is skipped.
	paired bool
}

// maxBudget is what one call's records can hold: HUGE × CHUNKS in bpf/capture/emit.h.
const maxBudget = 1 << 20

// DefaultConfig copies 64 KiB of a request and the head of a response.
func DefaultConfig() Config {
	return Config{Backend: BackendAuto, RequestBudget: 64 << 10, ResponseBudget: 4 << 10, RingBytes: 16 << 20, Poll: 5 * time.Millisecond, Nap: 50 * time.Millisecond}
}

// Validate says what is allowed.
func (c Config) Validate() error {
	var problems []error
	problems = append(problems, checkBackend(c.Backend), checkBudget("request", uint64(c.RequestBudget)), checkBudget("response", uint64(c.ResponseBudget)))
	if c.RingBytes < uint32(os.Getpagesize()) || c.RingBytes&(c.RingBytes-1) != 0 {
		problems = append(problems, fmt.Errorf("ring of %d bytes: want a power of two, at least a page", c.RingBytes))
	}
	if c.Poll <= 0 || c.Nap <= 0 {
		problems = append(problems, errors.New("ring poll and nap must be positive"))
	}
	return errors.Join(problems...)
}

func checkBudget(what string, n uint64) error {
	if n == 0 || n > maxBudget {
		return fmt.Errorf("%s budget %d: want 1 to %d bytes", what, n, maxBudget)
	}
	return nil
}

// Target is a process to mirror and the ports that it listens on.
type Target struct {
	Tgid  uint32
	Ports []uint16
}

// Probe holds the programs while there is something to mirror.
type Probe struct {
	cfg Config
	log *slog.Logger

	mu sync.Mutex
	// live is nil while nothing is selected.
	live *loaded
	set  settings
	// shares are the processes of which not all connections are taken, and how many of 2³².
	shares map[uint32]uint32
	// generation counts loads.
	generation uint64
	// past sums the counters of earlier loads.
	past Stats
	// readTo is the time up to which the ring was read; ended: it never will be again.
	readTo atomic.Uint64
	ended  bool
	// changed tells Run that live was swapped.
	changed chan struct{}
}

// New makes a probe that loads nothing until it has a target.
func New(cfg Config, log *slog.Logger) *Probe {
	set := settings{Request: cfg.RequestBudget, Response: cfg.ResponseBudget, WakeAt: cfg.RingBytes / 4}
	return &Probe{cfg: cfg, log: log, set: set, changed: make(chan struct{}, 1)}
}

// SetTargets makes exactly these processes, and the children that they get, mirrored. Programs are attached with the
// first target and gone with the last.
func (p *Probe) SetTargets(targets []Target) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(targets) == 0 {
		return p.unload()
	}
	if p.live == nil {
		backend, err := choose(p.cfg.Backend)
		if err != nil {
			return err
		}
		fresh, err := load(p.cfg, backend, p.set)
		if err != nil {
			return err
		}
		// Before the programs run: what listens decides what a connection seen first is.
		if err := fresh.target(targets); err != nil {
			return errors.Join(err, fresh.close())
		}
		if err := errors.Join(fresh.share(p.shares), fresh.attach()); err != nil {
			return errors.Join(err, fresh.close())
		}
		p.live = fresh
		p.generation++
		p.readTo.Store(Monotonic())
		p.log.Info("BPF programs attached", logkey.Count, len(targets))
		p.notify()
		return nil
	}
	return p.live.target(targets)
}

// CheckBudgets says what the programs can do.
func CheckBudgets(request, response uint64) error {
	return errors.Join(checkBudget("request", request), checkBudget("response", response))
}

// SetBudgets changes the bytes copied per run of one direction; shed says that they are below what was asked for. What the
// programs cannot do is refused.
func (p *Probe) SetBudgets(request, response uint64, shed bool) error {
	if err := CheckBudgets(request, response); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	set := p.set
	set.Request, set.Response, set.Shed = uint32(request), uint32(response), 0
	if shed {
		set.Shed = 1
	}
	if p.live != nil {
		if err := p.live.settings(set); err != nil {
			return err
		}
	}
	p.set = set
	return nil
}

// SetShares makes some processes' connections be left out: each that is named keeps this part of them, chosen by a hash, so that
// a connection is taken as a whole. It ends, with FlagShed, when it is left out from then on; when it is taken again it is another
// one, of which the beginning was not seen.
func (p *Probe) SetShares(shares map[uint32]float64) error {
	scaled := make(map[uint32]uint32, len(shares))
	for pid, share := range shares {
		scaled[pid] = uint32(min(max(share, 0), 1) * math.MaxUint32)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	set := p.set
	set.Sharing = uint32(min(1, len(scaled)))
	if p.live != nil {
		if err := errors.Join(p.live.share(scaled), p.live.settings(set)); err != nil {
			return err
		}
	}
	p.shares, p.set = scaled, set
	return nil
}

// Budgets are the bytes copied per run of one direction.
func (p *Probe) Budgets() (request, response uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return uint64(p.set.Request), uint64(p.set.Response)
}

// CountsIOUring tells whether this kernel lets bytes that io_uring moves be counted.
func CountsIOUring() bool {
	return hasURing()
}

// WatchIOUring counts, from now on, what a process moves by io_uring: it is not inspected. Functions see it: nothing is counted.
func (p *Probe) WatchIOUring(pid uint32) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.live == nil {
		return ErrNothingMirrored
	}
	return errors.Join(p.live.watchURing(p.set), p.live.mark(pid, targetURing))
}

// Drop mirrors a process no longer that the kernel began to mirror by itself, as with a child that became another program.
func (p *Probe) Drop(pid uint32) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.live == nil {
		return nil
	}
	return p.live.drop(pid)
}

// Fill is the part of the ring that is in use, 0 to 1.
func (p *Probe) Fill() float64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.live == nil {
		return 0
	}
	return float64(p.live.ring.waiting()) / float64(p.cfg.RingBytes)
}

// Usage is what is counted of a mirrored process.
func (p *Probe) Usage(pid uint32) Usage {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.live == nil {
		return Usage{}
	}
	return p.live.usage(pid)
}

// ReadUntil tells up to when, on the kernel's clock and not beyond now, all that the programs saw was handed on.
func (p *Probe) ReadUntil(now uint64) uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.live == nil && !p.ended {
		// Nothing is to be seen.
		return now
	}
	return min(now, p.readTo.Load())
}

// unload detaches everything; the caller holds the lock.
func (p *Probe) unload() error {
	if p.live == nil {
		return nil
	}
	p.past = p.live.stats(p.past)
	err := p.live.close()
	p.live = nil
	p.log.Info("nothing is selected: BPF programs detached")
	p.notify()
	return err
}

func (p *Probe) notify() {
	select {
	case p.changed <- struct{}{}:
	default:
	}
}

// Attached tells whether programs are in the kernel.
func (p *Probe) Attached() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.live != nil
}

// Stats sums the counters.
func (p *Probe) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.live == nil {
		return p.past
	}
	return p.live.stats(p.past)
}

// Run hands on every event and notice. It detaches everything when ctx ends.
func (p *Probe) Run(ctx context.Context, handlers Handlers) error {
	defer func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.ended = true; p.live == nil {
			p.readTo.Store(Monotonic())
		}
		if err := p.unload(); err != nil {
			p.log.Error("detaching", logkey.Error, err)
		}
	}()
	for {
		p.mu.Lock()
		live := p.live
		p.mu.Unlock()
		if live != nil {
			if err := p.read(ctx, live, handlers); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-p.changed:
		}
	}
}

// restless is how many empty looks the reader takes before it sleeps.
const restless = 5

// read drains one load's ring until it is closed or ctx ends. While records come it looks every few milliseconds, which is
// cheaper than to be woken for each; when none come it sleeps, and the next one wakes it.
func (p *Probe) read(ctx context.Context, live *loaded, handlers Handlers) error {
	if !live.ring.use() {
		return nil
	}
	defer live.ring.done()
	defer context.AfterFunc(ctx, live.ring.wake)()
	var event Event
	take := func(raw []byte) { p.take(raw, &event, handlers) }
	looked, empty, pause := Monotonic(), 0, p.cfg.Poll
	for {
		if err := live.ring.wait(pause); err != nil {
			return err
		}
		if live.ring.ended.Load() {
			return nil
		}
		n, all := live.ring.drain(take)
		if n > 0 {
			empty = 0
		}
		if all {
			p.readTo.Store(max(p.readTo.Load(), looked))
			looked = Monotonic()
		}
		handlers.Idle()
		if ctx.Err() != nil {
			return nil
		}
		empty++
		pause = p.cfg.Poll
		switch {
		case empty == restless:
			if err := live.sleep(); err != nil {
				return err
			}
			// What came just before nobody will wake us for.
			pause = 0
		case empty > restless:
			pause = p.cfg.Nap
		}
	}
}

// take hands on one record.
func (p *Probe) take(raw []byte, event *Event, handlers Handlers) {
	if n, ok := notice(raw); ok {
		if handlers.Notice != nil {
			handlers.Notice(n)
		}
		return
	}
	if err := decode(raw, event); err != nil {
		p.undecodable(err)
		return
	}
	handlers.Event(event)
	// Records of two processors may change places by less than this.
	p.readTo.Store(max(p.readTo.Load(), event.Mono-min(event.Mono, uint64(skew))))
}

// skew is far over what lies between taking room in the ring and reading the clock.
const skew = time.Millisecond

// Monotonic is the clock that the programs stamp events with.
func Monotonic() uint64 {
	var ts unix.Timespec
	// The clock always exists.
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts)
	return uint64(ts.Nano())
}

func (p *Probe) undecodable(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.past.Undecodable == 0 {
		p.log.Error("a record of the ring cannot be read", logkey.Error, err)
	}
	p.past.Undecodable++
}
