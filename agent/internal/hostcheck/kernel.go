package hostcheck

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/features"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/sidelight/sidelight/agent/internal/privilege"
)

func ringBuffer() Finding {
	if err := features.HaveMapType(ebpf.RingBuf); errors.Is(err, ebpf.ErrNotSupported) {
		return Finding{Name: "ring buffer", Detail: "this kernel has none", Do: "use a kernel of 5.10 or later"}
	}
	return Finding{Name: "ring buffer", OK: true, Detail: "there"}
}

// lockedMemory: kernels before 5.11 count BPF maps as such.
func lockedMemory() Finding {
	f := Finding{Name: "locked memory", OK: true, Detail: "not counted"}
	if major, minor := version(release()); major > 5 || major == 5 && minor >= 11 {
		return f
	}
	f.Detail = "counted, without a limit"
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_MEMLOCK, &limit); err == nil && limit.Max != unix.RLIM_INFINITY && !has(unix.CAP_SYS_RESOURCE) {
		f.Limited, f.Detail = true, fmt.Sprintf("this kernel counts BPF maps as locked memory, and %d bytes is the limit", limit.Max)
		f.Do = "raise it for the agent (systemd: LimitMEMLOCK=infinity), or give it CAP_SYS_RESOURCE"
	}
	return f
}

func has(number uint) bool {
	missing, err := privilege.Missing([]privilege.Capability{{Number: number}})
	return err == nil && len(missing) == 0
}

// functions tells whether the backend that nobody gets by default could be used.
func functions() Finding {
	for _, name := range []string{"inet_sendmsg", "inet6_sendmsg", "inet_recvmsg", "inet6_recvmsg"} {
		if err := try(ebpf.AttachTraceFExit, name); err != nil {
			return Finding{Name: "functions", OK: true, Detail: "capture.backend: functions cannot be used here: " + reason(err)}
		}
	}
	return Finding{Name: "functions", OK: true, Detail: "capture.backend: functions can be used here: what io_uring moves would be seen"}
}

func uprobes() Finding {
	f := Finding{Name: "TLS libraries", OK: true, Detail: "hooked through uprobe.multi"}
	switch err := features.HaveBPFLinkUprobeMulti(); {
	case err == nil:
		return f
	case !errors.Is(err, ebpf.ErrNotSupported):
		f.Limited, f.Detail, f.Do = true, "how they are hooked cannot be found out: "+reason(err), "see the capabilities"
		return f
	}
	f.Detail = "hooked through perf events, since there is no uprobe.multi"
	switch _, err := os.Stat("/sys/bus/event_source/devices/uprobe/type"); {
	case err != nil:
		f.Limited, f.Detail = true, "this kernel has no uprobes: TLS stays unseen"
		f.Do = "use a kernel built with CONFIG_UPROBE_EVENTS, or of 6.6 and later"
	case privilege.NeedsAdmin() && !has(unix.CAP_SYS_ADMIN):
		f.Limited, f.Detail = true, "without uprobe.multi, and since the fix of CVE-2025-38466, hooking them needs CAP_SYS_ADMIN: TLS stays unseen"
		f.Do = "use a kernel of 6.6 or later, or give the agent CAP_SYS_ADMIN"
	}
	return f
}

// uretprobes: a bug that hurts the mirrored process cannot be tried out.
func uretprobes() Finding {
	f := Finding{Name: "uretprobes", OK: true, Detail: "safe"}
	if major, minor := version(release()); major == 6 && minor >= 11 && minor <= 13 {
		f.Limited, f.Detail = true, "kernels 6.11 to 6.13 without the fix of early 2025 (\"seccomp: passthrough uretprobe\") end a process under seccomp that returns from a hooked function"
		f.Do = "make sure that the kernel has the newest patches of its series"
	}
	return f
}

func ioUring() Finding {
	if err := try(ebpf.AttachTraceRawTp, "sock_recv_length"); err != nil {
		return Finding{Name: "io_uring", OK: true, Limited: true, Detail: "what moves through it is neither seen nor counted; which processes have one is told",
			Do: "a kernel of 6.3 or later counts it"}
	}
	return Finding{Name: "io_uring", OK: true, Detail: "bytes are counted, and not inspected"}
}

func seccomp() Finding {
	actions, err := os.ReadFile("/proc/sys/kernel/seccomp/actions_avail")
	if err != nil || !strings.Contains(string(actions), "errno") {
		return Finding{Name: "seccomp", OK: true, Limited: true, Detail: "not there: the agent cannot give up system calls",
			Do: "use a kernel built with CONFIG_SECCOMP_FILTER"}
	}
	return Finding{Name: "seccomp", OK: true, Detail: "the agent gives up all system calls that it does not make"}
}

// securityModules are only named where they can be read: whether they refuse something the other lines say.
func securityModules() []Finding {
	text, err := os.ReadFile("/sys/kernel/security/lsm")
	if err != nil {
		return nil
	}
	return []Finding{{Name: "security", OK: true, Detail: "modules " + strings.TrimSpace(string(text))}}
}

// try loads and attaches a program that does nothing, and takes it away again.
func try(kind ebpf.AttachType, to string) error {
	program, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "sl_check", Type: ebpf.Tracing, AttachType: kind, AttachTo: to, License: "GPL",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()},
	})
	if err != nil {
		return err
	}
	defer program.Close()
	attached, err := link.AttachTracing(link.TracingOptions{Program: program})
	if err != nil {
		return err
	}
	return attached.Close()
}

// reason is the end of an error: what the kernel said.
func reason(err error) string {
	if errno, ok := errors.AsType[unix.Errno](err); ok {
		return errno.Error()
	}
	first, _, _ := strings.Cut(err.Error(), "\n")
	return first
}

func release() string {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return ""
	}
	return unix.ByteSliceToString(name.Release[:])
}

// version of a release such as 6.1.0-18-amd64; zeros if it has none.
func version(release string) (major, minor int) {
	if n, _ := fmt.Sscanf(release, "%d.%d", &major, &minor); n != 2 {
		return 0, 0
	}
	return major, minor
}
