package target

import (
	"bufio"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/sidelight/sidelight/agent/internal/selector"
)

// proc reads what the kernel says of processes.
type proc struct{ root string }

func (p proc) path(pid uint32, name string) string {
	return filepath.Join(p.root, strconv.FormatUint(uint64(pid), 10), name)
}

// pids lists the processes that exist now.
func (p proc) pids() ([]uint32, error) {
	dir, err := os.Open(p.root)
	if err != nil {
		return nil, fmt.Errorf("listing processes: %w", err)
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, fmt.Errorf("listing processes: %w", err)
	}
	var list []uint32
	for _, name := range names {
		if pid, err := strconv.ParseUint(name, 10, 32); err == nil {
			list = append(list, uint32(pid))
		}
	}
	slices.Sort(list)
	return list, nil
}

// process reads all but the ports. An error means that it is gone, a kernel thread, or not ours to see.
func (p proc) process(pid uint32) (selector.Process, error) {
	exe, err := os.Readlink(p.path(pid, "exe"))
	if err != nil {
		return selector.Process{}, fmt.Errorf("reading process %d: %w", pid, err)
	}
	stat, err := os.ReadFile(p.path(pid, "stat"))
	if err != nil {
		return selector.Process{}, fmt.Errorf("reading process %d: %w", pid, err)
	}
	comm, start, err := parseStat(string(stat))
	if err != nil {
		return selector.Process{}, fmt.Errorf("process %d: %w", pid, err)
	}
	group, err := os.ReadFile(p.path(pid, "cgroup"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return selector.Process{}, fmt.Errorf("reading process %d: %w", pid, err)
	}
	cgroup := parseCgroup(string(group))
	return selector.Process{PID: pid, StartTime: start, Exe: exe, Comm: comm, Cgroup: cgroup, Unit: unitOf(cgroup)}, nil
}

// parseStat finds the name, which may hold anything but is in the outermost parentheses, and the start time.
func parseStat(stat string) (comm string, start uint64, err error) {
	open, end := strings.IndexByte(stat, '('), strings.LastIndexByte(stat, ')')
	if open < 0 || end < open {
		return "", 0, errors.New("its stat line has no name")
	}
	// After the name comes field 3; the start time is field 22.
	fields := strings.Fields(stat[end+1:])
	if len(fields) < 20 {
		return "", 0, errors.New("its stat line is short")
	}
	start, err = strconv.ParseUint(fields[19], 10, 64)
	if err != nil {
		return "", 0, fmt.Errorf("its start time: %w", err)
	}
	return stat[open+1 : end], start, nil
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

// listening gives the inodes of listening TCP sockets in the process's network namespace, with their ports.
func (p proc) listening(pid uint32) (map[uint64]uint16, error) {
	ports := map[uint64]uint16{}
	for _, table := range []string{"net/tcp", "net/tcp6"} {
		file, err := os.Open(p.path(pid, table))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("reading sockets of process %d: %w", pid, err)
		}
		lines := bufio.NewScanner(file)
		for lines.Scan() {
			if inode, port, ok := parseListener(lines.Text()); ok {
				ports[inode] = port
			}
		}
		err = errors.Join(lines.Err(), file.Close())
		if err != nil {
			return nil, fmt.Errorf("reading sockets of process %d: %w", pid, err)
		}
	}
	return ports, nil
}

const stateListen = "0A"

// parseListener reads a line of /proc/net/tcp: slot, local address, remote address, state, …, inode.
func parseListener(line string) (inode uint64, port uint16, ok bool) {
	fields := strings.Fields(line)
	if len(fields) < 10 || fields[3] != stateListen {
		return 0, 0, false
	}
	_, portHex, found := strings.Cut(fields[1], ":")
	raw, err := hex.DecodeString(portHex)
	if !found || err != nil || len(raw) != 2 {
		return 0, 0, false
	}
	inode, err = strconv.ParseUint(fields[9], 10, 64)
	return inode, uint16(raw[0])<<8 | uint16(raw[1]), err == nil && inode != 0
}

// ports gives the ports that the process itself has a listening socket for.
func (p proc) ports(pid uint32, listeners map[uint64]uint16) []uint16 {
	dir := p.path(pid, "fd")
	names, err := readNames(dir)
	if err != nil {
		return nil
	}
	var list []uint16
	for _, name := range names {
		link, err := os.Readlink(filepath.Join(dir, name))
		if err != nil {
			continue
		}
		number, found := strings.CutPrefix(link, "socket:[")
		if !found {
			continue
		}
		inode, err := strconv.ParseUint(strings.TrimSuffix(number, "]"), 10, 64)
		if port, ok := listeners[inode]; err == nil && ok && !slices.Contains(list, port) {
			list = append(list, port)
		}
	}
	slices.Sort(list)
	return list
}

func readNames(dir string) ([]string, error) {
	file, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return file.Readdirnames(-1)
}

// netns names the process's network namespace.
func (p proc) netns(pid uint32) string {
	link, err := os.Readlink(p.path(pid, "ns/net"))
	if err != nil {
		return ""
	}
	return link
}
