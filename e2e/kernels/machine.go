package kernels

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/sidelight/sidelight/e2e/kernels/guest"
)

const (
	// testTimeout ends a test binary, machineTimeout the whole machine. A newer kernel takes the emulator longer, and half an hour beside
	// other work.
	testTimeout    = 30 * time.Minute
	machineTimeout = time.Hour
	emulator       = "qemu-system-x86_64"
)

// kernel is one line of scripts/kernels.sh.
type kernel struct {
	name, version, image, modules string
}

// machine boots a kernel under software emulation: no /dev/kvm is asked for, so that it runs wherever the tests run.
type machine struct {
	kernel         kernel
	root           string
	processors     int
	megabytes      int
	console        string
	out            io.Writer
	verbose, facts bool
}

func (m *machine) command(ctx context.Context) *exec.Cmd {
	// One thread for all processors: with several, a processor of 5.10 now and then stood still for good on a jump that another
	// one had just patched into the kernel, as happens whenever a tracepoint gets its first program.
	// The kernel's own messages go to the first serial line, the tests' output to the second.
	return exec.CommandContext(ctx, emulator, "-accel", "tcg,thread=single", "-cpu", "max", "-smp", fmt.Sprint(m.processors), "-m", fmt.Sprint(m.megabytes),
		"-nodefaults", "-no-reboot", "-display", "none", "-serial", "file:"+m.console, "-serial", "stdio",
		"-kernel", m.kernel.image, "-initrd", m.root, "-append", "console=ttyS0 loglevel=5 panic=-1 softlockup_panic=1 watchdog_thresh=20 mitigations=off")
}

// run boots the machine and reads what its tests say until it powers off.
func (m *machine) run(ctx context.Context) (*results, error) {
	ctx, cancel := context.WithTimeout(ctx, machineTimeout)
	defer cancel()
	cmd := m.command(ctx)
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	serial, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("the machine's serial line: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w (scripts/setup.sh kernels installs it)", emulator, err)
	}
	r := newResults()
	done, readErr := m.read(ctx, serial, r)
	err = errors.Join(readErr, cmd.Wait())
	if done && err == nil {
		return r, nil
	}
	why := "the machine ended before its tests did"
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		why = fmt.Sprintf("the machine was stopped after %s", machineTimeout)
	}
	if err != nil {
		why += ": " + err.Error()
	}
	r.problems = append(r.problems, why+"; its last words:\n"+complaints.String()+m.lastWords())
	return r, nil
}

func (m *machine) lastWords() string {
	text, err := os.ReadFile(m.console)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(strings.ReplaceAll(string(text), "\r", "")), "\n")
	return strings.Join(lines[max(0, len(lines)-60):], "\n")
}

// read follows the serial line. It says whether the machine came to the end of its plan.
func (m *machine) read(ctx context.Context, serial io.Reader, r *results) (done bool, err error) {
	var tests *decoder
	lines := bufio.NewReader(serial)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			if tests != nil {
				r.problems = append(r.problems, tests.pkg+" did not end")
				err = errors.Join(err, tests.close())
			}
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return done, err
		}
		said, ours := strings.CutPrefix(strings.TrimSuffix(line, "\n"), guest.Line)
		if !ours {
			if tests != nil {
				if _, err := io.WriteString(tests.in, line); err != nil {
					return done, fmt.Errorf("reading test output: %w", err)
				}
			} else if m.verbose {
				fmt.Fprint(m.out, line)
			}
			continue
		}
		word, rest, _ := strings.Cut(said, " ")
		switch word {
		case "begin":
			if tests, err = m.decode(ctx, rest, r); err != nil {
				return done, err
			}
		case "end":
			if err := tests.close(); err != nil {
				return done, err
			}
			m.ended(rest, r)
			tests = nil
		case "problem":
			r.problems = append(r.problems, rest)
		case "done":
			done = true
		default:
			if m.facts || word == "kernel" {
				fmt.Fprintf(m.out, "    %s\n", said)
			}
		}
	}
}

// ended notes a binary that failed without a test of its own failing: a panic, a missing library.
func (m *machine) ended(rest string, r *results) {
	var (
		code    int
		seconds float64
		pkg     string
	)
	if _, err := fmt.Sscanf(rest, "%d %f %s", &code, &seconds, &pkg); err != nil {
		r.problems = append(r.problems, fmt.Sprintf("unreadable end of a run: %q", rest))
		return
	}
	fmt.Fprintf(m.out, "    exit %d  %s  %.1f s\n", code, pkg, seconds)
	if code != 0 && !slices.ContainsFunc(r.failed, func(n testName) bool { return n.pkg == pkg }) {
		r.problems = append(r.problems, fmt.Sprintf("%s ended with code %d", pkg, code))
	}
}

// decoder turns a test binary's output into events.
type decoder struct {
	pkg     string
	in      io.WriteCloser
	process *exec.Cmd
	ended   chan struct{}
}

func (m *machine) decode(ctx context.Context, pkg string, r *results) (*decoder, error) {
	d := &decoder{pkg: pkg, process: exec.CommandContext(ctx, "go", "tool", "test2json"), ended: make(chan struct{})}
	d.process.Dir = filepath.Dir(m.root)
	var err error
	if d.in, err = d.process.StdinPipe(); err != nil {
		return nil, fmt.Errorf("reading test output: %w", err)
	}
	events, err := d.process.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("reading test output: %w", err)
	}
	if err := d.process.Start(); err != nil {
		return nil, fmt.Errorf("starting go tool test2json: %w", err)
	}
	go func() {
		defer close(d.ended)
		lines := bufio.NewScanner(events)
		lines.Buffer(nil, 16<<20)
		for lines.Scan() {
			var e testEvent
			if json.Unmarshal(lines.Bytes(), &e) != nil {
				continue
			}
			r.add(pkg, e)
			m.show(e)
		}
	}()
	return d, nil
}

// show prints results as they come, or with -v all that the tests say; what failed is printed again at the end.
func (m *machine) show(e testEvent) {
	if e.Action == "output" && (m.verbose || e.Test == "" || strings.HasPrefix(strings.TrimSpace(e.Output), "--- ")) {
		fmt.Fprint(m.out, "    ", e.Output)
	}
}

func (d *decoder) close() error {
	closed := d.in.Close()
	<-d.ended
	if err := errors.Join(closed, d.process.Wait()); err != nil {
		return fmt.Errorf("reading the output of %s: %w", d.pkg, err)
	}
	return nil
}
