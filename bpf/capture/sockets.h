/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Plain sockets where the kernel tells what its socket layer moved (6.5): calls that move no bytes of sockets pay nothing,
 * and a call that a thread was in when the programs came is seen like any other. The socket is at hand, and the call's
 * arguments are still in the registers that the thread entered the kernel with. */
#pragma once

#ifdef MODERN
/* The message that the next bytes belong to, in a call that moves several and is told of once for each. By thread. */
struct message {
	u64 msgs;
	u32 at;
	u32 pad;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, u64);
	__type(value, struct message);
} messages SEC(".maps");

/* Whether there ever was one: few programs make such calls. */
volatile u8 had_messages;

static __always_inline void no_more_messages(void)
{
	u64 thread = bpf_get_current_pid_tgid();

	bpf_map_delete_elem(&messages, &thread);
}

#define VECTORS 1024 /* UIO_MAXIOV */

struct sum {
	u64 iov;
	u64 bytes;
};

static long add(u32 i, struct sum *s)
{
	struct iovec v;

	if (bpf_probe_read_user(&v, sizeof(v), (void *)(s->iov + i * sizeof(v))))
		return 1;
	s->bytes += v.len;
	return 0;
}

/* one_message finds the buffers of the message that was just moved. Sending ends with the first that is moved in part, and
 * receiving with the first that fails, which is told too; but not with a time limit. */
static __always_inline int one_message(struct call *call, struct pt_regs *regs, u32 moved, u8 dir)
{
	u64 thread = bpf_get_current_pid_tgid();
	struct message *known = bpf_map_lookup_elem(&messages, &thread);
	struct message next = { .msgs = regs->si, .at = known && known->msgs == regs->si ? known->at : 0 };
	struct mmsghdr m = {};
	struct sum all = {};

	if (dir == DIR_IN && regs->r8)
		return 0;
	if (bpf_probe_read_user(&m, sizeof(m), (void *)(next.msgs + next.at * sizeof(m))))
		return 0;
	call->iov = all.iov = m.hdr.iov;
	call->iovlen = m.hdr.iovlen;
	if (dir == DIR_OUT)
		bpf_loop(m.hdr.iovlen > VECTORS ? VECTORS : m.hdr.iovlen, add, &all, 0);
	next.at++;
	had_messages = 1;
	if (next.at >= (u32)regs->dx || (dir == DIR_OUT && moved < all.bytes))
		no_more_messages();
	else
		bpf_map_update_elem(&messages, &thread, &next, BPF_ANY);
	return 1;
}

/* by_uring counts what io_uring moved: whoever's registers these are, they do not say where the bytes lie. */
static __always_inline void by_uring(u32 tgid, u8 target, u32 moved)
{
	struct usage *usage = usage_of(tgid);

	if (!(target & TARGET_URING))
		uses_uring(tgid);
	if (usage)
		__sync_fetch_and_add(&usage->moved, moved);
}

/* socket takes what the socket layer moved for a thread. */
static __always_inline int socket(struct sock *sk, int ret, int flags, u8 dir, enum run run)
{
	struct task_struct *task;
	struct pt_regs *regs;
	struct call *call;
	struct work *w;
	u8 target;
	u32 tgid;
	long nr;

	if (ret <= 0) {
		if (unlikely(had_messages))
			no_more_messages();
		return 0;
	}
	task = bpf_get_current_task_btf();
	tgid = task->tgid;
	target = target_of(tgid);
	if (!target || unlikely(!is_tcp(sk)) || unlikely(flags & (MSG_PEEK | MSG_ERRQUEUE)) ||
	    of_other(run, dir == DIR_IN ? PAIR_RECEIVED : PAIR_SENT))
		return 0;
	regs = (struct pt_regs *)bpf_task_pt_regs(task);
	nr = regs->orig_ax;
	/* A worker of io_uring, or the completion of what it was asked for, on the way back from any call: then the call has
	 * its result by now. */
	if (unlikely(task->flags & (PF_IO_WORKER | PF_KTHREAD) || nr == NR_io_uring_enter || (long)regs->ax != -ENOSYS)) {
		by_uring(tgid, target, ret);
		return 0;
	}
	if (unlikely(task->thread_info.status & TS_COMPAT)) {
		count(COUNT_COMPAT_CALLS, 1);
		return 0;
	}
	if (target & TARGET_TLS && expected_on((u64)sk, ret))
		return 0;
	/* Its own of each program: one may be preempted in the middle, and the other run. */
	w = work(dir);
	if (!w)
		return 0;
	call = &w->call;
	switch (nr) {
	case NR_read:
	case NR_write:
	case NR_readv:
	case NR_writev:
	case NR_recvfrom:
	case NR_sendto:
	case NR_recvmsg:
	case NR_sendmsg:
		if (!describe(call, nr, regs, ret))
			return 0;
		break;
	case NR_recvmmsg:
	case NR_sendmmsg:
		call->size_only = !one_message(call, regs, ret, dir) || flags & MSG_TRUNC;
		break;
	case NR_sendfile:
	case NR_splice:
		call->size_only = 1;
		break;
	default:
		/* The kernel's own use of a socket. */
		return 0;
	}
	call->len = ret;
	call->dir = dir;
	call->fd = regs->di;
	on_socket(w, sk, tgid, target, OF_CALL, 0);
	return 0;
}

PROGRAMS("tp_btf/sock_send_length", sl_socket_sent, struct sock *sk, int ret, int flags)
{
	return socket(sk, ret, flags, DIR_OUT, run);
}

PROGRAMS("tp_btf/sock_recv_length", sl_socket_received, struct sock *sk, int ret, int flags)
{
	return socket(sk, ret, flags, DIR_IN, run);
}

/* A mirrored process is about to map a file that it does not write to, as a linker begins with a library. What it maps of it
 * then lies in this area, and is not told of. */
PROGRAMS("tp_btf/vm_unmapped_area", sl_area, unsigned long addr, void *info)
{
	struct task_struct *task = bpf_get_current_task_btf();
	u32 tgid = task->tgid;
	struct pt_regs *regs;

	if (!target_of(tgid))
		return 0;
	regs = (struct pt_regs *)bpf_task_pt_regs(task);
	if (regs->orig_ax == NR_mmap && (s32)regs->r8 >= 0 && regs->r10 & MAP_PRIVATE && !(regs->dx & PROT_WRITE) &&
	    !of_other(run, PAIR_AREA))
		notice(tgid, NOTICE_CODE);
	return 0;
}
#endif
