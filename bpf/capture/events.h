/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the programs and the agent agree on. agent/internal/probe/record.go reads the same bytes. */
#pragma once

enum direction {
	DIR_IN = 0,  /* received by the mirrored process */
	DIR_OUT = 1, /* sent by it */
};

enum flags {
	FLAG_TRUNCATED = 1, /* over its budget: `len` says how much there was */
	FLAG_SIZE_ONLY = 2, /* sendfile, splice: bytes that no buffer of the process held */
	FLAG_CLOSE = 4,     /* the process's side of the connection is done */
	FLAG_FAULT = 8,     /* the page could not be read */
	FLAG_ACCEPTED = 16, /* accepted by a mirrored process: the server side, beyond doubt */
	FLAG_MORE = 32,     /* another record of the same call follows */
	FLAG_START = 64,    /* the connection's first byte was seen */
};

/* One record of the ring. `seq` is the TCP sequence number of the first byte that this record is about; `len` bytes
 * were moved from there on, of which `cap` stand in `data`. */
struct event {
	u64 sock;
	u64 start;
	u64 mono;
	u64 cgroup;
	u32 seq;
	u32 len;
	u32 cap;
	u32 tgid;
	u32 tid;
	u32 netns;
	u16 flags;
	u8 dir;
	u8 family;
	u16 lport;
	u16 rport;
	u8 laddr[16];
	u8 raddr[16];
	u8 data[];
};

/* Per-CPU counters. agent/internal/probe/stats.go has the same order. */
enum counter {
	COUNT_EVENTS,
	COUNT_BYTES,
	COUNT_RING_FULL,
	COUNT_RING_FULL_BYTES,
	COUNT_TRUNCATED_BYTES,
	COUNT_FAULT_BYTES,
	COUNT_SIZE_ONLY_BYTES,
	COUNT_CLIENT_LEG_BYTES,
	COUNT_CONNECTIONS_FULL,
	COUNT_COMPAT_CALLS,
	COUNT_SEGMENTS_BYTES, /* beyond the vectors that one call is followed over */
	COUNTERS,
};

/* Set by the agent, index 0 of `settings`. */
struct settings {
	u32 budget[2]; /* bytes copied per run of one direction: DIR_IN, DIR_OUT */
	u32 wake_at;   /* bytes in the ring from which the reader is woken */
	u32 pad;
};
