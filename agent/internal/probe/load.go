package probe

import (
	"errors"
	"fmt"
	"maps"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/ringbuf"
	"github.com/cilium/ebpf/rlimit"
)

// loaded is the programs in the kernel.
type loaded struct {
	objects captureObjects
	links   []link.Link
	reader  *ringbuf.Reader
}

func load(cfg Config, budget [2]uint32) (*loaded, error) {
	// Kernels before 5.11 count maps against this limit; later ones do not care, and neither do we if it is refused.
	_ = rlimit.RemoveMemlock()
	spec, err := loadCapture()
	if err != nil {
		return nil, fmt.Errorf("reading the BPF object: %w", err)
	}
	spec.Maps["ring"].MaxEntries = cfg.RingBytes
	l := &loaded{}
	if err := spec.LoadAndAssign(&l.objects, nil); err != nil {
		return nil, fmt.Errorf("loading BPF programs: %w%s", err, seeCheck)
	}
	if l.reader, err = ringbuf.NewReader(l.objects.Ring); err != nil {
		return nil, errors.Join(fmt.Errorf("opening the ring buffer: %w", err), l.objects.Close())
	}
	if err := l.settings(cfg, budget); err != nil {
		return nil, errors.Join(err, l.close())
	}
	return l, nil
}

// settings writes struct settings of bpf/capture/events.h.
func (l *loaded) settings(cfg Config, budget [2]uint32) error {
	set := struct{ Request, Response, WakeAt, Pad uint32 }{budget[0], budget[1], cfg.RingBytes / 4, 0}
	if err := l.objects.Settings.Put(uint32(0), set); err != nil {
		return fmt.Errorf("writing the probe's settings: %w", err)
	}
	return nil
}

// attach starts the programs: those that keep state right first, the one that uses it last.
func (l *loaded) attach() error {
	for _, program := range []*ebpf.Program{l.objects.SlFork, l.objects.SlExit, l.objects.SlSetState, l.objects.SlSysExit} {
		attached, err := link.AttachTracing(link.TracingOptions{Program: program})
		if err != nil {
			return fmt.Errorf("attaching %s: %w%s", program, err, seeCheck)
		}
		l.links = append(l.links, attached)
	}
	return nil
}

// target brings the two maps to what is wanted. Children that the kernel added stay only if they are wanted too.
func (l *loaded) target(targets []Target) error {
	processes, ports := map[uint32]struct{}{}, map[uint16]struct{}{}
	for _, t := range targets {
		processes[t.Tgid] = struct{}{}
		for _, port := range t.Ports {
			ports[port] = struct{}{}
		}
	}
	return errors.Join(replace(l.objects.Targets, processes), replace(l.objects.Ports, ports))
}

func replace[K uint16 | uint32](m *ebpf.Map, want map[K]struct{}) error {
	var (
		key   K
		value uint8
		gone  []K
	)
	want = maps.Clone(want)
	entries := m.Iterate()
	for entries.Next(&key, &value) {
		if _, ok := want[key]; !ok {
			gone = append(gone, key)
		}
		delete(want, key)
	}
	if err := entries.Err(); err != nil {
		return fmt.Errorf("reading BPF map %s: %w", m, err)
	}
	for _, key := range gone {
		if err := m.Delete(key); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			return fmt.Errorf("changing BPF map %s: %w", m, err)
		}
	}
	for key := range want {
		if err := m.Put(key, uint8(1)); err != nil {
			return fmt.Errorf("changing BPF map %s: %w", m, err)
		}
	}
	return nil
}

// stats adds the counters of this load to `sum`.
func (l *loaded) stats(sum Stats) Stats {
	for i, counter := range sum.counters() {
		var perCPU []uint64
		if l.objects.Counters.Lookup(uint32(i), &perCPU) != nil {
			continue
		}
		for _, n := range perCPU {
			*counter += n
		}
	}
	return sum
}

func (l *loaded) close() error {
	var all []error
	for _, attached := range l.links {
		all = append(all, attached.Close())
	}
	all = append(all, l.reader.Close(), l.objects.Close())
	if err := errors.Join(all...); err != nil {
		return fmt.Errorf("detaching BPF programs: %w", err)
	}
	return nil
}
