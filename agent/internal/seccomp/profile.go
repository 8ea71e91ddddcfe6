// Package seccomp lets a process give up the system calls that it never makes. It reads the profile that container runtimes
// read too, so that there is one list.
package seccomp

import (
	"encoding/json"
	"fmt"
	"math"

	"golang.org/x/sys/unix"
)

// profile is the part of the format of OCI runtimes that is used here.
type profile struct {
	DefaultAction string  `json:"defaultAction"`
	Syscalls      []group `json:"syscalls"`
}

type group struct {
	// Comment is for people; runtimes do not read it.
	Comment string   `json:"comment"`
	Names   []string `json:"names"`
	Action  string   `json:"action"`
	// ErrnoRet is what a refused call answers; default EPERM.
	ErrnoRet *uint16 `json:"errnoRet"`
	Args     []arg   `json:"args"`
	// BeforeStart: what a container runtime needs to start the program under the profile. The program itself gives it up.
	BeforeStart bool `json:"x-beforeStart"`
}

type arg struct {
	Index    uint32 `json:"index"`
	Value    uint64 `json:"value"`
	ValueTwo uint64 `json:"valueTwo"`
	Op       string `json:"op"`
}

// rule holds if all conditions do; it then says what the kernel is to answer.
type rule struct {
	conditions []condition
	answer     uint32
}

// condition: the argument's bits that are in the mask are these.
type condition struct {
	index      uint32
	mask, bits uint64
}

const refuse = unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)

// parse reads the rules per system call, without what is only for a runtime, or with it. As for runtimes, a rule without
// conditions overrides all others, and any of several will do.
func parse(text []byte, beforeStart bool) (map[string][]rule, error) {
	var p profile
	if err := json.Unmarshal(text, &p); err != nil {
		return nil, fmt.Errorf("reading the seccomp profile: %w", err)
	}
	if p.DefaultAction != "SCMP_ACT_ERRNO" {
		return nil, fmt.Errorf("seccomp profile: default action %q: only a list of what is allowed is read, over SCMP_ACT_ERRNO", p.DefaultAction)
	}
	rules := map[string][]rule{}
	for _, g := range p.Syscalls {
		if g.BeforeStart && !beforeStart {
			continue
		}
		r, err := g.rule()
		if err != nil {
			return nil, fmt.Errorf("seccomp profile, %q: %w", g.Comment, err)
		}
		for _, name := range g.Names {
			switch old := rules[name]; {
			case len(r.conditions) == 0:
				rules[name] = []rule{r}
			case len(old) > 0 && len(old[0].conditions) == 0:
			default:
				rules[name] = append(old, r)
			}
		}
	}
	return rules, nil
}

func (g group) rule() (rule, error) {
	var r rule
	switch g.Action {
	case "SCMP_ACT_ALLOW":
		r.answer = unix.SECCOMP_RET_ALLOW
	case "SCMP_ACT_ERRNO":
		r.answer = refuse
		if g.ErrnoRet != nil {
			r.answer = unix.SECCOMP_RET_ERRNO | uint32(*g.ErrnoRet)
		}
	default:
		return r, fmt.Errorf("action %q is neither SCMP_ACT_ALLOW nor SCMP_ACT_ERRNO", g.Action)
	}
	for _, a := range g.Args {
		c := condition{index: a.Index}
		switch a.Op {
		case "SCMP_CMP_EQ":
			c.mask, c.bits = math.MaxUint64, a.Value
		case "SCMP_CMP_MASKED_EQ":
			c.mask, c.bits = a.Value, a.ValueTwo
		default:
			return r, fmt.Errorf("comparison %q is neither SCMP_CMP_EQ nor SCMP_CMP_MASKED_EQ", a.Op)
		}
		if a.Index > 5 || c.bits&^c.mask != 0 {
			return r, fmt.Errorf("a condition on argument %d never holds", a.Index)
		}
		r.conditions = append(r.conditions, c)
	}
	return r, nil
}
