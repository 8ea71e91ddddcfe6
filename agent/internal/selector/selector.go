// Package selector decides, from what is known of a workload, whether it is mirrored, and says why.
package selector

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
)

// Filter selects processes of a plain host. What is set must all hold.
type Filter struct {
	// Executable is a glob over the program's path, or over its name if it holds no slash.
	Executable string `yaml:"executable,omitempty"`
	// Port is one that the process listens on.
	Port uint16 `yaml:"port,omitempty"`
	// Unit is a systemd unit; ".service" may be left out.
	Unit string `yaml:"unit,omitempty"`
	// Cgroup is a glob over the path of the process's control group.
	Cgroup string `yaml:"cgroup,omitempty"`
	// Service names the selected workload in the inventory; default: its executable.
	Service string `yaml:"service,omitempty"`
}

// Validate says what is wrong with a filter.
func (f Filter) Validate() error {
	if f.Executable == "" && f.Port == 0 && f.Unit == "" && f.Cgroup == "" {
		return errors.New("it selects nothing: set executable, port, unit or cgroup")
	}
	for key, glob := range map[string]string{"executable": f.Executable, "cgroup": f.Cgroup} {
		if _, err := path.Match(glob, ""); err != nil {
			return fmt.Errorf("%s %q is no valid pattern: * and ? stand for characters, [a-z] for a set", key, glob)
		}
	}
	return nil
}

// Process is what is known of a process.
type Process struct {
	PID       uint32
	StartTime uint64
	Exe       string
	Comm      string
	Ports     []uint16
	Unit      string
	Cgroup    string
}

// Decision is the answer.
type Decision struct {
	Mirror bool
	Why    string
	// Service of the filter that selected it.
	Service string
}

// Decide asks each filter in turn; the first that holds decides.
func Decide(filters []Filter, p Process) Decision {
	if len(filters) == 0 {
		return Decision{Why: "mirror.filters is empty"}
	}
	for i, f := range filters {
		if f.holds(p) {
			return Decision{Mirror: true, Why: fmt.Sprintf("mirror.filters[%d] holds", i), Service: f.Service}
		}
	}
	return Decision{Why: "no filter holds"}
}

func (f Filter) holds(p Process) bool {
	return (f.Executable == "" || matchExecutable(f.Executable, p.Exe)) &&
		(f.Port == 0 || slices.Contains(p.Ports, f.Port)) &&
		(f.Unit == "" || p.Unit == f.Unit || p.Unit == f.Unit+".service") &&
		(f.Cgroup == "" || match(f.Cgroup, p.Cgroup))
}

// NeedsPorts tells whether a process has to be asked for its sockets: the dearest question.
func NeedsPorts(filters []Filter, p Process) bool {
	return slices.ContainsFunc(filters, func(f Filter) bool {
		f.Port = 0
		return f.holds(p)
	})
}

func matchExecutable(glob, exe string) bool {
	// The kernel marks a program whose file was replaced, as an upgrade does.
	exe = strings.TrimSuffix(exe, " (deleted)")
	if !strings.Contains(glob, "/") {
		exe = path.Base(exe)
	}
	return match(glob, exe)
}

func match(glob, text string) bool {
	ok, err := path.Match(glob, text)
	return err == nil && ok
}
