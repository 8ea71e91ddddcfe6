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
	u32 run_bytes; /* copied since the direction last changed */
	u8 last_dir;
	u8 role;
	u8 closed;
	u8 seen;       /* the agent has heard of it */
	u8 from_start; /* its first byte was seen */
	u8 pad[7];
};

/* Processes to mirror, by process id. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, u32);
	__type(value, u8);
} targets SEC(".maps");

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
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct settings);
} settings SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, COUNTERS);
	__type(key, u32);
	__type(value, u64);
} counters SEC(".maps");

/* Its real size is set by the loader. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 16 << 20);
} ring SEC(".maps");

static __always_inline void count(u32 what, u64 n)
{
	u64 *value = bpf_map_lookup_elem(&counters, &what);

	if (value)
		*value += n;
}
