package probe

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/features"
)

// again ends the name of a pair's second program: bpf/capture/again.h.
const again = "_again"

// skips tells whether the kernel preempts threads within programs of tracepoints: it then skips the program for others of the
// processor meanwhile.
var skips = sync.OnceValue(func() bool {
	version, err := features.LinuxVersionCode()
	return err == nil && version>>16 >= 7
})

// seconds are the second programs of pairs, by where they are attached: behind the first ones, before them, or with those that count
// what io_uring moves. None where no run is skipped.
type seconds struct{ behind, before, uring []*ebpf.Program }

func (s *seconds) add(spec *ebpf.ProgramSpec, program *ebpf.Program) {
	list := &s.behind
	if _, ok := uringPrograms[strings.TrimSuffix(spec.Name, again)]; ok {
		list = &s.uring
	} else if spec.AttachType == ebpf.AttachTraceFExit {
		// What is attached last runs first there.
		list = &s.before
	}
	*list = append(*list, program)
}

func (s *seconds) all() []*ebpf.Program { return slices.Concat(s.behind, s.before, s.uring) }

// pair leaves the second programs of pairs in the spec if that is wanted and they have a first one, and gives their names in order.
func pair(spec *ebpf.CollectionSpec, wanted bool) ([]string, error) {
	var names []string
	for name := range spec.Programs {
		first, ok := strings.CutSuffix(name, again)
		if !ok {
			continue
		}
		if spec.Programs[first] == nil || !wanted {
			delete(spec.Programs, name)
			continue
		}
		names = append(names, name)
	}
	// Older kernels' programs are none of a pair.
	if preempted := spec.Variables["preempted"]; preempted != nil {
		if err := preempted.Set(uint8(min(len(names), 1))); err != nil {
			return nil, fmt.Errorf("telling the BPF programs that they are pairs: %w", err)
		}
	}
	slices.Sort(names)
	return names, nil
}
