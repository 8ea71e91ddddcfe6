package probe

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// roleVariable makes the test binary play the mirrored server.
const roleVariable = "SIDELIGHT_TEST_SERVER"

func TestMain(m *testing.M) {
	if how := os.Getenv(roleVariable); how != "" {
		if err := serve(how); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// serve answers every 'message' with its own bytes and, by `how`, through one pair of system calls. It takes the listening
// socket as descriptor 3, or as "child" a connection, and ends with its standard input.
func serve(how string) error {
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	if how == "child" {
		return echo("read-write", 3)
	}
	for {
		fd, _, err := syscall.Accept4(3, 0)
		if err != nil {
			return fmt.Errorf("accept: %w", err)
		}
		go func() {
			if err := handle(how, fd); err != nil {
				fmt.Fprintln(os.Stderr, how, err)
			}
		}()
	}
}

// handle is one connection.
func handle(how string, fd int) error {
	switch how {
	case "inherited":
		if err := mapCode(); err != nil {
			return err
		}
		// A child that was started after the connection came has it, and answers.
		file := os.NewFile(uintptr(fd), "connection")
		defer file.Close()
		cmd := exec.Command("/proc/self/exe")
		cmd.Env = append(os.Environ(), roleVariable+"=child")
		cmd.ExtraFiles, cmd.Stderr = []*os.File{file}, os.Stderr
		stdin, err := cmd.StdinPipe()
		if err != nil {
			return err
		}
		defer stdin.Close()
		return cmd.Run()
	case "passed":
		defer syscall.Close(fd)
		return pass(fd)
	case "dup":
		// Read through one descriptor, answer through another.
		defer syscall.Close(fd)
		other, err := syscall.Dup(fd)
		if err != nil {
			return err
		}
		defer syscall.Close(other)
		buf := make([]byte, 1<<16)
		for {
			n, err := syscall.Read(other, buf)
			if n <= 0 || err != nil {
				return err
			}
			if err := send("read-write", fd, buf[:n]); err != nil {
				return err
			}
		}
	case "io_uring":
		return echoURing(fd)
	}
	return echo(how, fd)
}

func echo(how string, fd int) error {
	defer syscall.Close(fd)
	buf := make([]byte, 1<<20)
	for {
		n, err := receive(how, fd, buf)
		if n <= 0 || err != nil {
			return err
		}
		if err := send(how, fd, buf[:n]); err != nil {
			return err
		}
	}
}

// mapCode maps a file to execute, as a program does with a library.
func mapCode() error {
	file, err := os.Open("/proc/self/exe")
	if err != nil {
		return err
	}
	defer file.Close()
	code, err := syscall.Mmap(int(file.Fd()), 0, os.Getpagesize(), syscall.PROT_READ|syscall.PROT_EXEC, syscall.MAP_PRIVATE)
	if err != nil {
		return err
	}
	return syscall.Munmap(code)
}

// pass gives the connection to another thread's end of a unix socket, where it is another descriptor.
func pass(fd int) error {
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		return err
	}
	defer syscall.Close(pair[0])
	defer syscall.Close(pair[1])
	if err := syscall.Sendmsg(pair[0], []byte{0}, syscall.UnixRights(fd), nil, 0); err != nil {
		return err
	}
	control := make([]byte, syscall.CmsgSpace(4))
	if _, _, _, _, err := syscall.Recvmsg(pair[1], make([]byte, 1), control, 0); err != nil {
		return err
	}
	messages, err := syscall.ParseSocketControlMessage(control)
	if err != nil {
		return err
	}
	got, err := syscall.ParseUnixRights(&messages[0])
	if err != nil {
		return err
	}
	return echo("read-write", got[0])
}

func receive(how string, fd int, buf []byte) (int, error) {
	switch how {
	case "read-write", "sendfile", "zerocopy":
		return syscall.Read(fd, buf)
	case "readv-writev":
		third := len(buf) / 3
		return unix.Readv(fd, [][]byte{buf[:10], buf[10:third], buf[third:]})
	case "recvmsg-sendmsg":
		n, _, _, _, err := unix.RecvmsgBuffers(fd, [][]byte{buf[:7], buf[7:]}, nil, 0)
		return n, err
	case "recvmmsg-sendmmsg":
		// The second message has bytes only if more are there than the first takes.
		return messages(unix.SYS_RECVMMSG, fd, [][]byte{buf[:100], buf[100:300], buf[300:5000], buf[5000:]}, unix.MSG_WAITFORONE)
	case "half-closed":
		// The client is done before anything is read.
		if err := wait(fd, unix.POLLRDHUP); err != nil {
			return 0, err
		}
		return syscall.Read(fd, buf)
	case "splice":
		return spliceIn(fd, buf)
	case "nonblocking":
		if err := syscall.SetNonblock(fd, true); err != nil {
			return 0, err
		}
		for {
			n, err := syscall.Read(fd, buf[:1000])
			if err != syscall.EAGAIN {
				return n, err
			}
			if err := wait(fd, unix.POLLIN); err != nil {
				return 0, err
			}
		}
	default: // recvfrom, with a peek before, which must not be seen
		if _, _, err := unix.Recvfrom(fd, buf[:3], unix.MSG_PEEK); err != nil {
			return 0, err
		}
		n, _, err := unix.Recvfrom(fd, buf, 0)
		return n, err
	}
}

func wait(fd int, what int16) error {
	_, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: what}}, -1)
	if err == unix.EINTR {
		return nil
	}
	return err
}

func send(how string, fd int, data []byte) error {
	switch how {
	case "read-write", "half-closed":
		return writeAll(data, func(b []byte) (int, error) { return syscall.Write(fd, b) })
	case "readv-writev":
		return writeAll(data, func(b []byte) (int, error) { return unix.Writev(fd, [][]byte{b[:len(b)/2], b[len(b)/2:]}) })
	case "recvmsg-sendmsg":
		return writeAll(data, func(b []byte) (int, error) {
			return unix.SendmsgBuffers(fd, [][]byte{b[:len(b)/2], b[len(b)/2:]}, nil, nil, 0)
		})
	case "recvmmsg-sendmmsg":
		return writeAll(data, func(b []byte) (int, error) {
			return messages(unix.SYS_SENDMMSG, fd, [][]byte{b[:len(b)/3], b[len(b)/3 : len(b)/2], b[len(b)/2:]}, 0)
		})
	case "zerocopy":
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ZEROCOPY, 1); err != nil {
			return err
		}
		return writeAll(data, func(b []byte) (int, error) {
			n, err := unix.SendmsgBuffers(fd, [][]byte{b}, nil, nil, unix.MSG_ZEROCOPY)
			if err == nil {
				// The kernel says when it is done with the pages: bytes of no stream.
				if err := wait(fd, 0); err != nil {
					return n, err
				}
				_, _, _, _, err = unix.RecvmsgBuffers(fd, [][]byte{make([]byte, 64)}, make([]byte, 128), unix.MSG_ERRQUEUE)
			}
			return n, err
		})
	case "nonblocking":
		// Much more than the socket takes at once: calls that move a part, and calls that move nothing.
		return writeAll(data, func(b []byte) (int, error) {
			n, err := syscall.Write(fd, b)
			if err == syscall.EAGAIN {
				return 0, wait(fd, unix.POLLOUT)
			}
			return n, err
		})
	case "splice":
		return spliceOut(fd, data)
	case "sendfile":
		file, err := os.CreateTemp("", "sendfile")
		if err != nil {
			return err
		}
		defer os.Remove(file.Name())
		defer file.Close()
		if _, err := file.Write(data); err != nil {
			return err
		}
		var offset int64
		return writeAll(data, func(b []byte) (int, error) { return unix.Sendfile(fd, int(file.Fd()), &offset, len(b)) })
	default:
		return writeAll(data, func(b []byte) (int, error) { return len(b), unix.Sendto(fd, b, 0, nil) })
	}
}

func writeAll(data []byte, write func([]byte) (int, error)) error {
	for len(data) > 0 {
		n, err := write(data)
		if err != nil {
			return err
		}
		data = data[n:]
	}
	return nil
}

// messages is recvmmsg or sendmmsg with a buffer, in two vectors, in each message. It gives the bytes that were moved.
func messages(nr uintptr, fd int, buffers [][]byte, flags uintptr) (int, error) {
	type message struct {
		header unix.Msghdr
		len    uint32
		_      uint32
	}
	list := make([]message, len(buffers))
	vectors := make([][2]unix.Iovec, len(buffers))
	for i, b := range buffers {
		half := len(b) / 2
		for j, part := range [][]byte{b[:half], b[half:]} {
			if len(part) > 0 {
				vectors[i][j].Base = &part[0]
			}
			vectors[i][j].SetLen(len(part))
		}
		list[i].header.Iov = &vectors[i][0]
		list[i].header.SetIovlen(2)
	}
	n, _, errno := unix.Syscall6(nr, uintptr(fd), uintptr(unsafe.Pointer(&list[0])), uintptr(len(list)), flags, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	total := 0
	for i := range int(n) {
		// What was received lies where its message's buffer is: close the holes.
		if nr == unix.SYS_RECVMMSG && i > 0 {
			whole := buffers[0][:cap(buffers[0])]
			copy(whole[total:], buffers[i][:list[i].len])
		}
		total += int(list[i].len)
	}
	return total, nil
}

// spliceIn moves bytes from the socket into a pipe without a buffer of the process, and then reads the pipe.
func spliceIn(fd int, buf []byte) (int, error) {
	var pipe [2]int
	if err := syscall.Pipe(pipe[:]); err != nil {
		return 0, err
	}
	defer syscall.Close(pipe[0])
	defer syscall.Close(pipe[1])
	n, err := unix.Splice(fd, nil, pipe[1], nil, 1<<15, 0)
	if err != nil || n == 0 {
		return int(n), err
	}
	return syscall.Read(pipe[0], buf)
}

func spliceOut(fd int, data []byte) error {
	var pipe [2]int
	if err := syscall.Pipe(pipe[:]); err != nil {
		return err
	}
	defer syscall.Close(pipe[0])
	defer syscall.Close(pipe[1])
	if _, err := syscall.Write(pipe[1], data); err != nil {
		return err
	}
	return writeAll(data, func(b []byte) (int, error) {
		n, err := unix.Splice(pipe[0], nil, fd, nil, len(b), 0)
		return int(n), err
	})
}

// listenerFile gives the raw socket of a listener, for a child.
func listenerFile(l net.Listener) (*os.File, error) {
	return l.(*net.TCPListener).File()
}
