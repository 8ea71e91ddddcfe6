/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the programs and the agent agree on. agent/internal/probe/record.go reads the same bytes. */
#pragma once

enum direction {
	DIR_IN = 0,  /* received by the mirrored process */
	DIR_OUT = 1, /* sent by it */
};

enum flags {
	FLAG_TRUNCATED = 1, /* over its budget: `len` says how much there was */
	FLAG_SIZE_ONLY = 2, /* sendfile, splice, SSL_sendfile: bytes that no buffer of the process held */
	FLAG_CLOSE = 4,     /* the process's side of the connection is done */
	FLAG_FAULT = 8,     /* the page could not be read */
	FLAG_ACCEPTED = 16, /* accepted by a mirrored process: the server side, beyond doubt */
	FLAG_MORE = 32,     /* another record of the same call follows */
	FLAG_START = 64,    /* the connection's first byte was seen */
	FLAG_TLS = 128,     /* plaintext of a TLS session: `seq` numbers the plaintext */
	FLAG_NOTICE = 256,  /* news of a process, not of a connection: `dir` is an enum notice */
	FLAG_SHED = 512,    /* truncated, and budgets are below what was asked for; with FLAG_CLOSE: left out from here on */
	FLAG_UNSEEN = 1024, /* with FLAG_SIZE_ONLY: moved by a way that no program follows, and found out by the numbers */
	FLAG_URING = 2048,  /* with FLAG_UNSEEN: by io_uring, as far as is known */
};

enum notice {
	NOTICE_EXEC = 1,  /* a process runs another program */
	NOTICE_FORK = 2,  /* a mirrored process has a child */
	NOTICE_CODE = 3,  /* a mirrored process mapped a file to execute: a library */
	NOTICE_URING = 4, /* a mirrored process uses io_uring */
};

/* One record of the ring. `seq` is the number of the first byte that this record is about, within its direction: the TCP
 * sequence number, or that of the plaintext. `len` bytes were moved from there on, of which `cap` stand in `data`. */
struct event {
	u64 sock;
	u64 start;
	u64 mono;
	u32 seq;
	u32 len;
	u32 cap;
	u32 tgid;
	u32 netns;
	u32 lost;  /* bytes of this direction that found no room in the ring, so far */
	u32 other; /* FLAG_CLOSE: the number of the next byte of the other direction */
	u32 pad;
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
	COUNT_TLS_MISMATCH,   /* a session was seen on another socket than the one it was bound to */
	COUNT_TLS_UNPLACED_BYTES, /* plaintext of a session whose socket is not known */
	COUNT_CIPHER_BYTES,   /* ciphertext: not copied */
	COUNT_THREADS_FULL_BYTES, /* moved by more threads than there is room to work for */
	COUNT_TLS_CALLS_FULL, /* calls into TLS libraries by more threads than there is room for */
	COUNT_SHED_BYTES,     /* of connections that are left out */
	COUNT_UNSEEN_BYTES,   /* moved by a way that no program follows */
	COUNT_TAKEN_AGAIN,    /* runs of a program behind one that the kernel skipped */
	COUNTERS,
};

/* What is counted per process, by process id, where the agent asks for it. */
struct usage {
	u64 undecrypted; /* ciphertext of connections of which no plaintext was ever seen */
	u64 moved;       /* bytes that the kernel's socket layer moved, by whatever way, since io_uring is watched */
	u64 called;      /* those of them that a followed call moved */
	u64 shed;        /* requests on connections that are left out */
	u64 shed_bytes;  /* what these connections moved */
};

/* Set by the agent, index 0 of `settings`. */
struct settings {
	u32 budget[2]; /* bytes copied per run of one direction: DIR_IN, DIR_OUT */
	u32 wake_at;   /* bytes in the ring from which the reader is woken */
	u32 uring;     /* io_uring is watched */
	u32 shed;      /* budgets are below what was asked for */
	u32 sharing;   /* of some processes, not all connections are taken */
};
