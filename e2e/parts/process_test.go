package parts

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// process is one program of a fleet: its own user, directory and network.
type process struct {
	t    testing.TB
	name string
	host *namespace
	uid  int
	dir  string
	// program and its arguments.
	argv []string
	caps []uintptr
	// ready asks whether it is at work; nil = it is when it runs.
	ready func() error

	mu     sync.Mutex
	cmd    *exec.Cmd
	exited chan struct{}
	// meant: its end was wanted.
	meant bool
}

func (p *process) logFile() string { return filepath.Join(p.dir, "log") }

// launch starts it without waiting until it is at work.
func (p *process) launch() {
	p.t.Helper()
	log, err := os.OpenFile(p.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	require.NoError(p.t, err)
	defer log.Close()
	cmd := exec.Command(p.argv[0], p.argv[1:]...)
	cmd.Dir = p.dir
	cmd.Env = []string{"PATH=/usr/bin:/bin:/usr/sbin:/sbin", "LANG=C.UTF-8", "HOME=" + p.dir, "GOTRACEBACK=all"}
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Setpgid: true, Pdeathsig: syscall.SIGKILL, AmbientCaps: p.caps,
		Credential: &syscall.Credential{Uid: uint32(p.uid), Gid: uint32(p.uid)},
	}
	p.host.do(func() { err = cmd.Start() })
	require.NoError(p.t, err, p.name)
	exited := make(chan struct{})
	p.mu.Lock()
	p.cmd, p.exited, p.meant = cmd, exited, false
	p.mu.Unlock()
	go func() {
		_ = cmd.Wait()
		p.mu.Lock()
		if !p.meant {
			p.t.Errorf("%s ended by itself: %s\n%s", p.name, cmd.ProcessState, p.tail())
		}
		p.mu.Unlock()
		close(exited)
	}()
}

// start launches it and waits until it is at work.
func (p *process) start() {
	p.t.Helper()
	p.launch()
	p.await()
}

func (p *process) await() {
	p.t.Helper()
	if p.ready == nil {
		return
	}
	deadline := time.Now().Add(60 * time.Second)
	for {
		err := p.ready()
		if err == nil {
			return
		}
		select {
		case <-p.exited:
			p.t.Fatalf("%s ended: %s", p.name, p.tail())
		default:
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("%s is not ready: %v\n%s", p.name, err, p.tail())
		}
		<-time.After(20 * time.Millisecond)
	}
}

func (p *process) signal(s syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s == syscall.SIGKILL || s == syscall.SIGTERM || s == syscall.SIGINT || s == syscall.SIGQUIT {
		p.meant = true
	}
	// The group: nginx's workers and Postgres' backends belong to it.
	_ = syscall.Kill(-p.cmd.Process.Pid, s)
}

func (p *process) signalIfRunning(s syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd != nil {
		_ = syscall.Kill(-p.cmd.Process.Pid, s)
	}
}

// end sends the signal and waits until it is gone.
func (p *process) end(s syscall.Signal) {
	p.t.Helper()
	p.mu.Lock()
	running := p.cmd != nil
	exited := p.exited
	p.mu.Unlock()
	if !running {
		return
	}
	p.signal(s)
	select {
	case <-exited:
	case <-time.After(20 * time.Second):
		p.signal(syscall.SIGKILL)
		<-exited
		p.t.Errorf("%s had to be killed: %s did not end it\n%s", p.name, s, p.tail())
	}
}

func (p *process) kill() { p.t.Helper(); p.end(syscall.SIGKILL) }
func (p *process) stop() { p.t.Helper(); p.end(syscall.SIGTERM) }

// restart ends it as a roll-out does.
func (p *process) restart() {
	p.t.Helper()
	p.stop()
	p.start()
}

func (p *process) freeze() { p.signal(syscall.SIGSTOP) }
func (p *process) thaw()   { p.signal(syscall.SIGCONT) }

func (p *process) pid() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cmd.Process.Pid
}

// tail is the end of its log.
func (p *process) tail() string {
	text, err := os.ReadFile(p.logFile())
	if err != nil {
		return err.Error()
	}
	const most = 4000
	if len(text) > most {
		text = text[len(text)-most:]
	}
	return fmt.Sprintf("--- the log of %s ends with\n%s", p.name, bytes.TrimSpace(text))
}
