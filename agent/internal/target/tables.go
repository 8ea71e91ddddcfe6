package target

import (
	"maps"
	"os"
	"time"
)

// tables are the listening sockets of each network namespace: they are the same for all its processes.
type tables struct {
	proc proc
	look uint64
	// own is the agent's network namespace, which costs little to ask; mute: it cannot be asked that way.
	own    string
	mute   bool
	byName map[string]*table
	// took is what reading all of them once takes.
	took time.Duration
}

type table struct {
	// listeners gives ports by inode.
	listeners map[uint64]uint16
	// appeared is when one was last seen that had not been there.
	appeared time.Time
	// used and tried are looks; read is when it was last read, and took how long that was.
	used, tried uint64
	read        time.Time
	took        time.Duration
}

const (
	// tableAgain bounds how late a process that binds long after its start is found; tableShare keeps the reading of all tables
	// within a hundredth of the time.
	tableAgain = time.Second
	tableShare = 100
)

func newTables(p proc) *tables { return &tables{proc: p, byName: map[string]*table{}} }

func (t *tables) begin() {
	t.look++
	if t.own == "" {
		t.own, _ = os.Readlink("/proc/self/ns/net")
	}
}

// forget drops namespaces that the look had no process of.
func (t *tables) forget() {
	maps.DeleteFunc(t.byName, func(_ string, one *table) bool {
		if one.used == t.look {
			return false
		}
		t.took -= one.took
		return true
	})
}

// of gives the listeners of a namespace by one of its processes, and anew if the process is young. Where that one is gone,
// what was known stays known.
func (t *tables) of(netns string, pid uint32, young bool) *table {
	one := t.byName[netns]
	if one == nil {
		one = &table{}
		t.byName[netns] = one
	}
	one.used = t.look
	age := time.Since(one.read)
	if one.tried == t.look || !young && age < max(tableAgain, tableShare*t.took) || age < tableShare/5*one.took {
		return one
	}
	begin := time.Now()
	fresh, err := t.ask(netns, pid)
	if err != nil {
		return one
	}
	one.tried, one.read = t.look, begin
	t.took -= one.took
	one.took = time.Since(begin)
	t.took += one.took
	for inode := range fresh {
		if _, ok := one.listeners[inode]; !ok {
			one.appeared = begin
			break
		}
	}
	one.listeners = fresh
	return one
}

func (t *tables) ask(netns string, pid uint32) (map[uint64]uint16, error) {
	if netns == t.own && netns != "" && !t.mute {
		listeners, err := ownListeners()
		if err == nil {
			return listeners, nil
		}
		// A kernel without this interface, or a security module: the slow way remains.
		t.mute = true
	}
	return t.proc.listening(pid)
}
