package tlsprobe

import "golang.org/x/arch/x86/x86asm"

// changes are instructions that write their first operand and nothing else but flags.
var changes = map[x86asm.Op]bool{
	x86asm.ADD: true, x86asm.SUB: true, x86asm.AND: true, x86asm.OR: true, x86asm.XOR: true, x86asm.ADC: true, x86asm.SBB: true,
	x86asm.SHL: true, x86asm.SHR: true, x86asm.SAR: true, x86asm.NEG: true, x86asm.NOT: true, x86asm.INC: true, x86asm.DEC: true,
	x86asm.LEA: true, x86asm.MOV: true, x86asm.MOVSXD: true, x86asm.MOVZX: true, x86asm.MOVSX: true,
	x86asm.CMOVA: true, x86asm.CMOVAE: true, x86asm.CMOVB: true, x86asm.CMOVBE: true, x86asm.CMOVE: true, x86asm.CMOVG: true,
	x86asm.CMOVGE: true, x86asm.CMOVL: true, x86asm.CMOVLE: true, x86asm.CMOVNE: true, x86asm.CMOVNO: true, x86asm.CMOVNP: true,
	x86asm.CMOVNS: true, x86asm.CMOVO: true, x86asm.CMOVP: true, x86asm.CMOVS: true,
	x86asm.SETA: true, x86asm.SETAE: true, x86asm.SETB: true, x86asm.SETBE: true, x86asm.SETE: true, x86asm.SETG: true,
	x86asm.SETGE: true, x86asm.SETL: true, x86asm.SETLE: true, x86asm.SETNE: true, x86asm.SETNO: true, x86asm.SETNP: true,
	x86asm.SETNS: true, x86asm.SETO: true, x86asm.SETP: true, x86asm.SETS: true,
}

// apply does to the registers what an instruction does, as far as it matters here. It is false for one that it does not know.
func (r *registers) apply(inst x86asm.Inst) bool {
	switch inst.Op {
	case x86asm.NOP, x86asm.TEST, x86asm.CMP:
		return true
	case x86asm.PUSH:
		r.move(-8)
		return true
	case x86asm.POP:
		r.move(8)
		return r.set(inst.Args[0], value{})
	case x86asm.LEAVE:
		// mov %rbp,%rsp; pop %rbp
		r[rsp], r[rbp] = r[rbp], value{}
		r.move(8)
		return true
	}
	return changes[inst.Op] && r.set(inst.Args[0], r.result(inst))
}

// move changes the stack pointer.
func (r *registers) move(by int64) {
	if r[rsp].kind == stack {
		r[rsp].n += by
	}
}

// set writes an operand. Memory is not followed; a write to part of a register leaves nothing known of the whole.
func (r *registers) set(to x86asm.Arg, v value) bool {
	switch to := to.(type) {
	case x86asm.Mem:
		return true
	case x86asm.Reg:
		if n, ok := number(to); ok {
			r[n] = v
			return true
		}
		n, ok := part(to)
		if ok {
			r[n] = value{}
		}
		return ok
	}
	return false
}

// part is the number of the register that an 8- or 16-bit one is part of.
func part(reg x86asm.Reg) (int, bool) {
	switch {
	case reg >= x86asm.AL && reg <= x86asm.BL:
		return int(reg - x86asm.AL), true
	case reg >= x86asm.AH && reg <= x86asm.BH:
		return int(reg - x86asm.AH), true
	case reg >= x86asm.SPB && reg <= x86asm.R15B:
		return int(reg-x86asm.SPB) + 4, true
	case reg >= x86asm.AX && reg <= x86asm.R15W:
		return int(reg - x86asm.AX), true
	}
	return 0, false
}

// result is what an instruction leaves in its first operand.
func (r *registers) result(inst x86asm.Inst) value {
	to, _ := inst.Args[0].(x86asm.Reg)
	wide := to >= x86asm.RAX && to <= x86asm.R15
	switch from := inst.Args[1].(type) {
	case x86asm.Imm:
		return r.constant(inst.Op, to, wide, int64(from))
	case x86asm.Reg:
		n, ok := number(from)
		if !ok {
			return value{}
		}
		return r.copied(inst.Op, to, from, wide, r[n])
	case x86asm.Mem:
		// lea of a place on the stack.
		base, ok := number(from.Base)
		if inst.Op == x86asm.LEA && wide && ok && from.Index == 0 && r[base].kind == stack {
			return value{stack, r[base].n + from.Disp}
		}
	}
	return value{}
}

func (r *registers) constant(op x86asm.Op, to x86asm.Reg, wide bool, n int64) value {
	was := value{}
	if i, ok := number(to); ok {
		was = r[i]
	}
	switch {
	case op == x86asm.MOV && n == 0:
		return value{kind: zero}
	case op == x86asm.SUB && wide && was.kind == stack:
		return value{stack, was.n - n}
	case op == x86asm.ADD && wide && was.kind == stack:
		return value{stack, was.n + n}
	}
	return value{}
}

func (r *registers) copied(op x86asm.Op, to, from x86asm.Reg, wide bool, v value) value {
	switch {
	case (op == x86asm.XOR || op == x86asm.SUB) && to == from:
		return value{kind: zero}
	case op == x86asm.MOV && (wide || v.kind == zero):
		return v
	case (op == x86asm.MOV || op == x86asm.MOVSXD) && (v.kind == argument || v.kind == narrow):
		return value{narrow, v.n}
	}
	return value{}
}
