package probe

import (
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"testing"

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
// socket as descriptor 3, and ends with its standard input.
func serve(how string) error {
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	for {
		fd, _, err := syscall.Accept4(3, 0)
		if err != nil {
			return fmt.Errorf("accept: %w", err)
		}
		go func() {
			defer syscall.Close(fd)
			buf := make([]byte, 1<<20)
			for {
				n, err := receive(how, fd, buf)
				if n <= 0 || err != nil {
					return
				}
				if send(how, fd, buf[:n]) != nil {
					return
				}
			}
		}()
	}
}

func receive(how string, fd int, buf []byte) (int, error) {
	switch how {
	case "read-write", "sendfile":
		return syscall.Read(fd, buf)
	case "readv-writev":
		third := len(buf) / 3
		n, err := unix.Readv(fd, [][]byte{buf[:10], buf[10:third], buf[third:]})
		return n, err
	case "recvmsg-sendmsg":
		n, _, _, _, err := unix.RecvmsgBuffers(fd, [][]byte{buf[:7], buf[7:]}, nil, 0)
		return n, err
	default: // recvfrom, with a peek before, which must not be seen
		if _, _, err := unix.Recvfrom(fd, buf[:3], unix.MSG_PEEK); err != nil {
			return 0, err
		}
		n, _, err := unix.Recvfrom(fd, buf, 0)
		return n, err
	}
}

func send(how string, fd int, data []byte) error {
	switch how {
	case "read-write":
		return writeAll(data, func(b []byte) (int, error) { return syscall.Write(fd, b) })
	case "readv-writev":
		return writeAll(data, func(b []byte) (int, error) { return unix.Writev(fd, [][]byte{b[:len(b)/2], b[len(b)/2:]}) })
	case "recvmsg-sendmsg":
		return writeAll(data, func(b []byte) (int, error) {
			return unix.SendmsgBuffers(fd, [][]byte{b[:len(b)/2], b[len(b)/2:]}, nil, nil, 0)
		})
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

// listenerFile gives the raw socket of a listener, for a child.
func listenerFile(l net.Listener) (*os.File, error) {
	return l.(*net.TCPListener).File()
}
