package agent

import (
	_ "embed"
	"errors"
	"log/slog"

	"golang.org/x/sys/unix"

	"github.com/sidelight/sidelight/agent/internal/privilege"
	"github.com/sidelight/sidelight/agent/internal/seccomp"
	"github.com/sidelight/sidelight/internal/logkey"
)

// SeccompProfile is the list of the system calls that an agent makes, as container runtimes read it.
//
//go:embed seccomp.json
var SeccompProfile []byte

// ReduceCapabilities gives up all capabilities that an agent does not need. It must come first in main: where there is something
// to give up it starts the program anew.
func ReduceCapabilities() error { return privilege.Reduce(privilege.Wanted()) }

// Confine gives up, for good and for all threads, the system calls that an agent does not make: to start programs, to write
// files, to look into other processes but by the kernel's files. It is called before an agent is made.
func Confine(log *slog.Logger) error {
	err := seccomp.Install(SeccompProfile)
	if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EINVAL) {
		log.Warn("this kernel has no seccomp filters: the agent could make any system call", logkey.Error, err)
		return nil
	}
	return err
}

// Capabilities are what an agent needs or can use on this kernel, as numbers of capability.h.
func Capabilities() []uintptr {
	var list []uintptr
	for _, c := range privilege.Wanted() {
		list = append(list, uintptr(c.Number))
	}
	return list
}
