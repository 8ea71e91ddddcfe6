package child

import (
	"os/exec"
	"runtime"

	"golang.org/x/sys/unix"
)

// startLocked starts the command from a thread that lives as long as the process: the kernel sends Pdeathsig when the
// parent's thread ends, and Go ends idle threads as it likes.
func startLocked(cmd *exec.Cmd) error {
	result := make(chan error, 1)
	starter <- func() { result <- cmd.Start() }
	return <-result
}

var starter = func() chan<- func() {
	work := make(chan func())
	go func() {
		// Never unlocked: the thread stays with this goroutine, which never ends.
		runtime.LockOSThread()
		// Inherited by what this thread starts: no child can ever gain a privilege, by a set-uid program or otherwise. It
		// has been there since Linux 3.5, and a child without it would only be less confined.
		_ = unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
		for start := range work {
			start()
		}
	}()
	return work
}()
