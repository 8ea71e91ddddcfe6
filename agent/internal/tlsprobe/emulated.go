package tlsprobe

import (
	"bytes"

	"golang.org/x/arch/x86/x86asm"
)

// endbr64 marks where an indirect branch may land, and does nothing else. The kernel single-steps it.
var endbr64 = []byte{0xf3, 0x0f, 0x1e, 0xfa}

// emulated reports whether the kernel emulates the first instruction of code under a probe, which spares the program one
// single step (arch/x86/kernel/uprobes.c: push of a 64-bit register, nop, relative jmp, jcc and call, none with a prefix).
func emulated(code []byte) bool {
	inst, ok := decodeAt(code)
	if !ok {
		return false
	}
	first, second := code[0], byte(0)
	if inst.Len > 1 {
		second = code[1]
	}
	switch {
	case first >= 0x50 && first <= 0x57, first == 0x41 && second >= 0x50 && second <= 0x57:
		return inst.Op == x86asm.PUSH
	case first == 0x90:
		return inst.Len == 1
	case first == 0xe8, first == 0xe9, first == 0xeb, first >= 0x70 && first <= 0x7f, first == 0x0f && second >= 0x80 && second <= 0x8f:
		return true
	}
	return false
}

// decodeAt decodes the first instruction. The decoder calls the beginning of one that is cut off a prefix without an operation.
func decodeAt(code []byte) (x86asm.Inst, bool) {
	inst, err := x86asm.Decode(code, 64)
	return inst, err == nil && inst.Op != 0 && inst.Len <= len(code)
}

// entry is how far from a function's start its probe goes, and whether the instruction there is emulated. Behind an endbr64
// nothing has changed but the instruction pointer, so that is as good a place as the start.
func entry(code []byte) (skip uint64, cheap bool) {
	if rest, ok := bytes.CutPrefix(code, endbr64); ok && emulated(rest) {
		return uint64(len(endbr64)), true
	}
	return 0, emulated(code)
}

// firstInstruction names what a function begins with, for people.
func firstInstruction(code []byte) string {
	if rest, ok := bytes.CutPrefix(code, endbr64); ok {
		code = rest
	}
	inst, ok := decodeAt(code)
	if !ok {
		return "an unknown instruction"
	}
	return "`" + x86asm.GNUSyntax(inst, 0, nil) + "`"
}
