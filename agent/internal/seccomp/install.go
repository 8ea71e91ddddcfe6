package seccomp

import (
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Install confines all threads of this process to the profile, for good.
func Install(profile []byte) error { return install(profile, false) }

// InstallForStart confines them as a container runtime does before it starts the program.
func InstallForStart(profile []byte) error { return install(profile, true) }

func install(profile []byte, beforeStart bool) error {
	list, err := filter(profile, beforeStart)
	if err != nil {
		return err
	}
	// no_new_privs is the thread's, and the kernel asks this one for it; both then go to all of them.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("setting no_new_privs: %w", err)
	}
	program := unix.SockFprog{Len: uint16(len(list)), Filter: &list[0]}
	stray, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&program)))
	switch {
	case errno != 0:
		return fmt.Errorf("installing the seccomp profile: %w", errno)
	case stray != 0:
		return fmt.Errorf("installing the seccomp profile: thread %d has another", stray)
	}
	return nil
}
