package target

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sidelight/sidelight/agent/internal/selector"
)

// record is what was found out about a process, so that a look asks only for what may have changed.
type record struct {
	// inode of its directory: a new process with an old id has another.
	inode uint64
	// exe changes when it becomes another program; id and start stay.
	exe string
	// process is filled in for candidates only: all that the filters ask for holds, ports apart.
	process   selector.Process
	candidate bool
	// parent may have been the process that is mirrored, when the socket that it listens on was closed here.
	parent uint32
	netns  string

	held    []uint64
	ioUring bool
	// read is when its descriptors were last read, and took how long that was.
	read time.Time
	took time.Duration
	// met is when it was first seen as what it is.
	met time.Time

	// inherited: it is a child of a mirrored process and runs the same program; service is its parent's.
	inherited bool
	service   string
}

// asks is what the filters want to know.
type asks struct {
	nothing, groups bool
}

func asksOf(filters []selector.Filter) asks {
	return asks{
		nothing: len(filters) == 0,
		groups:  slices.ContainsFunc(filters, func(f selector.Filter) bool { return f.Unit != "" || f.Cgroup != "" }),
	}
}

const (
	// youth is how long a process is looked at closely: it may be a script that becomes the server, or bind in a moment.
	youth = 10 * time.Second
	// olderEvery looks an older one is asked what program it is, and groupsEvery looks whether it was moved to another group,
	// which leaves no trace in its directory.
	olderEvery  = 5
	groupsEvery = 2 * olderEvery
	// Descriptors are read again after readAgain, or later if reading them is dear: never more than a thousandth of the
	// time per process, or a fiftieth while it is young or new listening sockets appear.
	readAgain     = 5 * time.Second
	readShare     = 1000
	readShareSoon = 50
)

// look decides on every process that exists.
func (w *Watcher) look() ([]Selected, error) {
	if w.asks.nothing {
		return nil, nil
	}
	w.looks++
	dir, err := w.proc.open()
	if err != nil {
		return nil, err
	}
	defer dir.close()
	w.sockets.begin()
	pids := make(map[uint32]struct{}, len(w.records)+16)
	err = dir.each(func(pid uint32, inode uint64) {
		pids[pid] = struct{}{}
		w.visit(dir, pid, inode, false)
	})
	if err != nil {
		return nil, err
	}
	maps.DeleteFunc(w.records, func(pid uint32, _ *record) bool { _, ok := pids[pid]; return !ok })
	w.sockets.forget()
	return w.decide(), nil
}

// lookAt looks at these processes alone, and says which of them are not selected.
func (w *Watcher) lookAt(pids []uint32) (set []Selected, strays []uint32) {
	if w.asks.nothing {
		return nil, nil
	}
	w.sockets.begin()
	if dir, err := w.proc.open(); err == nil {
		for _, pid := range pids {
			if inode, ok := dir.inode(pid); ok {
				w.visit(dir, pid, inode, true)
			} else {
				delete(w.records, pid)
			}
		}
		dir.close()
	}
	set = w.decide()
	for _, pid := range pids {
		if w.records[pid] != nil && !slices.ContainsFunc(set, func(s Selected) bool { return s.PID == pid }) {
			strays = append(strays, pid)
		}
	}
	return set, strays
}

// visit brings the record of one process up to date.
func (w *Watcher) visit(dir *procDir, pid uint32, inode uint64, poked bool) {
	r := w.records[pid]
	known := r != nil && r.inode == inode
	young := known && time.Since(r.met) < youth
	if turn := w.looks + uint64(pid); !known || young || poked || turn%olderEvery == 0 {
		exe, ok := dir.exe(pid)
		switch {
		case !ok:
			// A kernel thread, a zombie, or not ours to see.
			delete(w.records, pid)
			return
		case !known || r.exe != string(exe):
			r, young = w.meet(pid, inode, string(exe), r), true
			w.records[pid] = r
		case w.asks.groups && turn%groupsEvery == 0:
			w.regroup(pid, r)
		}
	}
	if r.candidate {
		w.listens(pid, r, young)
	}
}

// sameProgram: the kernel marks one whose file was replaced.
func sameProgram(a, b string) bool {
	return strings.TrimSuffix(a, " (deleted)") == strings.TrimSuffix(b, " (deleted)")
}

// meet looks at a process, or a program, that was not there before; `before` is what had its id.
func (w *Watcher) meet(pid uint32, inode uint64, exe string, before *record) *record {
	r := &record{inode: inode, exe: exe, process: selector.Process{PID: pid, Exe: exe}}
	if w.looks > 1 {
		// What was there before the first look is not young.
		r.met = time.Now()
	}
	if w.asks.groups {
		r.process.Cgroup = w.proc.cgroup(pid)
		r.process.Unit = unitOf(r.process.Cgroup)
	}
	w.weigh(pid, r)
	if before != nil && r.candidate && before.process.StartTime == r.process.StartTime && sameProgram(before.exe, r.exe) {
		// The kernel had forgotten the directory, or the file was replaced: whose child it was may be gone by now.
		r.inherited, r.service = before.inherited, before.service
	}
	return r
}

// regroup looks whether it was moved.
func (w *Watcher) regroup(pid uint32, r *record) {
	if group := w.proc.cgroup(pid); group != r.process.Cgroup {
		r.process.Cgroup, r.process.Unit = group, unitOf(group)
		w.weigh(pid, r)
	}
}

// weigh decides whether it is a candidate, and then asks for the rest.
func (w *Watcher) weigh(pid uint32, r *record) {
	r.candidate = selector.NeedsPorts(w.cfg.Filters, r.process) && !w.own.is(w.proc.path(pid, "exe"))
	if !r.candidate {
		return
	}
	process, parent, err := w.proc.process(pid)
	if err != nil || process.Exe != r.exe {
		// It is gone, or became another program meanwhile: the next look meets it anew.
		r.candidate, r.exe = false, ""
		return
	}
	r.process, r.parent, r.netns = process, parent, w.proc.netns(pid)
}

// listens reads what sockets it holds, if that may have changed.
func (w *Watcher) listens(pid uint32, r *record, young bool) {
	table := w.sockets.of(r.netns, pid, young)
	age := time.Since(r.read)
	if age >= max(readAgain, readShare*r.took) || (young || table.appeared.After(r.read)) && age >= readShareSoon*r.took {
		begin := time.Now()
		r.held, r.ioUring = w.proc.descriptors(pid, table.listeners)
		r.took, r.read = time.Since(begin), begin
	}
	r.process.Ports = portsOf(r.held, table.listeners)
}

// decide asks the filters about every candidate.
func (w *Watcher) decide() []Selected {
	known := map[uint32]Selected{}
	var others []uint32
	for pid, r := range w.records {
		if !r.candidate {
			continue
		}
		if d := selector.Decide(w.cfg.Filters, r.process); d.Mirror {
			known[pid] = Selected{r.process, d.Why, d.Service, r.ioUring}
			// What it gets from now on it has by itself.
			r.inherited = false
		} else {
			others = append(others, pid)
		}
	}
	// A parent's id is usually the lower one, so once is usually enough; a chain ends when nothing was added.
	slices.Sort(others)
	for added := true; added; {
		added = false
		for _, pid := range others {
			if _, ok := known[pid]; ok {
				continue
			}
			r := w.records[pid]
			if parent, ok := known[r.parent]; ok && sameProgram(parent.Exe, r.exe) {
				r.inherited, r.service = true, parent.Service
			}
			if r.inherited {
				known[pid] = Selected{r.process, whyChild, r.service, r.ioUring}
				added = true
			}
		}
	}
	w.mu.Lock()
	w.known = known
	w.mu.Unlock()
	return slices.SortedFunc(maps.Values(known), func(a, b Selected) int { return int(int64(a.PID) - int64(b.PID)) })
}
