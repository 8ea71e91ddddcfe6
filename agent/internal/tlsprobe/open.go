package tlsprobe

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

func device(major, minor uint64) uint64 { return unix.Mkdev(uint32(major), uint32(minor)) }

// Open opens the file that is mapped, and names it for the kernel. The name leads to the open file itself, so it holds until
// the file is closed, and nobody can put another file in its place between the reading of it and the attaching to it.
//
// By the process's own path, the file is the mapped one for certain if device and inode are those of the mapping: a mapped
// file's inode number is not given to another file. On overlayfs and btrfs stat names another device, so then, and after the
// library was replaced or removed, the kernel's link to the mapped file itself is asked, which takes a capability. Without it
// an equal inode number alone is believed: at worst a file is hooked that the process does not run.
func (f File) Open(procRoot string, pid uint32) (*os.File, string, error) {
	process := filepath.Join(procRoot, strconv.FormatUint(uint64(pid), 10))
	inside, sameInode, sameDevice, errPath := f.openPath(filepath.Join(process, "root"))
	if sameInode && sameDevice {
		return inside, kernelName(inside), nil
	}
	// A process that changed its root within this mount namespace has its paths shown as they are here.
	here, alike, exact, _ := f.openPath("/")
	if alike && exact {
		closed(inside)
		return here, kernelName(here), nil
	}
	closed(here)
	mapped, err := openRegular(unix.AT_FDCWD, filepath.Join(process, "map_files", fmt.Sprintf("%x-%x", f.Start, f.End)))
	if err == nil {
		closed(inside)
		return mapped, kernelName(mapped), nil
	}
	if sameInode {
		return inside, kernelName(inside), nil
	}
	closed(inside)
	if inside != nil || f.Deleted {
		errPath = errors.New("it was replaced or removed since the process mapped it")
	}
	if errors.Is(err, fs.ErrPermission) {
		return nil, "", fmt.Errorf("opening %s of process %d: %w, and opening what is mapped takes CAP_CHECKPOINT_RESTORE or CAP_SYS_ADMIN (restart the process, or give the agent one of them)", f.Path, pid, errPath)
	}
	return nil, "", fmt.Errorf("opening %s of process %d: %w, and what is mapped cannot be opened: %w", f.Path, pid, errPath, err)
}

func closed(f *os.File) {
	if f != nil {
		_ = f.Close()
	}
}

// openPath opens the path under a root. The path is one that the kernel has resolved, so there are no links in it; if a container
// puts one there, it leads to a file whose inode is another, and that was looked at only.
func (f File) openPath(under string) (file *os.File, sameInode, sameDevice bool, err error) {
	root, err := unix.Open(under, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, false, false, fmt.Errorf("its root: %w", err)
	}
	defer func() { _ = unix.Close(root) }()
	file, err = openRegular(root, strings.TrimPrefix(f.Path, "/"))
	if err != nil {
		return nil, false, false, err
	}
	var stat unix.Stat_t
	if err := unix.Fstat(int(file.Fd()), &stat); err != nil {
		_ = file.Close()
		return nil, false, false, err
	}
	return file, stat.Ino == f.Inode, stat.Dev == f.Dev, nil
}

// openRegular looks before it opens: a container may have a pipe or a device where a library should be.
func openRegular(dir int, name string) (*os.File, error) {
	// Not openat2, which would not leave the root: the flags that it takes are where a seccomp filter cannot see them.
	look, err := unix.Openat(dir, name, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = unix.Close(look) }()
	var stat unix.Stat_t
	if err := unix.Fstat(look, &stat); err != nil {
		return nil, err
	}
	if stat.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil, errors.New("it is no regular file")
	}
	return os.Open(descriptor(look))
}

func kernelName(f *os.File) string { return descriptor(int(f.Fd())) }

func descriptor(fd int) string { return "/proc/self/fd/" + strconv.Itoa(fd) }
