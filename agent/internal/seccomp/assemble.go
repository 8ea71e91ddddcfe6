package seccomp

import (
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/elastic/go-seccomp-bpf/arch"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// Offsets in struct seccomp_data.
const (
	offNumber, offArch, offArgs = 0, 4, 16
	// x32 calls have other numbers, by which the list could be passed by.
	x32 = 0x4000_0000
)

// assemble makes the kernel's filter. Each call has a block of its own that ends in an answer: what a condition loads is never
// compared with the number of another call.
func assemble(rules map[string][]rule) ([]bpf.Instruction, error) {
	here, err := arch.GetInfo("")
	if err != nil {
		return nil, fmt.Errorf("seccomp: %w", err)
	}
	program := []bpf.Instruction{
		bpf.LoadAbsolute{Off: offArch, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(here.ID), SkipTrue: 1},
		bpf.RetConstant{Val: refuse},
		bpf.LoadAbsolute{Off: offNumber, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpLessThan, Val: x32, SkipTrue: 1},
		bpf.RetConstant{Val: refuse},
	}
	for _, name := range slices.Sorted(maps.Keys(rules)) {
		number, known := here.SyscallNames[name]
		if !known {
			// As runtimes do: a call that this architecture does not have needs no leave.
			continue
		}
		block := blockOf(rules[name])
		if len(block) > math.MaxUint8 {
			return nil, fmt.Errorf("seccomp profile: %s has too many conditions", name)
		}
		program = append(program, bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(number), SkipFalse: uint8(len(block))})
		program = append(program, block...)
	}
	return append(program, bpf.RetConstant{Val: refuse}), nil
}

func blockOf(rules []rule) []bpf.Instruction {
	var block []bpf.Instruction
	for _, r := range rules {
		var one []bpf.Instruction
		// From the end, since each condition jumps over all that follow.
		one = append(one, bpf.RetConstant{Val: r.answer})
		for _, c := range slices.Backward(r.conditions) {
			for _, half := range []struct {
				off        uint32
				mask, bits uint32
			}{{0, uint32(c.mask), uint32(c.bits)}, {4, uint32(c.mask >> 32), uint32(c.bits >> 32)}} {
				check := []bpf.Instruction{
					bpf.LoadAbsolute{Off: offArgs + 8*c.index + half.off, Size: 4},
					bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: half.mask},
					bpf.JumpIf{Cond: bpf.JumpEqual, Val: half.bits, SkipFalse: uint8(min(len(one), math.MaxUint8))},
				}
				one = append(check, one...)
			}
		}
		block = append(block, one...)
	}
	if len(rules[len(rules)-1].conditions) > 0 {
		block = append(block, bpf.RetConstant{Val: refuse})
	}
	return block
}

// filter is what the kernel takes.
func filter(text []byte, beforeStart bool) ([]unix.SockFilter, error) {
	rules, err := parse(text, beforeStart)
	if err != nil {
		return nil, err
	}
	program, err := assemble(rules)
	if err != nil {
		return nil, err
	}
	raw, err := bpf.Assemble(program)
	if err != nil {
		return nil, fmt.Errorf("assembling the seccomp profile: %w", err)
	}
	list := make([]unix.SockFilter, 0, len(raw))
	for _, i := range raw {
		list = append(list, unix.SockFilter{Code: i.Op, Jt: i.Jt, Jf: i.Jf, K: i.K})
	}
	return list, nil
}
