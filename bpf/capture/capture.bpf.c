// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Backend A: plain sockets at the exit of system calls, without kprobes.
 *
 * One program sees every system call's exit and leaves at once unless its number and its process are of interest. At
 * exit the registers still hold the arguments, and the result says what was really moved, so nothing is kept between
 * entry and exit. The socket is found from the descriptor through the task's file table: no knowledge of accept or
 * connect is needed, so a connection older than the agent is as good as a new one. */
#include "kernel.h"
#include "helpers.h"
#include "events.h"
#include "maps.h"
#include "socket.h"
#include "emit.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

enum syscalls {
	NR_read = 0,
	NR_write = 1,
	NR_readv = 19,
	NR_writev = 20,
	NR_sendfile = 40,
	NR_accept = 43,
	NR_sendto = 44,
	NR_recvfrom = 45,
	NR_sendmsg = 46,
	NR_recvmsg = 47,
	NR_accept4 = 288,
};

static __always_inline int interesting(long nr)
{
	switch (nr) {
	case NR_read:
	case NR_write:
	case NR_readv:
	case NR_writev:
	case NR_sendfile:
	case NR_accept:
	case NR_sendto:
	case NR_recvfrom:
	case NR_sendmsg:
	case NR_recvmsg:
	case NR_accept4:
		return 1;
	}
	return 0;
}

/* accepted marks a connection as the server side from its first moment. */
static __always_inline void accepted(int fd)
{
	struct sock *sk = sock_of(fd);
	struct conn fresh = { .start = bpf_ktime_get_ns(), .role = ROLE_SERVER, .last_dir = DIR_OUT, .from_start = 1 };
	u64 key = (u64)sk;

	if (!sk)
		return;
	if (bpf_map_update_elem(&conns, &key, &fresh, BPF_ANY))
		count(COUNT_CONNECTIONS_FULL, 1);
}

SEC("tp_btf/sys_exit")
int BPF_PROG(sl_sys_exit, struct pt_regs *regs, long ret)
{
	long nr = regs->orig_ax;
	struct call call = {};
	u32 tgid;

	if (!interesting(nr) || ret <= 0)
		return 0;
	tgid = bpf_get_current_pid_tgid() >> 32;
	if (!bpf_map_lookup_elem(&targets, &tgid))
		return 0;
	if (BPF_CORE_READ((struct task_struct *)bpf_get_current_task(), thread_info.status) & TS_COMPAT) {
		count(COUNT_COMPAT_CALLS, 1);
		return 0;
	}
	call.len = ret;
	call.fd = regs->di;
	switch (nr) {
	case NR_accept:
	case NR_accept4:
		accepted(ret);
		return 0;
	case NR_recvfrom:
		if (regs->r10 & (MSG_PEEK | MSG_ERRQUEUE))
			return 0;
		call.size_only = !!(regs->r10 & MSG_TRUNC);
		/* fallthrough */
	case NR_read:
		call.dir = DIR_IN;
		call.buf = regs->si;
		break;
	case NR_write:
	case NR_sendto:
		call.dir = DIR_OUT;
		call.buf = regs->si;
		break;
	case NR_readv:
		call.dir = DIR_IN;
		call.iov = regs->si;
		call.iovlen = regs->dx;
		break;
	case NR_writev:
		call.dir = DIR_OUT;
		call.iov = regs->si;
		call.iovlen = regs->dx;
		break;
	case NR_recvmsg:
		if (regs->dx & (MSG_PEEK | MSG_ERRQUEUE))
			return 0;
		call.size_only = !!(regs->dx & MSG_TRUNC);
		/* fallthrough */
	case NR_sendmsg: {
		struct msghdr msg = {};

		call.dir = nr == NR_recvmsg ? DIR_IN : DIR_OUT;
		if (bpf_probe_read_user(&msg, sizeof(msg), (void *)regs->si)) {
			count(COUNT_FAULT_BYTES, ret);
			call.size_only = 1;
		}
		call.iov = msg.iov;
		call.iovlen = msg.iovlen;
		break;
	}
	case NR_sendfile:
		call.dir = DIR_OUT;
		call.size_only = 1;
		break;
	}
	capture(&call, tgid);
	return 0;
}

/* The process's side of a connection is done when it has sent its FIN, or the connection is gone altogether. The entry
 * stays until then, so that bytes still read from a connection that is closing are not taken for a new one. */
SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(sl_set_state, struct sock *sk, int oldstate, int newstate)
{
	u64 key = (u64)sk;
	struct conn *conn;

	if (newstate != TCP_CLOSE && newstate != TCP_FIN_WAIT1 && newstate != TCP_LAST_ACK && newstate != TCP_CLOSING)
		return 0;
	conn = bpf_map_lookup_elem(&conns, &key);
	if (!conn)
		return 0;
	if (!conn->closed) {
		conn->closed = 1;
		if (conn->seen)
			emit_close(sk, conn);
	}
	if (newstate == TCP_CLOSE)
		bpf_map_delete_elem(&conns, &key);
	return 0;
}

/* A child of a mirrored process is mirrored from its first instruction; the agent looks at it soon after. */
SEC("tp_btf/sched_process_fork")
int BPF_PROG(sl_fork, struct task_struct *parent, struct task_struct *child)
{
	u32 from = parent->tgid, to = child->tgid;
	u8 *target;

	if (from == to)
		return 0;
	target = bpf_map_lookup_elem(&targets, &from);
	if (target)
		bpf_map_update_elem(&targets, &to, target, BPF_ANY);
	return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(sl_exit, struct task_struct *task)
{
	u32 tgid = task->tgid;

	if (task->pid == task->tgid)
		bpf_map_delete_elem(&targets, &tgid);
	return 0;
}
