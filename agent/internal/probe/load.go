package probe

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/features"
	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/rlimit"
)

// loaded is the programs in the kernel.
type loaded struct {
	objects objects
	// sockets are the programs of the backend.
	backend string
	sockets []*ebpf.Program
	again   seconds
	links   []link.Link
	ring    *ring
	// uring are the programs that count what io_uring moves; absent before Linux 6.3. uringLinks is set once they are attached.
	uring      []*ebpf.Program
	uringLinks []link.Link
	closing    atomic.Bool
	// changes counts those of the targets.
	changes uint64
	// libraries have probes; closing one twice does nothing.
	libraries []*library
}

// uringPrograms count bytes that no followed call moved, each with the tracepoint that it needs. The other backends leave none
// uncounted.
var uringPrograms = map[string]string{"sl_sent": "sock_send_length", "sl_received": "sock_recv_length"}

func load(cfg Config, backend string, set settings) (*loaded, error) {
	// Kernels before 5.11 count maps against this limit; later ones do not care, and neither do we if it is refused.
	_ = rlimit.RemoveMemlock()
	spec, err := object()
	if err != nil {
		return nil, fmt.Errorf("reading the BPF object: %w", err)
	}
	spec = spec.Copy()
	sockets, err := only(spec, backend)
	if err != nil {
		return nil, err
	}
	spec.Maps["ring"].MaxEntries = cfg.RingBytes
	for name, program := range spec.Programs {
		if program.Type == ebpf.Kprobe {
			// Older kernels do not look at it, and attach the programs one by one.
			program.AttachType = ebpf.AttachTraceUprobeMulti
		}
		if _, ok := uringPrograms[name]; ok && (!hasURing() || backend != BackendCalls) {
			delete(spec.Programs, name)
		}
	}
	again, err := pair(spec, cfg.paired || skips())
	if err != nil {
		return nil, err
	}
	l := &loaded{backend: backend}
	collection, err := ebpf.NewCollection(spec)
	if err != nil {
		return nil, fmt.Errorf("loading BPF programs: %w%s", err, seeCheck)
	}
	for _, name := range sockets {
		l.sockets = append(l.sockets, collection.DetachProgram(name))
	}
	for name := range uringPrograms {
		if program := collection.DetachProgram(name); program != nil {
			l.uring = append(l.uring, program)
		}
	}
	for _, name := range again {
		l.again.add(spec.Programs[name], collection.DetachProgram(name))
	}
	defer collection.Close()
	if err := collection.Assign(&l.objects); err != nil {
		return nil, fmt.Errorf("loading BPF programs: %w", err)
	}
	if l.ring, err = openRing(l.objects.Ring); err != nil {
		return nil, errors.Join(err, l.objects.Close())
	}
	if err := l.settings(set); err != nil {
		return nil, errors.Join(err, l.close())
	}
	return l, nil
}

// object is the programs for this kernel: read once, since an agent with little to mirror loads them again and again.
var object = sync.OnceValues(func() (*ebpf.CollectionSpec, error) {
	if modern() {
		return loadCaptureModern()
	}
	return loadCapture()
})

// modern tells whether the kernel has what the faster programs need (6.2).
func modern() bool {
	kernel, err := btf.LoadKernelSpec()
	if err != nil {
		return false
	}
	var cast *btf.Func
	return kernel.TypeByName("bpf_rdonly_cast", &cast) == nil && features.HaveProgramHelper(ebpf.SocketFilter, asm.FnLoop) == nil
}

// hasURing tells whether the running kernel tells what its socket layer moves, in arguments that BPF may read.
var hasURing = sync.OnceValue(func() bool {
	for _, tracepoint := range uringPrograms {
		if !hasTracepoint(tracepoint) {
			return false
		}
	}
	return true
})

// settings is struct settings of bpf/capture/events.h.
type settings struct {
	Request, Response, WakeAt, URing, Shed, Sharing uint32
}

func (l *loaded) settings(set settings) error {
	if len(l.uringLinks) > 0 {
		set.URing = 1
	}
	if err := l.objects.Settings.Put(uint32(0), set); err != nil {
		return fmt.Errorf("writing the probe's settings: %w", err)
	}
	return nil
}

// attach starts the programs: those that keep state right first, those that use it last, and so that the second one of a pair runs
// last. At tracepoints they run in the order in which they come, and at functions the other way round.
func (l *loaded) attach() error {
	for _, program := range slices.Concat(l.objects.always(), l.again.before, l.sockets, l.again.behind) {
		attached, err := link.AttachTracing(link.TracingOptions{Program: program})
		if err != nil {
			return fmt.Errorf("attaching %s: %w%s", program, err, seeCheck)
		}
		l.links = append(l.links, attached)
	}
	return nil
}

// watchURing begins to count what io_uring moves, the first time that a mirrored process is known to use it.
func (l *loaded) watchURing(set settings) error {
	if len(l.uringLinks) > 0 {
		return nil
	}
	for _, program := range slices.Concat(l.uring, l.again.uring) {
		attached, err := link.AttachTracing(link.TracingOptions{Program: program})
		if err != nil {
			return fmt.Errorf("attaching %s: %w", program, err)
		}
		l.uringLinks = append(l.uringLinks, attached)
	}
	return l.settings(set)
}

// Flags of a target: enum target_flags of bpf/capture/maps.h.
const (
	targetMirrored = 1 << iota
	targetTLS
	targetURing
)

// target brings the two maps to what is wanted. Children that the kernel added stay only if they are wanted too.
func (l *loaded) target(targets []Target) error {
	processes, ports := map[uint32]uint8{}, map[uint16]uint8{}
	for _, t := range targets {
		processes[t.Tgid] = targetMirrored
		for _, port := range t.Ports {
			ports[port] = 1
		}
	}
	return errors.Join(replace(l.objects.Targets, processes), l.changed(), replace(l.objects.Ports, ports), prune[uint32, usage](l.objects.Usages, processes))
}

// mark adds flags to a target; it is no error if it is none any more.
func (l *loaded) mark(pid uint32, flags uint8) error {
	var now uint8
	err := l.objects.Targets.Lookup(pid, &now)
	if err == nil && now&flags != flags {
		err = l.objects.Targets.Update(pid, now|flags, ebpf.UpdateExist)
	}
	if err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		return fmt.Errorf("changing BPF map %s: %w", l.objects.Targets, err)
	}
	return l.changed()
}

func (l *loaded) drop(pid uint32) error {
	if err := l.objects.Targets.Delete(pid); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		return fmt.Errorf("changing BPF map %s: %w", l.objects.Targets, err)
	}
	return l.changed()
}

// changed makes the programs look at the targets again.
func (l *loaded) changed() error {
	l.changes++
	if err := l.objects.ChangedByAgent.Set(l.changes); err != nil {
		return fmt.Errorf("telling the BPF programs that their targets changed: %w", err)
	}
	return nil
}

// share puts these shares into force.
func (l *loaded) share(shares map[uint32]uint32) error {
	if err := prune[uint32, uint32](l.objects.Shares, shares); err != nil {
		return err
	}
	for pid, share := range shares {
		if err := l.objects.Shares.Put(pid, share); err != nil {
			return fmt.Errorf("changing BPF map %s: %w", l.objects.Shares, err)
		}
	}
	return nil
}

// replace makes a map hold these keys. The values of those that it has already stay.
func replace[K uint16 | uint32](m *ebpf.Map, want map[K]uint8) error {
	if err := prune[K, uint8](m, want); err != nil {
		return err
	}
	for key, value := range want {
		if err := m.Update(key, value, ebpf.UpdateNoExist); err != nil && !errors.Is(err, ebpf.ErrKeyExist) {
			return fmt.Errorf("changing BPF map %s: %w", m, err)
		}
	}
	return nil
}

// prune leaves these keys in a map.
func prune[K uint16 | uint32, V, W any](m *ebpf.Map, want map[K]W) error {
	var (
		key   K
		value V
		gone  []K
	)
	entries := m.Iterate()
	for entries.Next(&key, &value) {
		if _, ok := want[key]; !ok {
			gone = append(gone, key)
		}
	}
	if err := entries.Err(); err != nil {
		return fmt.Errorf("reading BPF map %s: %w", m, err)
	}
	for _, key := range gone {
		if err := m.Delete(key); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			return fmt.Errorf("changing BPF map %s: %w", m, err)
		}
	}
	return nil
}

// stats adds the counters of this load to `sum`.
func (l *loaded) stats(sum Stats) Stats {
	var missed uint64
	takenBefore := sum.TakenAgain
	for i, counter := range sum.counters() {
		var perCPU []uint64
		if l.objects.Counters.Lookup(uint32(i), &perCPU) != nil {
			continue
		}
		for _, n := range perCPU {
			*counter += n
		}
	}
	for _, program := range slices.Concat(l.objects.all(), l.sockets, l.uring) {
		// Told since Linux 5.12.
		if stats, err := program.Stats(); err == nil {
			missed += stats.RecursionMisses
		}
	}
	sum.Missed += missed - min(missed, sum.TakenAgain-takenBefore)
	return sum
}

// usage is struct usage of bpf/capture/events.h.
type usage struct{ Undecrypted, Moved, Called, Shed, ShedBytes uint64 }

// usage reads what is counted of one process.
func (l *loaded) usage(pid uint32) Usage {
	var raw usage
	if l.objects.Usages.Lookup(pid, &raw) != nil {
		return Usage{}
	}
	// A call that began before both were counted together may stand on one side only.
	return Usage{Undecrypted: raw.Undecrypted, IOUring: raw.Moved - min(raw.Moved, raw.Called), Shed: raw.Shed, ShedBytes: raw.ShedBytes}
}

// sleep tells the programs to wake the reader with their next record.
func (l *loaded) sleep() error {
	if err := l.objects.Asleep.Put(uint32(0), uint32(1)); err != nil && !l.closing.Load() {
		return fmt.Errorf("writing BPF map %s: %w", l.objects.Asleep, err)
	}
	return nil
}

func (l *loaded) close() error {
	l.closing.Store(true)
	var all []error
	for _, attached := range append(l.links, l.uringLinks...) {
		all = append(all, attached.Close())
	}
	for _, attached := range l.libraries {
		all = append(all, attached.Close())
	}
	for _, program := range slices.Concat(l.uring, l.sockets, l.again.all()) {
		all = append(all, program.Close())
	}
	l.ring.close()
	all = append(all, l.objects.Close())
	if err := errors.Join(all...); err != nil {
		return fmt.Errorf("detaching BPF programs: %w", err)
	}
	return nil
}
