package target

import (
	"debug/buildinfo"
	"errors"
	"io"
	"os"
	"strings"
	"syscall"
)

// own tells Sidelight's own programs, which are never mirrored whatever a filter says: mirroring the mirror would never end.
type own struct {
	// self is the file of this program.
	self fileID
	// verdicts about the files of programs that a filter selects.
	verdicts map[fileID]bool
}

type fileID struct {
	dev, ino, size uint64
	mtime          syscall.Timespec
}

const (
	// mostVerdicts is over what a host runs; builds come and go.
	mostVerdicts = 4096
	// mostRead bounds what is read of one program: the tables that lead to the build information are small.
	mostRead = 4 << 20
)

func newOwn() *own {
	o := &own{verdicts: map[fileID]bool{}}
	o.self, _ = fileOf("/proc/self/exe")
	return o
}

// is tells whether the program behind this link is Sidelight's.
func (o *own) is(path string) bool {
	id, ok := fileOf(path)
	if !ok {
		return false
	}
	if id == o.self {
		return true
	}
	verdict, known := o.verdicts[id]
	if !known {
		if len(o.verdicts) == mostVerdicts {
			clear(o.verdicts)
		}
		verdict = isOwn(mainPackage(path))
		o.verdicts[id] = verdict
	}
	return verdict
}

// isOwn: examples are there to be mirrored, and a test plays any server.
func isOwn(pkg string) bool {
	rest, found := strings.CutPrefix(pkg, "github.com/sidelight/sidelight/")
	return found && !strings.HasPrefix(rest, "examples/") && !strings.HasSuffix(rest, ".test")
}

// mainPackage is the path of a Go program's main package; empty if it is none.
func mainPackage(path string) (pkg string) {
	// The file may be anything that was ever executed; it must not take the agent down.
	defer func() {
		if recover() != nil {
			pkg = ""
		}
	}()
	file, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer file.Close()
	info, err := buildinfo.Read(&bounded{file, mostRead})
	if err != nil {
		return ""
	}
	return info.Path
}

var errTooMuch = errors.New("more was read than a program's tables need")

// bounded reads at most so much.
type bounded struct {
	from io.ReaderAt
	left int
}

func (b *bounded) ReadAt(into []byte, offset int64) (int, error) {
	if b.left -= len(into); b.left < 0 {
		return 0, errTooMuch
	}
	return b.from.ReadAt(into, offset)
}

func fileOf(path string) (fileID, bool) {
	info, err := os.Stat(path)
	if err != nil {
		return fileID{}, false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return fileID{}, false
	}
	return fileID{stat.Dev, stat.Ino, uint64(stat.Size), stat.Mtim}, true
}
