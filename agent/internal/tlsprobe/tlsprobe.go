// Package tlsprobe finds the TLS libraries that a process has mapped, and the places in each where plaintext can be seen.
//
// A probe costs what its first instruction costs: the kernel emulates a `push`, and single-steps what most exported functions
// begin with, at several times the price. The functions that SSL_read and SSL_write share with their variants begin with a
// `push` in most builds. They are in no symbol table, so they are found by reading the code of the exported ones; on any
// doubt the exported functions are used. Libraries come from containers and are hostile input.
package tlsprobe

import (
	"io"
	"slices"
	"strings"
)

// Role says which program sits at a site, by how the function hands over its arguments and its result.
type Role uint8

// The signatures that sites have.
const (
	// Read is int f(SSL*, void *buf, int num): the result counts bytes.
	Read Role = iota + 1
	// ReadEx is int f(SSL*, void *buf, size_t num, size_t *n): a result above 0 is success, and *n counts bytes.
	ReadEx
	// Write is int f(SSL*, const void *buf, int num).
	Write
	// WriteEx is int f(SSL*, const void *buf, size_t num, size_t *n).
	WriteEx
	// WriteEx2 is int f(SSL*, const void *buf, size_t num, uint64_t flags, size_t *n).
	WriteEx2
	// SetFD is int f(SSL*, int fd).
	SetFD
	// SetBIO is void f(SSL*, BIO *read, …).
	SetBIO
	// Free is f(SSL*): what was known of the session is no longer so.
	Free
	// Sendfile is ssize_t f(SSL*, int fd, off_t, size_t, int): the result counts bytes, which no buffer holds.
	Sendfile
)

func (r Role) String() string {
	names := [...]string{"none", "read", "read_ex", "write", "write_ex", "write_ex2", "set_fd", "set_bio", "free", "sendfile"}
	if int(r) < len(names) {
		return names[r]
	}
	return "unknown"
}

// Site is where one probe goes, and for roles that have a result its return probe too.
type Site struct {
	Role Role
	// Function is the symbol, or the name that OpenSSL's source has for a function that is in no symbol table.
	Function string
	// Offset is in the file. It is a function's first instruction or, where that only marks a branch target (endbr64), its
	// second: arguments and return address are where they were at the entry, so a return probe is right there too.
	Offset uint64
	// Inner says that it is the callee which the exported functions share.
	Inner bool
}

// Plan is where the probes of one library go.
type Plan struct {
	Stack string
	// Version is what the library says of itself: "1.1.1w", or "3.5+" where only its symbol versions tell; empty if nothing does.
	Version string
	BuildID string
	// Sites never see the same bytes twice: a function that only calls another one of them is left out.
	Sites []Site
	// Site names, for people, where reads and writes are seen.
	Site string
	// Why says, for people, why these are not the cheapest sites; empty if they are.
	Why string
}

// Functions that tell which socket a session has, and when it is over.
var sessions = []Site{
	{Role: SetFD, Function: "SSL_set_fd"},
	{Role: SetFD, Function: "SSL_set_rfd"},
	{Role: SetBIO, Function: "SSL_set_bio"},
	{Role: SetBIO, Function: "SSL_set0_rbio"},
	{Role: Free, Function: "SSL_free"},
	{Role: Free, Function: "SSL_clear"},
}

// Functions that have the kernel encrypt a file.
var senders = []Site{{Role: Sendfile, Function: "SSL_sendfile"}}

// Inspect plans the probes of an ELF library. An error says why it cannot be hooked, in words for people.
// A program with OpenSSL inside and exported passes too; finding such programs is Mapped's concern.
func Inspect(f io.ReaderAt) (*Plan, error) {
	m, err := open(f)
	if err != nil {
		return nil, err
	}
	lib, err := openssl(m)
	if err != nil {
		return nil, err
	}
	plan := &Plan{Stack: "openssl", Version: m.version(), BuildID: m.buildID()}
	reads, whyReads := lib.reads()
	writes, whyWrites := lib.writes(plan.Version)
	if whyReads == "" && whyWrites == "" && reads[0].Offset == writes[0].Offset {
		whyReads = "reads and writes seem to share one function"
		whyWrites = whyReads
		reads, writes = lib.exported(readers), lib.exported(writers)
	}
	plan.Sites = append(reads, writes...)
	var names []string
	for _, site := range plan.Sites {
		names = append(names, site.Function)
	}
	plan.Site = strings.Join(names, ", ")
	plan.Why = because(whyReads, whyWrites)
	plan.Sites = append(plan.Sites, lib.exported(slices.Concat(senders, sessions))...)
	return plan, nil
}

func because(reads, writes string) string {
	switch {
	case reads == writes:
		return reads
	case writes == "":
		return "reads: " + reads
	case reads == "":
		return "writes: " + writes
	}
	return "reads: " + reads + "; writes: " + writes
}
