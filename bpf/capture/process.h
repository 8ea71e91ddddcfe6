/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Processes come, change and go; and bytes that they move without a call that is followed. */
#pragma once

/* A child of a mirrored process is mirrored from its first instruction; the agent looks at it soon after. */
PROGRAMS("tp_btf/sched_process_fork", sl_fork, struct task_struct *parent, struct task_struct *child)
{
	u32 from = parent->tgid, to = child->tgid;
	u8 *target;

	if (from == to)
		return 0;
	target = bpf_map_lookup_elem(&targets, &from);
	if (!target || of_other(run, PAIR_FORK))
		return 0;
	bpf_map_update_elem(&targets, &to, target, BPF_ANY);
	targets_changed();
	notice(to, NOTICE_FORK);
	return 0;
}

/* Any program that starts may be one to mirror, and one that is mirrored may turn into another. */
PROGRAMS("tp_btf/sched_process_exec", sl_exec, struct task_struct *task)
{
	if (!of_other(run, PAIR_EXEC))
		notice(task->tgid, NOTICE_EXEC);
	return 0;
}

/* uses_uring marks a process that uses io_uring, and tells of it. */
static __always_inline void uses_uring(u32 tgid)
{
	u8 *target = bpf_map_lookup_elem(&targets, &tgid);

	if (!target || *target & TARGET_URING)
		return;
	*target |= TARGET_URING;
	targets_changed();
	notice(tgid, NOTICE_URING);
}

PROGRAMS("tp_btf/sched_process_exit", sl_exit, struct task_struct *task)
{
	u32 tgid = task->tgid;
	u64 thread = (u64)tgid << 32 | (u32)task->pid;

	/* Whoever it was: a process's first thread may go before the others, and it may be mirrored no longer. */
	if (functions)
		bpf_map_delete_elem(&moving, &thread);
	bpf_map_delete_elem(&in_tls, &thread);
	if (task->pid == task->tgid && !bpf_map_delete_elem(&targets, &tgid))
		targets_changed();
	return 0;
}

/* moved counts what the socket layer moved for a process, by a followed call or not: the difference is io_uring. */
static __always_inline void moved(enum run run, struct sock *sk, int ret, int flags, enum pair_of pair)
{
	u32 tgid = bpf_get_current_pid_tgid() >> 32;
	struct usage *usage;

	if (!(target_of(tgid) & TARGET_URING) || !watching_uring() || ret <= 0 || flags & (MSG_PEEK | MSG_ERRQUEUE) || !is_tcp(sk) ||
	    of_other(run, pair))
		return;
	usage = usage_of(tgid);
	if (usage)
		__sync_fetch_and_add(&usage->moved, ret);
}

PROGRAMS("tp_btf/sock_send_length", sl_sent, struct sock *sk, int ret, int flags)
{
	moved(run, sk, ret, flags, PAIR_SENT);
	return 0;
}

PROGRAMS("tp_btf/sock_recv_length", sl_received, struct sock *sk, int ret, int flags)
{
	moved(run, sk, ret, flags, PAIR_RECEIVED);
	return 0;
}
