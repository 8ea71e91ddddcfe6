package privilege

import (
	"debug/elf"
	"errors"
	"os"
	"runtime"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// perfUprobeRefused tries to make a uprobe without CAP_SYS_ADMIN. Where there are none, the capability would not help.
func perfUprobeRefused() bool {
	kind, offset, err := perfUprobeArguments()
	if err != nil {
		return false
	}
	result := make(chan error, 1)
	go func() {
		// Should it not get back what it gives up, the thread ends with the goroutine.
		runtime.LockOSThread()
		result <- withoutAdmin(func() error { return perfUprobe(kind, offset) })
	}()
	err = <-result
	return errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM)
}

func perfUprobeArguments() (kind uint32, offset uint64, err error) {
	text, err := os.ReadFile("/sys/bus/event_source/devices/uprobe/type")
	if err != nil {
		return 0, 0, err
	}
	number, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 32)
	if err != nil {
		return 0, 0, err
	}
	offset, err = entryOffset("/proc/self/exe")
	return uint32(number), offset, err
}

// perfUprobe makes a uprobe on this program, which stays disabled, and takes it away.
func perfUprobe(kind uint32, offset uint64) error {
	path, err := unix.BytePtrFromString("/proc/self/exe")
	if err != nil {
		return err
	}
	attr := unix.PerfEventAttr{
		Type: kind, Size: uint32(unsafe.Sizeof(unix.PerfEventAttr{})), Bits: unix.PerfBitDisabled,
		Ext1: uint64(uintptr(unsafe.Pointer(path))), Ext2: offset,
	}
	fd, err := unix.PerfEventOpen(&attr, -1, 0, -1, unix.PERF_FLAG_FD_CLOEXEC)
	runtime.KeepAlive(path)
	if err != nil {
		return err
	}
	return unix.Close(fd)
}

// withoutAdmin does something on the calling thread, which has its capability again afterwards: a program's first thread never ends,
// and would show for good what it lacks.
func withoutAdmin(do func() error) error {
	before, err := get()
	if err != nil {
		return err
	}
	without := before
	without.effective &^= 1 << unix.CAP_SYS_ADMIN
	if err := set(without); err != nil {
		return err
	}
	refused := do()
	if err := set(before); err != nil {
		return err
	}
	return refused
}

// entryOffset is where in its file a program begins: a place that is no middle of an instruction.
func entryOffset(path string) (uint64, error) {
	file, err := elf.Open(path)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	for _, p := range file.Progs {
		if p.Type == elf.PT_LOAD && p.Vaddr <= file.Entry && file.Entry < p.Vaddr+p.Filesz {
			return file.Entry - p.Vaddr + p.Off, nil
		}
	}
	return 0, errors.New("its entry lies in no segment")
}
