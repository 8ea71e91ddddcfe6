// Package privilege knows which capabilities the agent needs, and gives up all others.
package privilege

import (
	"errors"
	"sync"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/features"
	"golang.org/x/sys/unix"
)

// Capability is one, and why it is wanted.
type Capability struct {
	Number uint
	Name   string
	// Use is what the agent does with it, Without what it cannot do or see if it has it not.
	Use, Without string
	// Required: nothing is mirrored without it.
	Required bool
}

var (
	base = []Capability{
		{unix.CAP_BPF, "CAP_BPF", "make maps and load programs", "nothing can be mirrored", true},
		{unix.CAP_PERFMON, "CAP_PERFMON", "attach programs that trace", "nothing can be mirrored", true},
		{unix.CAP_SYS_PTRACE, "CAP_SYS_PTRACE", "see what program another user's process runs", "no process of another user can be selected", true},
		{unix.CAP_DAC_READ_SEARCH, "CAP_DAC_READ_SEARCH", "list descriptors of other users' processes, open programs that not everyone may read",
			"filters by port find no process of another user, connections older than the agent may be taken for a client's, " +
				"and TLS in programs that not everyone may read stays unseen", false},
		{unix.CAP_CHECKPOINT_RESTORE, "CAP_CHECKPOINT_RESTORE", "open libraries that are in use but were replaced on disk",
			"TLS of processes whose library was replaced after their start stays unseen until they restart", false},
	}
	perfUprobes = Capability{unix.CAP_SYS_ADMIN, "CAP_SYS_ADMIN", "attach to TLS libraries on kernels before 6.6, which want it since the fix of CVE-2025-38466",
		"TLS stays unseen", false}
)

// Wanted are the capabilities that an agent can use on this kernel.
func Wanted() []Capability {
	list := append([]Capability(nil), base...)
	if NeedsAdmin() {
		list = append(list, perfUprobes)
	}
	return list
}

// NeedsAdmin tells whether uprobes can only be attached through perf events, and these need CAP_SYS_ADMIN. What counts is what
// the kernel does, not its version: the fix was ported back to many.
var NeedsAdmin = sync.OnceValue(func() bool {
	if !errors.Is(features.HaveBPFLinkUprobeMulti(), ebpf.ErrNotSupported) {
		return false
	}
	return perfUprobeRefused()
})

// Missing are those of the list that this process does not have in effect.
func Missing(list []Capability) ([]Capability, error) {
	have, err := get()
	if err != nil {
		return nil, err
	}
	var missing []Capability
	for _, c := range list {
		if have.effective&(1<<c.Number) == 0 {
			missing = append(missing, c)
		}
	}
	return missing, nil
}
