// Package child runs the launcher's children: this same program, started again with fewer privileges, configured
// through one pipe and reporting through another.
package child

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Verb is the hidden first argument that makes the program a child.
const Verb = "child"

const (
	configFD = 3
	eventFD  = 4
	// grace is how long a child may take to stop by itself.
	grace = 10 * time.Second
)

// Event is one line of a child's report.
type Event struct {
	// Name is "listening", "admin", "ready", "mirrored" or "failed".
	Name      string            `json:"event"`
	Addresses map[string]string `json:"addresses,omitempty"`
	Secret    string            `json:"secret,omitempty"`
	Cause     string            `json:"cause,omitempty"`
	Processes int               `json:"processes,omitempty"`
}

// Spec says what a child is and what it may do.
type Spec struct {
	Name     string
	UID, GID int
	// Capabilities it keeps, as numbers of capability.h; none for most.
	Capabilities []uintptr
	// LockMemory lets it have as many BPF maps as it likes also on kernels before 5.11, which count them as locked memory.
	LockMemory bool
	// Config is handed over as JSON, never by argument or environment, where others could read it.
	Config any
	// Output takes what it writes; nil = standard error.
	Output *os.File
	// OnEvent is called for each line of its report, in order.
	OnEvent func(Event)
}

// Run starts the child and waits for its end. A child that ends before ctx does is an error that says why.
func Run(ctx context.Context, spec Spec) error {
	config, err := json.Marshal(spec.Config)
	if err != nil {
		return fmt.Errorf("encoding the configuration of %s: %w", spec.Name, err)
	}
	configRead, configWrite, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("making a pipe for %s: %w", spec.Name, err)
	}
	defer configWrite.Close()
	eventRead, eventWrite, err := os.Pipe()
	if err != nil {
		return errors.Join(fmt.Errorf("making a pipe for %s: %w", spec.Name, err), configRead.Close())
	}
	defer eventRead.Close()

	cmd := exec.CommandContext(ctx, "/proc/self/exe", Verb, spec.Name)
	cmd.Args[0] = "sidelight"
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LANG=C.UTF-8", "HOME=/nonexistent", "GOTRACEBACK=none"}
	if os.Getenv("CI") != "" {
		cmd.Env = append(cmd.Env, "CI="+os.Getenv("CI"))
	}
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if spec.Output != nil {
		cmd.Stdout, cmd.Stderr = spec.Output, spec.Output
	}
	cmd.ExtraFiles = []*os.File{configRead, eventWrite}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		// Ctrl-C reaches the launcher alone, which stops its children in order.
		Setpgid: true,
		// A launcher that is killed takes its children along.
		Pdeathsig:   syscall.SIGTERM,
		Credential:  &syscall.Credential{Uid: uint32(spec.UID), Gid: uint32(spec.GID)},
		AmbientCaps: spec.Capabilities,
	}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = grace
	startErr := startLocked(cmd, spec.Capabilities)
	_ = configRead.Close()
	_ = eventWrite.Close()
	if startErr != nil {
		return fmt.Errorf("starting %s: %w", spec.Name, startErr)
	}
	if spec.LockMemory {
		// It waits for its configuration, so it has not begun. A kernel that does not count needs no such limit.
		limit := unix.Rlimit{Cur: unix.RLIM_INFINITY, Max: unix.RLIM_INFINITY}
		_ = unix.Prlimit(cmd.Process.Pid, unix.RLIMIT_MEMLOCK, &limit, nil)
	}
	if _, err := configWrite.Write(config); err == nil {
		_ = configWrite.Close()
	}
	cause := readEvents(eventRead, spec.OnEvent)
	err = cmd.Wait()
	switch {
	case ctx.Err() != nil:
		return nil
	case cause != "":
		return fmt.Errorf("%s: %s", spec.Name, cause)
	case err != nil:
		return fmt.Errorf("%s exited: %w", spec.Name, err)
	default:
		return fmt.Errorf("%s exited", spec.Name)
	}
}

// readEvents reads until the child closes its end, and returns the cause if it reported a failure.
func readEvents(from *os.File, on func(Event)) (cause string) {
	lines := bufio.NewScanner(from)
	for lines.Scan() {
		var event Event
		if json.Unmarshal(lines.Bytes(), &event) != nil {
			continue
		}
		if event.Name == "failed" {
			cause = event.Cause
		}
		on(event)
	}
	return cause
}

// Config reads what the launcher handed over, in the child.
func Config(into any) error {
	file := os.NewFile(configFD, "config")
	if file == nil {
		return errors.New("this verb is for the launcher alone: use `sidelight run`")
	}
	defer file.Close()
	if err := json.NewDecoder(file).Decode(into); err != nil {
		return fmt.Errorf("reading the configuration from the launcher: %w (use `sidelight run`)", err)
	}
	return nil
}

// Reporter writes the child's report.
type Reporter struct{ out *os.File }

// NewReporter takes the report pipe, in the child. Nothing that the child starts inherits it.
func NewReporter() *Reporter {
	syscall.CloseOnExec(eventFD)
	return &Reporter{out: os.NewFile(eventFD, "events")}
}

// Report sends one event. A launcher that is gone ends this process anyway.
func (r *Reporter) Report(event Event) {
	line, err := json.Marshal(event)
	if err != nil {
		return
	}
	_, _ = r.out.Write(append(line, '\n'))
}
