package target

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sidelight/sidelight/agent/internal/selector"
	"github.com/sidelight/sidelight/internal/testkit"
)

// roleVariable makes the test binary, copied under another name, play a server that obeys its standard input.
const roleVariable = "SIDELIGHT_TEST_PROCESS"

func TestMain(m *testing.M) {
	if os.Getenv(roleVariable) == "" {
		os.Exit(m.Run())
	}
	if err := play(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// play obeys one word per line and answers each with a line.
func play() error {
	var listener net.Listener
	orders := bufio.NewScanner(os.Stdin)
	for orders.Scan() {
		words := strings.Fields(orders.Text())
		answer := "done"
		switch words[0] {
		case "listen":
			var err error
			if listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
				return err
			}
			answer = fmt.Sprint(listener.Addr().(*net.TCPAddr).Port)
		case "close":
			if err := listener.Close(); err != nil {
				return err
			}
		case "ring":
			if _, _, errno := syscall.Syscall(unix.SYS_IO_URING_SETUP, 2, uintptr(ringParams()), 0); errno != 0 {
				answer = errno.Error()
			}
		case "fork":
			// A child that holds none of its parent's sockets, as of a server that forks per connection.
			child := exec.Command("/proc/self/exe")
			child.Env = os.Environ()
			// It holds the other end of its input itself, so it goes on when its parent is gone.
			read, write, err := os.Pipe()
			if err != nil {
				return err
			}
			child.Stdin, child.ExtraFiles = read, []*os.File{write}
			if err := child.Start(); err != nil {
				return err
			}
			answer = fmt.Sprint(child.Process.Pid)
		case "exec":
			// Its standard input stays open: it ends with this test.
			return syscall.Exec(words[1], words[1:], []string{})
		}
		fmt.Println(answer)
	}
	return orders.Err()
}

// process is a running copy of the test binary.
type process struct {
	t       *testing.T
	cmd     *exec.Cmd
	pid     uint32
	in, out *os.File
}

// copyOf gives the file a name of its own, so that other tests' processes never match.
func copyOf(t testing.TB, file, name string) string {
	t.Helper()
	own := filepath.Join(t.TempDir(), name)
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(own, content, 0o755))
	return own
}

func startProcess(t *testing.T, file string) *process {
	t.Helper()
	p := &process{t: t, cmd: exec.Command(file)}
	p.cmd.Env = append(os.Environ(), roleVariable+"=1")
	p.cmd.Stderr = t.Output()
	read, in, err := os.Pipe()
	require.NoError(t, err)
	out, write, err := os.Pipe()
	require.NoError(t, err)
	p.cmd.Stdin, p.cmd.Stdout, p.in, p.out = read, write, in, out
	require.NoError(t, p.cmd.Start())
	require.NoError(t, read.Close())
	require.NoError(t, write.Close())
	p.pid = uint32(p.cmd.Process.Pid)
	t.Cleanup(func() { _ = in.Close(); p.end(); _ = out.Close() })
	return p
}

func (p *process) end() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

// do gives an order and waits for the answer.
func (p *process) do(words ...string) string {
	p.t.Helper()
	_, err := fmt.Fprintln(p.in, strings.Join(words, " "))
	require.NoError(p.t, err)
	var answer string
	_, err = fmt.Fscanln(p.out, &answer)
	require.NoError(p.t, err)
	return answer
}

func (p *process) listen() uint16 {
	p.t.Helper()
	var port uint16
	_, err := fmt.Sscan(p.do("listen"), &port)
	require.NoError(p.t, err)
	return port
}

// watch runs a watcher and gives what it tells.
func watch(t *testing.T, cfg Config) (*Watcher, <-chan []Selected) {
	t.Helper()
	w := New(cfg, testkit.Logger(t))
	sets := make(chan []Selected, 64)
	ended := make(chan error, 1)
	go func() { ended <- w.Run(t.Context(), func(set []Selected) error { sets <- set; return nil }) }()
	t.Cleanup(func() { require.NoError(t, <-ended) })
	return w, sets
}

// next waits for the next set.
func next(t *testing.T, sets <-chan []Selected) []Selected {
	t.Helper()
	select {
	case set := <-sets:
		return set
	case <-time.After(10 * time.Second):
		t.Fatal("nothing changed within 10 s")
		return nil
	}
}

func only(name string, port uint16) []selector.Filter {
	return []selector.Filter{{Executable: name, Port: port, Service: "shop"}}
}
