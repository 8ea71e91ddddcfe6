package probe

// Stats are the programs' counters since they were loaded, over all processors.
type Stats struct {
	Events, Bytes uint64
	// RingFull counts records that found no room, RingFullBytes what they were about.
	RingFull, RingFullBytes uint64
	// TruncatedBytes were over their budget.
	TruncatedBytes uint64
	FaultBytes     uint64
	SizeOnlyBytes  uint64
	// ClientLegBytes belong to connections that a mirrored process made itself.
	ClientLegBytes  uint64
	ConnectionsFull uint64
	// CompatCalls are system calls of 32-bit code, which are not followed.
	CompatCalls   uint64
	SegmentsBytes uint64
	// TLSMismatches: a session was seen on another socket than the one it was bound to. TLSUnplacedBytes are plaintext of
	// sessions whose socket is not known.
	TLSMismatches, TLSUnplacedBytes uint64
	// CipherBytes were seen on sockets and not copied.
	CipherBytes uint64
	// TLSCallsFull are calls into TLS libraries by more threads than there is room for: what they moved is not known.
	TLSCallsFull uint64
	// ThreadsFullBytes were moved by more threads at once than there is room to work for.
	ThreadsFullBytes uint64
	// ShedBytes were moved on connections that are left out.
	ShedBytes uint64
	// UnseenBytes were moved by a way that no program follows, or in a run that the kernel skipped. How many is known from the
	// numbers of those behind them.
	UnseenBytes uint64
	// TakenAgain are runs that the kernel skipped, and the second program of the pair took.
	TakenAgain uint64
	// Missed runs: the kernel skips a program that a preempted thread is in the middle of on the same processor. Most are calls
	// that are of no interest. Those of TakenAgain are not among them.
	Missed uint64
	// Undecodable records: the object and the program differ.
	Undecodable uint64
}

// counters is the order of enum counter in bpf/capture/events.h.
func (s *Stats) counters() []*uint64 {
	return []*uint64{
		&s.Events, &s.Bytes, &s.RingFull, &s.RingFullBytes, &s.TruncatedBytes, &s.FaultBytes, &s.SizeOnlyBytes,
		&s.ClientLegBytes, &s.ConnectionsFull, &s.CompatCalls, &s.SegmentsBytes, &s.TLSMismatches, &s.TLSUnplacedBytes, &s.CipherBytes,
		&s.ThreadsFullBytes, &s.TLSCallsFull, &s.ShedBytes, &s.UnseenBytes, &s.TakenAgain,
	}
}

// Usage is what is counted of one process.
type Usage struct {
	// Undecrypted is ciphertext of connections of which no plaintext was ever seen.
	Undecrypted uint64
	// IOUring is what was moved by io_uring since it is watched.
	IOUring uint64
	// Shed requests were made on connections that are left out, which moved ShedBytes.
	Shed, ShedBytes uint64
}
