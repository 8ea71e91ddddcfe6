package tlsprobe

import (
	"debug/elf"
	"errors"
	"fmt"
	"strings"
)

// library is an image that exports OpenSSL's functions.
type library struct {
	*image
	functions map[string]symbol
	// twice are functions that the library has more than once, under different symbol versions.
	twice  map[string]bool
	frames *frames
}

var (
	readers = []Site{{Role: Read, Function: "SSL_read"}, {Role: ReadEx, Function: "SSL_read_ex"}}
	writers = []Site{{Role: Write, Function: "SSL_write"}, {Role: WriteEx, Function: "SSL_write_ex"}, {Role: WriteEx2, Function: "SSL_write_ex2"}}
	peekers = []string{"SSL_peek", "SSL_peek_ex"}
)

func openssl(m *image) (*library, error) {
	lib := &library{image: m, functions: map[string]symbol{}, twice: map[string]bool{}, frames: m.frameTable()}
	look := func(name string) {
		found := m.lookup(name)
		if len(found) > 0 {
			lib.functions[name] = found[0]
		}
		lib.twice[name] = len(found) > 1
	}
	for _, sites := range [][]Site{readers, writers, senders, sessions} {
		for _, site := range sites {
			look(site.Function)
		}
	}
	for _, name := range peekers {
		look(name)
	}
	for _, name := range []string{"SSL_read", "SSL_write"} {
		f, ok := lib.functions[name]
		switch _, runs := m.offset(f.address); {
		case !ok && len(m.lookup("SSL_ImportFD")) > 0:
			return nil, errors.New("it is the TLS library of NSS: only OpenSSL's is hooked")
		case !ok:
			return nil, fmt.Errorf("it exports no %s: it is not OpenSSL's TLS library", name)
		case !runs:
			return nil, fmt.Errorf("its %s is not code", name)
		}
	}
	return lib, nil
}

// code is nil where a function is missing, or its machine's code cannot be read.
func (l *library) code(name string) *code {
	f, ok := l.functions[name]
	if !ok || l.machine != elf.EM_X86_64 {
		return nil
	}
	size := f.size
	if size == 0 || size > maxFunction {
		size = maxFunction
	}
	return &code{start: f.address, text: l.text(f.address, size)}
}

// exported are the sites at the exported functions themselves.
func (l *library) exported(want []Site) []Site {
	left := map[string]bool{}
	var sites []Site
	for _, site := range want {
		f, ok := l.functions[site.Function]
		if !ok || (site.Role <= WriteEx2 && l.passesOn(site.Function, want, left)) {
			left[site.Function] = true
			continue
		}
		if site.Offset, ok = l.offset(f.address); !ok {
			continue
		}
		if l.machine == elf.EM_X86_64 {
			skip, _ := entry(l.text(f.address, 32))
			site.Offset += skip
		}
		sites = append(sites, site)
	}
	return sites
}

// passesOn reports whether a function hands its work to another of those that are hooked: SSL_write_ex does so since 3.3, and
// LibreSSL's SSL_read_ex. With both hooked each byte would be seen twice.
func (l *library) passesOn(name string, among []Site, left map[string]bool) bool {
	c := l.code(name)
	if c == nil {
		// Unread code: as OpenSSL's source has it.
		_, ok := l.functions["SSL_write_ex2"]
		return name == "SSL_write_ex" && ok
	}
	calls, err := c.firstCalls()
	if err != nil {
		return false
	}
	for _, found := range calls {
		to := l.callee(found)
		for _, site := range among {
			f, ok := l.functions[site.Function]
			if ok && site.Function != name && !left[site.Function] && (to == site.Function || found.target == f.address) {
				return true
			}
		}
	}
	return false
}

// callee is the symbol that a call goes to; empty for a function that has none.
func (l *library) callee(found call) string {
	if found.slot != 0 {
		return l.imported(found.slot)
	}
	return l.named(found.target)
}

// named is the symbol that a stub of the procedure linkage table goes to; empty if an address is no stub.
func (l *library) named(address uint64) string {
	c := code{start: address, text: l.text(address, 32)}
	slot, ok := c.stub()
	if !ok {
		return ""
	}
	return l.imported(slot)
}

func (l *library) reads() ([]Site, string) {
	site, why := l.inner(Site{Role: ReadEx, Function: "ssl_read_internal", Inner: true}, "SSL_read", "SSL_read_ex")
	if why != "" {
		return l.exported(readers), why
	}
	return []Site{site}, ""
}

func (l *library) writes(version string) ([]Site, string) {
	// Since 3.3 flags stand before the pointer to the count; the exported function that takes them is as old.
	role, variant := WriteEx, "SSL_write_ex"
	if _, ok := l.functions["SSL_write_ex2"]; ok {
		role, variant = WriteEx2, "SSL_write_ex2"
	}
	site, why := l.inner(Site{Role: role, Function: "ssl_write_internal", Inner: true}, "SSL_write", variant)
	if v := numbers(strings.Split(strings.TrimSuffix(version, "+"), ".")); why == "" && len(v) > 1 {
		if since := compare(v, []int{3, 3}) >= 0; since != (role == WriteEx2) {
			why = fmt.Sprintf("the code of SSL_write is not that of version %s", version)
		}
	}
	if why != "" {
		return l.exported(writers), why
	}
	return []Site{site}, ""
}

// inner finds the function that plain and variant share, and all evidence that it is the one; what is missing is the answer.
func (l *library) inner(site Site, plain, variant string) (Site, string) {
	if l.machine != elf.EM_X86_64 {
		return site, "code is only read on x86-64"
	}
	for _, name := range append([]string{plain, variant}, peekers...) {
		if _, ok := l.functions[name]; !ok {
			return site, "it has no " + name + " to compare with " + plain
		}
		if l.twice[name] {
			return site, "it has several versions of " + name
		}
	}
	callee, why := l.shared(site, plain, variant)
	if why != "" {
		return site, why
	}
	for _, name := range peekers {
		calls, err := l.code(name).firstCalls()
		if err != nil {
			return site, fmt.Sprintf("%s: %v", name, err)
		}
		for _, found := range calls {
			if found.target == callee {
				return site, name + " shares its code with " + plain
			}
		}
	}
	if !l.frames.starts(callee) {
		return site, "no function is known to begin where " + plain + " calls " + site.Function
	}
	text := l.text(callee, 32)
	skip, cheap := entry(text)
	if !cheap {
		return site, fmt.Sprintf("%s begins with %s, which costs as much to probe", site.Function, firstInstruction(text))
	}
	offset, ok := l.offset(callee + skip)
	if !ok {
		return site, site.Function + " is not code"
	}
	site.Offset = offset
	return site, ""
}

// shared is the address of the one function that both call with the arguments that are expected of it.
func (l *library) shared(site Site, plain, variant string) (uint64, string) {
	outer, err := l.handsOn(plain, func(c code, found call) bool { return handsInt(c, found, site.Role) })
	if err != nil {
		return 0, fmt.Sprintf("%s: %v", plain, err)
	}
	other, err := l.handsOn(variant, func(_ code, found call) bool { return handsAll(found, site.Role) })
	if err != nil {
		return 0, fmt.Sprintf("%s: %v", variant, err)
	}
	if outer != other {
		return 0, plain + " and " + variant + " share no function"
	}
	return outer, ""
}

var errNoCallee = errors.New("it hands its arguments to no function of the library")

// handsOn is the only local function that a wrapper calls in the way asked for.
func (l *library) handsOn(name string, way func(code, call) bool) (uint64, error) {
	c := l.code(name)
	calls, err := c.firstCalls()
	if err != nil {
		return 0, err
	}
	var target uint64
	for _, found := range calls {
		if found.slot != 0 || !way(*c, found) || l.named(found.target) != "" {
			continue
		}
		if target != 0 && target != found.target {
			return 0, errors.New("it hands its arguments to several functions")
		}
		target = found.target
	}
	if target == 0 {
		return 0, errNoCallee
	}
	return target, nil
}

// handsInt reports whether a call is f(s, buf, (size_t) num, &n) or f(s, buf, (size_t) num, 0, &n) with n on the stack, where it
// is loaded from afterwards.
func handsInt(c code, found call, role Role) bool {
	count, regs := passed[3], found.regs
	if role == WriteEx2 {
		if regs[passed[3]].kind != zero {
			return false
		}
		count = passed[4]
	}
	num := regs[passed[2]]
	slot := regs[count]
	return !found.tail && regs[passed[0]] == value{argument, 0} && regs[passed[1]] == value{argument, 1} &&
		(num == value{argument, 2} || num == value{narrow, 2}) &&
		slot.kind == stack && slot.n < 0 && c.reads(found, slot.n)
}

// handsAll reports whether a call passes on all arguments as they came.
func handsAll(found call, role Role) bool {
	for i, r := range passed {
		if i == 4 && role != WriteEx2 {
			break
		}
		if found.regs[r] != (value{argument, int64(i)}) {
			return false
		}
	}
	return true
}
