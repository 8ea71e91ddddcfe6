package kernels

import (
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
)

// archive writes a "newc" archive, the form in which Linux takes its first root.
type archive struct {
	w     io.Writer
	inode int
}

const (
	modeDir  = 0o040000
	modeFile = 0o100000
	modeLink = 0o120000
)

func (a *archive) dir(name string) error { return a.entry(name, modeDir|0o755, nil) }

func (a *archive) link(name, target string) error {
	return a.entry(name, modeLink|0o777, []byte(target))
}

func (a *archive) file(name string, perm fs.FileMode, data []byte) error {
	return a.entry(name, modeFile|uint32(perm.Perm()), data)
}

// close ends the archive.
func (a *archive) close() error { return a.entry("TRAILER!!!", 0, nil) }

func (a *archive) entry(name string, mode uint32, data []byte) error {
	a.inode++
	name = strings.TrimPrefix(name, "/")
	links := 1
	if mode&modeDir != 0 {
		links = 2
	}
	// magic ino mode uid gid nlink mtime filesize devmajor devminor rdevmajor rdevminor namesize check
	head := fmt.Sprintf("070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X",
		a.inode, mode, 0, 0, links, 0, len(data), 0, 0, 0, 0, len(name)+1, 0)
	head += name + "\x00"
	for _, part := range [][]byte{pad([]byte(head)), pad(data)} {
		if _, err := a.w.Write(part); err != nil {
			return fmt.Errorf("writing %s into the machine's root: %w", name, err)
		}
	}
	return nil
}

// pad brings a part to a multiple of four bytes.
func pad(b []byte) []byte {
	if n := len(b) % 4; n != 0 {
		return append(slices.Clip(b), make([]byte, 4-n)...)
	}
	return b
}
