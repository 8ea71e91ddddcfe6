package probe

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"
)

// Finding is one answer to "can this host be mirrored".
type Finding struct {
	Name   string
	OK     bool
	Detail string
	// Do says what to do about it.
	Do string
}

// Check looks at this host, and loads and attaches the programs once with nothing to mirror: what counts is whether that
// works, not which version the kernel has.
func Check() []Finding {
	list := []Finding{architecture(), kernel(), btfThere(), lockdown()}
	return append(list, tryLoad())
}

func architecture() Finding {
	f := Finding{Name: "architecture", OK: runtime.GOARCH == "amd64", Detail: runtime.GOARCH}
	if !f.OK {
		f.Do = "the programs read the registers of x86-64: run the agent on such a host"
	}
	return f
}

func kernel() Finding {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return Finding{Name: "kernel", Detail: err.Error()}
	}
	return Finding{Name: "kernel", OK: true, Detail: unix.ByteSliceToString(name.Release[:])}
}

func btfThere() Finding {
	if _, err := btf.LoadKernelSpec(); err != nil {
		return Finding{Name: "BTF", Detail: "the kernel does not describe its types: " + err.Error(),
			Do: "use a kernel built with CONFIG_DEBUG_INFO_BTF (Debian 11, Ubuntu 20.10, RHEL 8.2 and later have it)"}
	}
	return Finding{Name: "BTF", OK: true, Detail: "/sys/kernel/btf/vmlinux"}
}

func lockdown() Finding {
	text, err := os.ReadFile("/sys/kernel/security/lockdown")
	if err != nil {
		return Finding{Name: "lockdown", OK: true, Detail: "not in use, or not visible"}
	}
	if strings.Contains(string(text), "[confidentiality]") {
		return Finding{Name: "lockdown", Detail: "confidentiality: BPF may not read kernel memory",
			Do: "boot with lockdown=integrity, which allows it"}
	}
	return Finding{Name: "lockdown", OK: true, Detail: strings.TrimSpace(string(text))}
}

func tryLoad() Finding {
	cfg := DefaultConfig()
	cfg.RingBytes = uint32(os.Getpagesize())
	backend, err := choose(cfg.Backend)
	if err != nil {
		return Finding{Name: "programs", Detail: err.Error()}
	}
	live, err := load(cfg, backend, settings{Request: 1, Response: 1, WakeAt: cfg.RingBytes})
	if err == nil {
		err = errors.Join(live.attach(), live.close())
	}
	if err == nil {
		return Finding{Name: "programs", OK: true, Detail: "load and attach; sockets are seen " + live.where()}
	}
	f := Finding{Name: "programs", Detail: firstLine(err), Do: "see the other lines; if they are fine, please report this with the kernel's version"}
	if errors.Is(err, os.ErrPermission) {
		f.Do = "the kernel refuses: run as root, and look for a security module that forbids BPF (dmesg)"
	} else if verifier, ok := errors.AsType[*ebpf.VerifierError](err); ok {
		f.Do = fmt.Sprintf("this kernel's verifier refuses the programs: please report it with its last line, %q", lastLine(verifier.Log))
	}
	return f
}

// seeCheck ends the errors of a start that fails.
const seeCheck = " (`sidelight check` says what this host lacks)"

func firstLine(err error) string {
	text, _, _ := strings.Cut(err.Error(), "\n")
	// Whoever reads this asked already.
	return strings.TrimSuffix(text, seeCheck)
}

func lastLine(log []string) string {
	if len(log) == 0 {
		return ""
	}
	return log[len(log)-1]
}
