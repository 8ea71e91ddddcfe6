package target

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strconv"

	"golang.org/x/sys/unix"
)

// procDir is /proc held open for one look: one call lists many processes with their inodes, and one more per process tells
// what program it is. All buffers are used again.
type procDir struct {
	fd    int
	path  []byte
	link  [4096]byte
	names [32 << 10]byte
}

func (p proc) open() (*procDir, error) {
	fd, err := unix.Open(p.root, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("listing processes: opening %s: %w", p.root, err)
	}
	return &procDir{fd: fd}, nil
}

func (d *procDir) close() { _ = unix.Close(d.fd) }

// The head of struct linux_dirent64: inode, offset, length of the entry, type; then the name, which ends with a zero byte.
const direntHead = 19

// each calls do for every process.
func (d *procDir) each(do func(pid uint32, inode uint64)) error {
	for {
		n, err := unix.Getdents(d.fd, d.names[:])
		if err != nil {
			return fmt.Errorf("listing processes: %w", err)
		}
		if n == 0 {
			return nil
		}
		for rest := d.names[:n]; len(rest) >= direntHead; {
			size := int(binary.NativeEndian.Uint16(rest[16:]))
			if size < direntHead || size > len(rest) {
				break
			}
			if pid, ok := parsePID(rest[direntHead:size]); ok {
				do(pid, binary.NativeEndian.Uint64(rest))
			}
			rest = rest[size:]
		}
	}
}

func parsePID(name []byte) (uint32, bool) {
	if end := bytes.IndexByte(name, 0); end >= 0 {
		name = name[:end]
	}
	if len(name) == 0 || name[0] < '0' || name[0] > '9' {
		return 0, false
	}
	pid, err := strconv.ParseUint(string(name), 10, 32)
	return uint32(pid), err == nil
}

// inode is that of one process's directory.
func (d *procDir) inode(pid uint32) (uint64, bool) {
	var stat unix.Stat_t
	err := unix.Fstatat(d.fd, strconv.FormatUint(uint64(pid), 10), &stat, 0)
	return stat.Ino, err == nil
}

// exe is the program's file; valid until the next call.
func (d *procDir) exe(pid uint32) ([]byte, bool) {
	d.path = strconv.AppendUint(d.path[:0], uint64(pid), 10)
	d.path = append(d.path, "/exe"...)
	n, err := unix.Readlinkat(d.fd, string(d.path), d.link[:])
	return d.link[:max(n, 0)], err == nil
}
