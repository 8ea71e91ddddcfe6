/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

enum role {
	ROLE_UNKNOWN = 0,
	ROLE_SERVER = 1,
	ROLE_CLIENT = 2, /* the process connected out: its requests are no exchanges of ours */
};

/* What is known of a connection while it lives. */
struct conn {
	u64 start;     /* tells two connections with one socket's address apart */
	u64 born;      /* when it was first seen */
	u64 ssl;       /* the TLS session whose plaintext flows on it */
	u64 cipher;    /* bytes dropped as ciphertext before any plaintext came */
	u32 run_bytes; /* copied since the direction last changed */
	u32 next[2];   /* number of the next byte, by direction: of the plaintext where a session has begun */
	u32 lost[2];   /* bytes that found no room in the ring, by direction */
	u32 urgent;    /* bytes of the numbers that the stream does not have: urgent ones, which a read passes over */
	u32 netns;
	u16 lport;
	u16 rport;
	u8 laddr[16];
	u8 raddr[16];
	u8 family;
	u8 last_dir;
	u8 role;
	u8 closed;
	u8 seen;       /* the agent has heard of it, as it is in the clear */
	u8 seen_plain; /* the agent has heard of its plaintext */
	u8 begun;      /* plaintext of a session moves on it */
	u8 from_start; /* its first byte was seen */
	u8 looked;     /* by direction: its first bytes were looked at, to tell TLS */
	u8 tls;        /* what the socket carries is ciphertext */
	u8 hooked;     /* its TLS library had probes from its first byte on */
	u8 out;        /* it is left out */
	u8 pad[4];
};

/* A process that is mirrored. */
enum target_flags {
	TARGET_MIRRORED = 1,
	TARGET_TLS = 2,   /* a TLS library that it maps has probes */
	TARGET_URING = 4, /* it was told that the process uses io_uring */
};

/* Processes to mirror, by process id: target_flags. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, u32);
	__type(value, u8);
} targets SEC(".maps");

/* How often `targets` changed: by the agent, and by programs here. */
volatile u64 changed_by_agent, changed_here;

static __always_inline void targets_changed(void)
{
	__sync_fetch_and_add(&changed_here, 1);
}

/* What was found out of the processes that ran last on this processor, mirrored or not: to look it up in `targets` costs a
 * multiple. Each is one word, so that it is whole at any moment: process id, the changes until then, target_flags. */
#define RECENT 256

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, RECENT);
	__type(key, u32);
	__type(value, u64);
} recent SEC(".maps");

/* target_of gives a process's target_flags. 0: it is not mirrored. */
static __always_inline u8 target_of(u32 tgid)
{
	u64 is = (u64)tgid << 32 | (u32)((changed_by_agent + changed_here) << 8);
	u32 slot = tgid % RECENT;
	u64 *known = bpf_map_lookup_elem(&recent, &slot);
	u8 *target;

	if (likely(known && (*known & ~0xffull) == is))
		return *known;
	target = bpf_map_lookup_elem(&targets, &tgid);
	if (target)
		is |= *target;
	if (known)
		*known = is;
	return is;
}

/* Processes of which not all connections are taken: how many of 2^32. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, u32);
	__type(value, u32);
} shares SEC(".maps");

/* Local ports on which mirrored processes listen. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, u16);
	__type(value, u8);
} ports SEC(".maps");

/* By socket address. The oldest give way when it is full: they then count as new, seen in mid-stream. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, u64);
	__type(value, struct conn);
} conns SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, u32);
	__type(value, struct usage);
} usages SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct settings);
} settings SEC(".maps");

/* Index 0: the reader of the ring sleeps until it is woken. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u32);
} asleep SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, COUNTERS);
	__type(key, u32);
	__type(value, u64);
} counters SEC(".maps");

/* Index 0: bytes that this processor told of since it asked how full the ring is. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u32);
} since_asked SEC(".maps");

/* Its real size is set by the loader. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 16 << 20);
} ring SEC(".maps");

/* The sockets' bytes are taken at the exit of functions, not of system calls. */
const volatile u8 functions = 0;

static __always_inline void count(u32 what, u64 n)
{
	u64 *value = bpf_map_lookup_elem(&counters, &what);

	/* Older kernels preempt programs, and another one counts meanwhile. */
	if (value)
		__sync_fetch_and_add(value, n);
}

static __always_inline struct usage *usage_of(u32 tgid)
{
	struct usage none = {};
	struct usage *known = bpf_map_lookup_elem(&usages, &tgid);

	if (known)
		return known;
	bpf_map_update_elem(&usages, &tgid, &none, BPF_NOEXIST);
	return bpf_map_lookup_elem(&usages, &tgid);
}

static __always_inline int watching_uring(void)
{
	u32 zero = 0;
	struct settings *set = bpf_map_lookup_elem(&settings, &zero);

	return set && set->uring;
}
