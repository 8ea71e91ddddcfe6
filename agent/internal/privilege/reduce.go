package privilege

import (
	"fmt"
	"os"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// sets of a thread, as bits.
type sets struct{ effective, permitted, inheritable uint64 }

func get() (sets, error) {
	var data [2]unix.CapUserData
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	if err := unix.Capget(&header, &data[0]); err != nil {
		return sets{}, fmt.Errorf("asking for the capabilities of this process: %w", err)
	}
	join := func(low, high uint32) uint64 { return uint64(high)<<32 | uint64(low) }
	return sets{
		join(data[0].Effective, data[1].Effective), join(data[0].Permitted, data[1].Permitted), join(data[0].Inheritable, data[1].Inheritable),
	}, nil
}

// set changes the calling thread's.
func set(s sets) error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	data := [2]unix.CapUserData{
		{Effective: uint32(s.effective), Permitted: uint32(s.permitted), Inheritable: uint32(s.inheritable)},
		{Effective: uint32(s.effective >> 32), Permitted: uint32(s.permitted >> 32), Inheritable: uint32(s.inheritable >> 32)},
	}
	if err := unix.Capset(&header, &data[0]); err != nil {
		return fmt.Errorf("setting capabilities: %w", err)
	}
	return nil
}

// reducedVariable keeps a kernel that gives back what was given up from making this go on forever.
const reducedVariable = "SIDELIGHT_REDUCED"

// Reduce gives up all capabilities but these. Capabilities belong to threads, and a Go program has several: where there is
// something to give up, one thread does and starts this program anew, which no other thread survives.
func Reduce(keep []Capability) error {
	now, err := get()
	if err != nil {
		return err
	}
	var mask uint64
	for _, c := range keep {
		mask |= 1 << c.Number
	}
	if now.permitted&^mask == 0 || os.Getenv(reducedVariable) != "" {
		return os.Unsetenv(reducedVariable)
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	dropBounding(mask)
	left := now.permitted & mask
	// Root gets its capabilities back by being root, as far as they are permitted now; others only what is ambient.
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("setting no_new_privs: %w", err)
	}
	if err := set(sets{left, left, left}); err != nil {
		return err
	}
	if os.Geteuid() != 0 {
		for number := range uintptr(64) {
			if left&(1<<number) != 0 {
				if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_RAISE, number, 0, 0); err != nil {
					return fmt.Errorf("keeping a capability: %w", err)
				}
			}
		}
	}
	if err := syscall.Exec("/proc/self/exe", os.Args, append(os.Environ(), reducedVariable+"=1")); err != nil {
		return fmt.Errorf("starting anew with fewer capabilities: %w", err)
	}
	return nil
}

// dropBounding empties the bounding set of the calling thread but for the mask. Without CAP_SETPCAP it stays as it is, and
// no_new_privs keeps it from mattering.
func dropBounding(mask uint64) {
	for number := range uintptr(64) {
		if mask&(1<<number) == 0 {
			_ = unix.Prctl(unix.PR_CAPBSET_DROP, number, 0, 0, 0)
		}
	}
}
