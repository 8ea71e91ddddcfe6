package tlsprobe

import (
	"bytes"
	"errors"

	"golang.org/x/arch/x86/x86asm"
)

// Bounds of one walk. The wrappers have 5 to 40 instructions before their first call.
const (
	maxSteps    = 512
	maxFunction = 4096
	maxCalls    = 32
)

var errNotUnderstood = errors.New("its code is not understood")

// value is what a register is known to hold.
type value struct {
	kind kind
	// n is the argument's number, or the distance from the stack pointer at entry.
	n int64
}

type kind uint8

const (
	unknown kind = iota
	argument
	// narrow is an argument of which only the lower 32 bits were kept: how an int becomes a size.
	narrow
	stack
	zero
)

// registers are numbered as instructions number them.
type registers [16]value

const rsp, rbp = 4, 5

// passed are the registers that carry the arguments, in order: rdi, rsi, rdx, rcx, r8.
var passed = [...]int{7, 6, 2, 1, 8}

// clobbered are those that a callee need not keep.
var clobbered = [...]int{0, 1, 2, 6, 7, 8, 9, 10, 11}

// call is a call, or a jump out of the function, and what is known there.
type call struct {
	at, next uint64
	// target is where a direct one goes. Code without a linkage table (-fno-plt, as Alpine builds) goes by a slot of the global
	// offset table.
	target, slot uint64
	regs         registers
	tail         bool
}

// code is a function under study.
type code struct {
	start uint64
	text  []byte
}

// firstCalls follows every path of a function to the first call on it.
func (c code) firstCalls() ([]call, error) {
	var regs registers
	for i, r := range passed {
		regs[r] = value{argument, int64(i)}
	}
	regs[rsp] = value{stack, 0}
	var calls []call
	err := c.walk(c.start, regs, func(found call) { calls = append(calls, found) }, nil)
	if len(calls) > maxCalls {
		err = errNotUnderstood
	}
	return calls, err
}

// reads reports whether a path from behind a call loads a place on the stack, before the next call.
func (c code) reads(after call, slot int64) bool {
	regs := after.regs
	for _, r := range clobbered {
		regs[r] = value{}
	}
	loaded := false
	_ = c.walk(after.next, regs, func(call) {}, func(m x86asm.Mem, regs *registers) {
		base, ok := number(m.Base)
		if ok && m.Index == 0 && m.Segment == 0 && regs[base] == (value{stack, slot - m.Disp}) {
			loaded = true
		}
	})
	return loaded
}

// branch is a path that is yet to be followed.
type branch struct {
	pc   uint64
	regs registers
}

// walk follows all paths from a place, each to its end or its first call. An instruction that it does not know ends the walk
// with an error: what follows could be anything.
func (c code) walk(from uint64, regs registers, found func(call), loads func(x86asm.Mem, *registers)) error {
	paths := []branch{{from, regs}}
	for steps := 0; len(paths) > 0; steps++ {
		if steps == maxSteps {
			return errNotUnderstood
		}
		p := &paths[len(paths)-1]
		if p.pc < c.start || p.pc-c.start >= uint64(len(c.text)) {
			return errNotUnderstood
		}
		text := c.text[p.pc-c.start:]
		if bytes.HasPrefix(text, endbr64) {
			p.pc += uint64(len(endbr64))
			continue
		}
		inst, ok := decodeAt(text)
		if !ok {
			return errNotUnderstood
		}
		next := p.pc + uint64(inst.Len)
		target, direct := relative(inst, next)
		inside := direct && target >= c.start && target-c.start < uint64(len(c.text))
		switch {
		case inst.Op == x86asm.CALL, inst.Op == x86asm.JMP && !inside:
			if slot, known := indirect(inst, next); direct || known {
				found(call{at: p.pc, next: next, target: target, slot: slot, regs: p.regs, tail: inst.Op == x86asm.JMP})
			}
			paths = paths[:len(paths)-1]
		case inst.Op == x86asm.JMP:
			p.pc = target
		case inst.Op == x86asm.RET, inst.Op == x86asm.UD2, inst.Op == x86asm.HLT, inst.Op == x86asm.INT:
			paths = paths[:len(paths)-1]
		case inst.Op == x86asm.LOOP, inst.Op == x86asm.LOOPE, inst.Op == x86asm.LOOPNE, inst.Op == x86asm.XBEGIN:
			return errNotUnderstood
		case direct:
			// A conditional jump. Out of the function lies what the compiler holds for unlikely: errors, not the call sought.
			p.pc = next
			if inside {
				paths = append(paths, branch{target, p.regs})
			}
		default:
			if loads != nil {
				if m, ok := loaded(inst); ok {
					loads(m, &p.regs)
				}
			}
			if !p.regs.apply(inst) {
				return errNotUnderstood
			}
			p.pc = next
		}
	}
	return nil
}

// relative is where a direct jump or call goes.
func relative(inst x86asm.Inst, next uint64) (uint64, bool) {
	rel, ok := inst.Args[0].(x86asm.Rel)
	if !ok {
		return 0, false
	}
	return next + uint64(int64(rel)), true
}

// indirect is where a jump or call reads its target from, if that is one place.
func indirect(inst x86asm.Inst, next uint64) (uint64, bool) {
	m, ok := inst.Args[0].(x86asm.Mem)
	if !ok || m.Base != x86asm.RIP {
		return 0, false
	}
	return next + uint64(m.Disp), true
}

// loaded is the memory from which an instruction fills a register.
func loaded(inst x86asm.Inst) (x86asm.Mem, bool) {
	to, ok := inst.Args[0].(x86asm.Reg)
	if _, whole := number(to); !ok || !whole || inst.Op == x86asm.LEA {
		return x86asm.Mem{}, false
	}
	m, ok := inst.Args[1].(x86asm.Mem)
	return m, ok
}

// number is that of a 32- or 64-bit register.
func number(r x86asm.Reg) (int, bool) {
	switch {
	case r >= x86asm.EAX && r <= x86asm.R15L:
		return int(r - x86asm.EAX), true
	case r >= x86asm.RAX && r <= x86asm.R15:
		return int(r - x86asm.RAX), true
	}
	return 0, false
}

// stub reports whether code is a stub of the procedure linkage table, and the slot that it jumps by.
func (c code) stub() (slot uint64, ok bool) {
	skip := 0
	if bytes.HasPrefix(c.text, endbr64) {
		skip = len(endbr64)
	}
	inst, ok := decodeAt(c.text[skip:])
	if !ok || inst.Op != x86asm.JMP {
		return 0, false
	}
	return indirect(inst, c.start+uint64(skip+inst.Len))
}
