package target

import (
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// The files of /proc/net walk the kernel's table of all connections, which takes milliseconds even when it is empty. In the
// agent's own network namespace the kernel can be asked for the listening sockets alone.

const (
	sizeDiagRequest = 56
	// Within struct inet_diag_msg.
	diagPort, diagInode, sizeDiagAnswer = 4, 68, 72
	tcpListen                           = 10
)

// ownListeners gives the inodes of listening TCP sockets in this process's network namespace, with their ports.
func ownListeners() (map[uint64]uint16, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return nil, fmt.Errorf("asking for listening sockets: %w", err)
	}
	defer unix.Close(fd)
	// The kernel answers at once; this is for a kernel that does not.
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 1}); err != nil {
		return nil, fmt.Errorf("asking for listening sockets: %w", err)
	}
	ports := map[uint64]uint16{}
	buf := make([]byte, 32<<10)
	for _, family := range []byte{unix.AF_INET, unix.AF_INET6} {
		if err := listenersOf(fd, family, buf, ports); err != nil {
			return nil, fmt.Errorf("asking for listening sockets: %w", err)
		}
	}
	return ports, nil
}

func listenersOf(fd int, family byte, buf []byte, ports map[uint64]uint16) error {
	var request [unix.SizeofNlMsghdr + sizeDiagRequest]byte
	order := binary.NativeEndian
	order.PutUint32(request[0:], uint32(len(request)))
	order.PutUint16(request[4:], unix.SOCK_DIAG_BY_FAMILY)
	order.PutUint16(request[6:], unix.NLM_F_REQUEST|unix.NLM_F_DUMP)
	request[unix.SizeofNlMsghdr], request[unix.SizeofNlMsghdr+1] = family, unix.IPPROTO_TCP
	order.PutUint32(request[unix.SizeofNlMsghdr+4:], 1<<tcpListen)
	if err := unix.Sendto(fd, request[:], 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	for {
		n, _, err := unix.Recvfrom(fd, buf, 0)
		if err != nil {
			return err
		}
		done, err := parseDiag(buf[:n], ports)
		if done || err != nil {
			return err
		}
	}
}

var errDiag = errors.New("the answer is malformed")

// parseDiag reads one datagram of the answer.
func parseDiag(b []byte, ports map[uint64]uint16) (done bool, err error) {
	order := binary.NativeEndian
	for len(b) >= unix.SizeofNlMsghdr {
		size := order.Uint32(b)
		if size < unix.SizeofNlMsghdr || uint64(size) > uint64(len(b)) {
			return false, errDiag
		}
		body := b[unix.SizeofNlMsghdr:size]
		switch order.Uint16(b[4:]) {
		case unix.NLMSG_DONE:
			return true, nil
		case unix.NLMSG_ERROR:
			if len(body) < 4 {
				return false, errDiag
			}
			return false, unix.Errno(-int32(order.Uint32(body)))
		case unix.SOCK_DIAG_BY_FAMILY:
			if len(body) < sizeDiagAnswer {
				return false, errDiag
			}
			// On the network's side of things: the port is big-endian.
			if inode := order.Uint32(body[diagInode:]); inode != 0 {
				ports[uint64(inode)] = binary.BigEndian.Uint16(body[diagPort:])
			}
		}
		b = b[min(uint64(len(b)), (uint64(size)+3)&^3):]
	}
	return false, nil
}
