package probe

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"sync"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
)

// Backends: where the bytes of sockets are taken. All give the same events.
const (
	// BackendAuto is sockets where the kernel has what they need, and else calls.
	BackendAuto = "auto"
	// BackendSockets is where the kernel tells what its socket layer moved: calls that move none pay nothing.
	BackendSockets = "sockets"
	// BackendCalls is the exit of system calls: all of the host's pass by the program.
	BackendCalls = "calls"
	// BackendFunctions is the exit of the kernel's functions that move sockets' bytes. What io_uring moves is seen too.
	BackendFunctions = "functions"
)

// socketPrograms are the programs that only one backend has. Of optional ones, each function is looked for by name: those that a
// kernel lacks have nothing to see there.
var socketPrograms = map[string]struct{ required, optional map[string]string }{
	BackendSockets: {required: map[string]string{
		"sl_socket_sent": "", "sl_socket_received": "", "sl_area": "",
	}},
	BackendCalls: {required: map[string]string{"sl_sys_exit": ""}},
	BackendFunctions: {
		// Of both families, or bytes would pass unseen.
		required: map[string]string{
			"sl_sendmsg": "inet_sendmsg", "sl_recvmsg": "inet_recvmsg", "sl_sendmsg6": "inet6_sendmsg", "sl_recvmsg6": "inet6_recvmsg",
		},
		optional: map[string]string{"sl_sendpage": "inet_sendpage", "sl_splice_read": "tcp_splice_read", "sl_mmap": "vm_mmap_pgoff"},
	},
}

func checkBackend(name string) error {
	switch name {
	case "", BackendAuto, BackendSockets, BackendCalls, BackendFunctions:
		return nil
	}
	return fmt.Errorf("capture backend %q: want %s, %s, %s or %s", name, BackendAuto, BackendSockets, BackendCalls, BackendFunctions)
}

// choose gives the backend for what a configuration asks for.
func choose(want string) (string, error) {
	if err := checkBackend(want); err != nil {
		return "", err
	}
	switch {
	case want == BackendSockets && !hasSockets():
		return "", errors.New("capture backend sockets: this kernel does not tell what its sockets move (Linux 6.5 does): use auto or calls")
	case want != "" && want != BackendAuto:
		return want, nil
	case hasSockets():
		return BackendSockets, nil
	}
	return BackendCalls, nil
}

// hasSockets tells whether that backend can be used. What sendfile and splice send is told of by the function named here only.
var hasSockets = sync.OnceValue(func() bool {
	return modern() && hasTracepoint("sock_send_length") && hasTracepoint("sock_recv_length") && hasTracepoint("vm_unmapped_area") &&
		hasFunction("splice_to_socket")
})

// hasTracepoint tells whether the running kernel has it, with arguments that BPF may read.
func hasTracepoint(name string) bool {
	kernel, err := btf.LoadKernelSpec()
	if err != nil {
		return false
	}
	var typedef *btf.Typedef
	return kernel.TypeByName("btf_trace_"+name, &typedef) == nil
}

// tryFunctions loads and attaches the programs of that backend once, with nothing to mirror: what counts is whether that works,
// not which version the kernel has.
var tryFunctions = sync.OnceValue(func() error {
	cfg := DefaultConfig()
	cfg.RingBytes = uint32(os.Getpagesize())
	live, err := load(cfg, BackendFunctions, settings{Request: 1, Response: 1, WakeAt: cfg.RingBytes})
	if err != nil {
		return err
	}
	return errors.Join(live.attach(), live.close())
})

// only leaves a backend's programs in the spec, and gives their names in order.
func only(spec *ebpf.CollectionSpec, backend string) ([]string, error) {
	own := maps.Clone(socketPrograms[backend].required)
	for program, function := range socketPrograms[backend].optional {
		if hasFunction(function) {
			own[program] = function
		}
	}
	for _, list := range socketPrograms {
		for _, all := range []map[string]string{list.required, list.optional} {
			for program := range all {
				if _, ok := own[program]; !ok {
					delete(spec.Programs, program)
				}
			}
		}
	}
	functions := uint8(0)
	if backend == BackendFunctions {
		functions = 1
	}
	if err := spec.Variables["functions"].Set(functions); err != nil {
		return nil, fmt.Errorf("telling the BPF programs their backend: %w", err)
	}
	return slices.Sorted(maps.Keys(own)), nil
}

func hasFunction(name string) bool {
	kernel, err := btf.LoadKernelSpec()
	if err != nil {
		return false
	}
	var function *btf.Func
	return kernel.TypeByName(name, &function) == nil
}

// Backend is where bytes of sockets are taken at the moment; "" while nothing is mirrored.
func (p *Probe) Backend() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.live == nil {
		return ""
	}
	return p.live.backend
}

// where says it in words.
func (l *loaded) where() string {
	switch l.backend {
	case BackendSockets:
		return "where the kernel tells what its sockets moved (tp_btf)"
	case BackendFunctions:
		return "at the exit of functions (fexit)"
	}
	return "at the exit of system calls (tp_btf)"
}
