package guest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// worker is the argument with which the first process starts the second one.
const worker = "work"

// Main is process 1: it starts itself once more to do the work, reaps what the tests' orphans leave, and powers off.
func Main(ctx context.Context, args []string) error {
	if len(args) > 1 && args[1] == worker {
		return work(ctx)
	}
	if os.Getpid() != 1 {
		return errors.New("this is the first process of a test machine: run make test-kernels")
	}
	err := supervise()
	if err != nil {
		fmt.Println("init:", err)
	}
	unix.Sync()
	if err := unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF); err != nil {
		return fmt.Errorf("powering off: %w", err)
	}
	return nil
}

func supervise() error {
	if err := mountAll(); err != nil {
		// Some kernel may lack one of them; the tests that need it say so.
		fmt.Println("init:", err)
	}
	serial, err := openSerial("/dev/ttyS1")
	if err != nil {
		return err
	}
	child, err := os.StartProcess("/init", []string{"init", worker}, &os.ProcAttr{
		Dir: "/", Files: []*os.File{os.Stdin, serial, serial},
		Env: []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "TMPDIR=/tmp", "LANG=C.UTF-8"},
	})
	if err != nil {
		return fmt.Errorf("starting the worker: %w", err)
	}
	for {
		pid, err := unix.Wait4(-1, nil, 0, nil)
		if pid == child.Pid {
			return nil
		}
		if err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("waiting for the worker: %w", err)
		}
	}
}

// openSerial gives a line on which bytes stay what they are.
func openSerial(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, fmt.Errorf("opening the serial line: %w", err)
	}
	mode, err := unix.IoctlGetTermios(int(file.Fd()), unix.TCGETS)
	if err != nil {
		return nil, fmt.Errorf("reading the serial line's mode: %w", err)
	}
	mode.Oflag &^= unix.OPOST
	mode.Lflag &^= unix.ECHO | unix.ICANON | unix.ISIG
	mode.Cflag = mode.Cflag&^unix.CBAUD | unix.B115200
	if err := unix.IoctlSetTermios(int(file.Fd()), unix.TCSETS, mode); err != nil {
		return nil, fmt.Errorf("setting the serial line's mode: %w", err)
	}
	return file, nil
}

func work(ctx context.Context) error {
	out := &lines{to: os.Stdout}
	var plan Plan
	text, err := os.ReadFile(PlanPath)
	if err == nil {
		err = json.Unmarshal(text, &plan)
	}
	if err != nil {
		return fmt.Errorf("reading the plan: %w", err)
	}
	facts(out)
	if err := loopbackUp(); err != nil {
		out.say("problem %v", err)
	}
	for _, module := range plan.Modules {
		if err := loadModule(module); err != nil {
			out.say("problem %v", err)
		}
	}
	for _, r := range plan.Runs {
		out.say("begin %s", r.Package)
		started := time.Now()
		code := run(ctx, r, out)
		out.say("end %d %.1f %s", code, time.Since(started).Seconds(), r.Package)
	}
	out.say("done")
	return nil
}

// run gives the exit code, or -1 if it could not be run at all.
func run(ctx context.Context, r Run, out io.Writer) int {
	cmd := exec.CommandContext(ctx, r.Binary, r.Args...)
	cmd.Dir = r.Dir
	cmd.Stdout, cmd.Stderr = out, out
	// What a test leaves running may hold its output open.
	cmd.WaitDelay = time.Second
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		fmt.Fprintln(out, err)
		return -1
	}
	return cmd.ProcessState.ExitCode()
}

// facts are what a look at a failed run wants to know of the kernel.
func facts(out *lines) {
	first := func(path string) string {
		text, err := os.ReadFile(path)
		if err != nil {
			return "none"
		}
		line, _, _ := strings.Cut(string(text), "\n")
		return line
	}
	out.say("kernel %s", first("/proc/sys/kernel/osrelease"))
	out.say("fact uptime %s", strings.Fields(first("/proc/uptime"))[0])
	out.say("fact uprobe-pmu %s", first("/sys/bus/event_source/devices/uprobe/type"))
	out.say("fact kprobe-pmu %s", first("/sys/bus/event_source/devices/kprobe/type"))
	for _, path := range []string{"/sys/kernel/btf/vmlinux", "/sys/kernel/tracing/uprobe_events", "/sys/kernel/tracing/events/syscalls"} {
		_, err := os.Stat(path)
		out.say("fact %s %t", path, err == nil)
	}
}

// lines passes output on and begins what is said itself on a line of its own.
type lines struct {
	to   io.Writer
	open bool
}

func (l *lines) Write(p []byte) (int, error) {
	if len(p) > 0 {
		l.open = p[len(p)-1] != '\n'
	}
	return l.to.Write(p)
}

func (l *lines) say(format string, args ...any) {
	if l.open {
		fmt.Fprintln(l.to)
		l.open = false
	}
	fmt.Fprintf(l.to, Line+format+"\n", args...)
}
