package target

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/sidelight/sidelight/agent/internal/selector"
)

// proc reads what the kernel says of processes.
type proc struct{ root string }

func (p proc) path(pid uint32, name string) string {
	return filepath.Join(p.root, strconv.FormatUint(uint64(pid), 10), name)
}

// process reads all but the ports, and its parent. An error means that it is gone, a kernel thread, or not ours to see.
func (p proc) process(pid uint32) (process selector.Process, parent uint32, err error) {
	exe, err := os.Readlink(p.path(pid, "exe"))
	if err != nil {
		return selector.Process{}, 0, fmt.Errorf("reading process %d: %w", pid, err)
	}
	stat, err := os.ReadFile(p.path(pid, "stat"))
	if err != nil {
		return selector.Process{}, 0, fmt.Errorf("reading process %d: %w", pid, err)
	}
	comm, parent, start, err := parseStat(string(stat))
	if err != nil {
		return selector.Process{}, 0, fmt.Errorf("process %d: %w", pid, err)
	}
	cgroup := p.cgroup(pid)
	return selector.Process{PID: pid, StartTime: start, Exe: exe, Comm: comm, Cgroup: cgroup, Unit: unitOf(cgroup)}, parent, nil
}

// cgroup is empty where there are none, or the process is gone. It is asked often: three calls, where os.ReadFile makes seven.
func (p proc) cgroup(pid uint32) string {
	fd, err := unix.Open(p.path(pid, "cgroup"), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return ""
	}
	defer unix.Close(fd)
	var text [8 << 10]byte
	n, err := unix.Read(fd, text[:])
	if err != nil {
		return ""
	}
	return parseCgroup(string(text[:n]))
}

// parseStat finds the name, which may hold anything but is in the outermost parentheses, the parent and the start time.
func parseStat(stat string) (comm string, parent uint32, start uint64, err error) {
	open, end := strings.IndexByte(stat, '('), strings.LastIndexByte(stat, ')')
	if open < 0 || end < open {
		return "", 0, 0, errors.New("its stat line has no name")
	}
	// After the name comes field 3; the parent is field 4, the start time field 22.
	fields := strings.Fields(stat[end+1:])
	if len(fields) < 20 {
		return "", 0, 0, errors.New("its stat line is short")
	}
	id, err := strconv.ParseUint(fields[1], 10, 32)
	if err != nil {
		return "", 0, 0, fmt.Errorf("its parent: %w", err)
	}
	start, err = strconv.ParseUint(fields[19], 10, 64)
	if err != nil {
		return "", 0, 0, fmt.Errorf("its start time: %w", err)
	}
	return stat[open+1 : end], uint32(id), start, nil
}

// parseCgroup prefers the unified hierarchy, then systemd's own, then any.
func parseCgroup(text string) string {
	best, rank := "", 0
	for line := range strings.Lines(text) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 {
			continue
		}
		r := 1
		switch {
		case parts[0] == "0" && parts[2] != "/":
			r = 3
		case parts[1] == "name=systemd":
			r = 2
		}
		if r > rank {
			best, rank = parts[2], r
		}
	}
	return best
}

// unitOf is the innermost systemd unit of a cgroup path.
func unitOf(cgroup string) string {
	for _, part := range slices.Backward(strings.Split(cgroup, "/")) {
		if strings.HasSuffix(part, ".service") || strings.HasSuffix(part, ".scope") {
			return part
		}
	}
	return ""
}

// netns names the process's network namespace.
func (p proc) netns(pid uint32) string {
	link, err := os.Readlink(p.path(pid, "ns/net"))
	if err != nil {
		return ""
	}
	return link
}
