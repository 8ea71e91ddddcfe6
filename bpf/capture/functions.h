/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Plain sockets at the exit of the kernel's own functions: calls that move no bytes of sockets pay nothing, and io_uring is
 * seen like any other way. Nothing is kept between entry and exit here, either: see iter.h. */
#pragma once

#include "iter.h"

/* function takes what a function moved. `msg` is its message, or 0 if no buffer of the process holds the bytes. */
static __always_inline int function(enum run run, struct socket *socket, void *msg, long ret, u8 dir, int flags)
{
	u64 thread = bpf_get_current_pid_tgid();
	u32 tgid = thread >> 32;
	struct work *w;
	struct sock *sk;
	u8 target;

	if (ret <= 0 || flags & (MSG_PEEK | MSG_ERRQUEUE))
		return 0;
	target = target_of(tgid);
	if (!target)
		return 0;
	sk = GET(struct socket, socket, sk);
	if (!sk || !is_tcp(sk) || of_other(run, dir == DIR_IN ? PAIR_RECEIVED : PAIR_SENT))
		return 0;
	if (target & TARGET_TLS && expected_on((u64)sk, ret))
		return 0;
	w = work_of(thread);
	if (!w) {
		count(COUNT_THREADS_FULL_BYTES, ret);
		return 0;
	}
	w->call.fd = -1;
	w->call.len = ret;
	w->call.dir = dir;
	if (!msg || flags & MSG_TRUNC)
		w->call.size_only = 1;
	else
		find(&w->call, msg, thread);
	on_socket(w, sk, tgid, target, OF_FUNCTION, thread);
	return 0;
}

PROGRAMS("fexit/inet_sendmsg", sl_sendmsg, struct socket *socket, void *msg, unsigned long size, int ret)
{
	return function(run, socket, msg, ret, DIR_OUT, 0);
}

PROGRAMS("fexit/inet6_sendmsg", sl_sendmsg6, struct socket *socket, void *msg, unsigned long size, int ret)
{
	return function(run, socket, msg, ret, DIR_OUT, 0);
}

PROGRAMS("fexit/inet_recvmsg", sl_recvmsg, struct socket *socket, void *msg, unsigned long size, int flags, int ret)
{
	return function(run, socket, msg, ret, DIR_IN, flags);
}

PROGRAMS("fexit/inet6_recvmsg", sl_recvmsg6, struct socket *socket, void *msg, unsigned long size, int flags, int ret)
{
	return function(run, socket, msg, ret, DIR_IN, flags);
}

/* Until 6.4; later, sendfile and splice send messages of pages. */
PROGRAMS("fexit/inet_sendpage", sl_sendpage, struct socket *socket, void *page, int offset, unsigned long size, int flags, long ret)
{
	return function(run, socket, 0, ret, DIR_OUT, 0);
}

PROGRAMS("fexit/tcp_splice_read", sl_splice_read, struct socket *socket, void *pos, void *pipe, unsigned long len, unsigned int flags, long ret)
{
	return function(run, socket, 0, ret, DIR_IN, 0);
}

/* A mirrored process maps a file to execute. */
PROGRAMS("fexit/vm_mmap_pgoff", sl_mmap, struct file *file, unsigned long addr, unsigned long len, unsigned long prot, unsigned long flag,
	 unsigned long pgoff, unsigned long ret)
{
	u32 tgid;

	if (!(prot & PROT_EXEC) || !file || (long)ret < 0)
		return 0;
	tgid = bpf_get_current_pid_tgid() >> 32;
	if (target_of(tgid) && !of_other(run, PAIR_AREA))
		notice(tgid, NOTICE_CODE);
	return 0;
}
