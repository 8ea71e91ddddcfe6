package child

import (
	"os/exec"
	"runtime"
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
		for start := range work {
			start()
		}
	}()
	return work
}()
