/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which of two programs takes what happens to a thread, where both are attached: the first one, unless the kernel skipped it. A note
 * from one to the other lies with the thread, which may change the processor in between. */
#pragma once

/* What is noted: one for each pair of programs. */
enum pair_of {
	PAIR_SENT = 1,
	PAIR_RECEIVED = 2,
	PAIR_CALL = 4,
	PAIR_FORK = 8,
	PAIR_EXEC = 16,
	PAIR_AREA = 32,
};

#ifdef MODERN
struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, u8);
} taken SEC(".maps");

/* of_other tells whether this is left to the other program. If the second one is skipped, its note stays, and counts for what comes
 * next: that is lost only if the first one is skipped then. */
static __always_inline int of_other(enum run run, enum pair_of pair)
{
	u8 *note;

	if (!preempted)
		return 0;
	note = bpf_task_storage_get(&taken, bpf_get_current_task_btf(), 0, run == FIRST ? BPF_LOCAL_STORAGE_GET_F_CREATE : 0);
	if (run == FIRST) {
		if (note)
			*note |= pair;
		return !note;
	}
	if (note && *note & pair) {
		*note &= ~pair;
		return 1;
	}
	count(COUNT_TAKEN_AGAIN, 1);
	return 0;
}
#else
static __always_inline int of_other(enum run run, enum pair_of pair)
{
	return 0;
}
#endif
