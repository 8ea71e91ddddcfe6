package child

import (
	"os/exec"
	"runtime"
	"slices"

	"golang.org/x/sys/unix"
)

// startLocked starts the command from a thread of its own that lives as long as the process: the kernel sends Pdeathsig when the
// parent's thread ends, and Go ends idle threads as it likes.
func startLocked(cmd *exec.Cmd, keep []uintptr) error {
	result := make(chan error, 1)
	go func() {
		// Never unlocked: the thread stays with this goroutine, which never ends.
		runtime.LockOSThread()
		giveUp(keep)
		result <- cmd.Start()
		select {}
	}()
	return <-result
}

// giveUp changes what the child inherits from this thread: it can never gain a privilege, by a set-uid program or otherwise.
// no_new_privs has been there since Linux 3.5, and a child without it, or with the whole bounding set, would only be less confined.
func giveUp(keep []uintptr) {
	_ = unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
	for number := range uintptr(64) {
		if !slices.Contains(keep, number) {
			_ = unix.Prctl(unix.PR_CAPBSET_DROP, number, 0, 0, 0)
		}
	}
}
