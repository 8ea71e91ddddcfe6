package probe

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/features"
	"github.com/cilium/ebpf/link"

	"github.com/sidelight/sidelight/agent/internal/tlsprobe"
)

// ErrNothingMirrored is the answer while no programs are loaded.
var ErrNothingMirrored = errors.New("nothing is mirrored")

// AttachLibrary puts probes into a library, for all processes that map this very file; only what mirrored ones do is looked at.
// They are gone when it is closed, or with the last target.
func (p *Probe) AttachLibrary(path string, sites []tlsprobe.Site) (io.Closer, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.live == nil {
		return nil, ErrNothingMirrored
	}
	return p.live.attachLibrary(path, sites)
}

// MarkTLS tells the programs that a process maps a library with probes.
func (p *Probe) MarkTLS(pid uint32) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.live == nil {
		return ErrNothingMirrored
	}
	return p.live.mark(pid, targetTLS)
}

// Generation counts how often programs were loaded: what was attached before the last time is gone.
func (p *Probe) Generation() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.generation
}

// library is the probes of one file.
type library struct {
	links  []link.Link
	closed atomic.Bool
}

// Close detaches them.
func (l *library) Close() error {
	var all []error
	if l.closed.Swap(true) {
		return nil
	}
	for _, attached := range l.links {
		all = append(all, attached.Close())
	}
	return errors.Join(all...)
}

// hook is a program and where it goes.
type hook struct {
	program *ebpf.Program
	offsets []uint64
	atEnd   bool
}

func (l *loaded) attachLibrary(path string, sites []tlsprobe.Site) (io.Closer, error) {
	executable, err := link.OpenExecutable(path)
	if err != nil {
		return nil, fmt.Errorf("opening the library: %w", err)
	}
	done := &library{}
	for _, h := range l.hooks(sites) {
		attached, err := h.attach(executable)
		done.links = append(done.links, attached...)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("attaching %s: %w", h.program, err), done.Close())
		}
	}
	l.libraries = append(slices.DeleteFunc(l.libraries, func(o *library) bool { return o.closed.Load() }), done)
	return done, nil
}

// hooks gathers sites by program. What a call moved is known at its end, so ends come first: an entry without an end would
// leave a call open, an end without an entry does nothing.
func (l *loaded) hooks(sites []tlsprobe.Site) []hook {
	o := &l.objects
	programs := map[tlsprobe.Role]*ebpf.Program{
		tlsprobe.Read: o.SlTLSRead, tlsprobe.ReadEx: o.SlTLSReadEx,
		tlsprobe.Write: o.SlTLSWrite, tlsprobe.WriteEx: o.SlTLSWriteEx, tlsprobe.WriteEx2: o.SlTLSWriteEx2,
		tlsprobe.Sendfile: o.SlTLSSendfile,
		tlsprobe.SetFD:    o.SlTLSForget, tlsprobe.SetBIO: o.SlTLSForget, tlsprobe.Free: o.SlTLSForget,
	}
	ends := hook{program: o.SlTLSReturn, atEnd: true}
	entries := map[*ebpf.Program]*hook{}
	var order []*hook
	for _, site := range sites {
		program := programs[site.Role]
		if program == nil {
			continue
		}
		if program != o.SlTLSForget {
			ends.offsets = append(ends.offsets, site.Offset)
		}
		if entries[program] == nil {
			entries[program] = &hook{program: program}
			order = append(order, entries[program])
		}
		entries[program].offsets = append(entries[program].offsets, site.Offset)
	}
	var list []hook
	if len(ends.offsets) > 0 {
		list = append(list, ends)
	}
	for _, h := range order {
		list = append(list, *h)
	}
	return list
}

// hasUprobeMulti tells whether one link may have many places.
var hasUprobeMulti = sync.OnceValue(func() bool { return features.HaveBPFLinkUprobeMulti() == nil })

// attach uses one link for all offsets where the kernel has it (6.6), and else one event each.
func (h hook) attach(executable *link.Executable) ([]link.Link, error) {
	multi, single := executable.UprobeMulti, executable.Uprobe
	if h.atEnd {
		multi, single = executable.UretprobeMulti, executable.Uretprobe
	}
	if hasUprobeMulti() {
		attached, err := multi(nil, h.program, &link.UprobeMultiOptions{Addresses: h.offsets})
		if err != nil {
			return nil, err
		}
		return []link.Link{attached}, nil
	}
	var done []link.Link
	for _, offset := range h.offsets {
		attached, err := single("", h.program, &link.UprobeOptions{Address: offset})
		if err != nil {
			return done, err
		}
		done = append(done, attached)
	}
	return done, nil
}
