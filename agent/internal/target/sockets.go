package target

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// listening gives the inodes of listening TCP sockets in the process's network namespace, with their ports.
func (p proc) listening(pid uint32) (map[uint64]uint16, error) {
	ports := map[uint64]uint16{}
	for _, name := range []string{"net/tcp", "net/tcp6"} {
		file, err := os.Open(p.path(pid, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("reading sockets of process %d: %w", pid, err)
		}
		lines := bufio.NewScanner(file)
		lines.Scan() // the heading
		for lines.Scan() {
			inode, port, ok := parseListener(lines.Text())
			if !ok {
				// The kernel lists the listening ones first; the others may be many.
				break
			}
			ports[inode] = port
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

var (
	socketLink  = []byte("socket:[")
	ioUringLink = []byte("anon_inode:[io_uring]")
)

// descriptors gives the listening sockets that the process itself holds, and whether it holds an io_uring.
func (p proc) descriptors(pid uint32, listeners map[uint64]uint16) (held []uint64, ioUring bool) {
	dir, err := os.Open(p.path(pid, "fd"))
	if err != nil {
		return nil, false
	}
	defer dir.Close()
	var buf [64]byte
	for {
		// In pieces: a server may hold very many.
		names, err := dir.Readdirnames(1024)
		for _, name := range names {
			n, err := unix.Readlinkat(int(dir.Fd()), name, buf[:])
			if err != nil {
				continue
			}
			link := buf[:n]
			if bytes.Equal(link, ioUringLink) {
				ioUring = true
			}
			number, found := bytes.CutPrefix(link, socketLink)
			if !found {
				continue
			}
			inode, err := strconv.ParseUint(string(bytes.TrimSuffix(number, []byte("]"))), 10, 64)
			if _, ok := listeners[inode]; err == nil && ok && !slices.Contains(held, inode) {
				held = append(held, inode)
			}
		}
		if err != nil || len(names) == 0 {
			return held, ioUring
		}
	}
}

// portsOf gives the ports of what is still listening.
func portsOf(held []uint64, listeners map[uint64]uint16) []uint16 {
	var list []uint16
	for _, inode := range held {
		if port, ok := listeners[inode]; ok && !slices.Contains(list, port) {
			list = append(list, port)
		}
	}
	slices.Sort(list)
	return list
}
