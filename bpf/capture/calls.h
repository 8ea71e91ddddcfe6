/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/* x86-64 */
enum syscalls {
	NR_read = 0,
	NR_write = 1,
	NR_mmap = 9,
	NR_readv = 19,
	NR_writev = 20,
	NR_sendfile = 40,
	NR_accept = 43,
	NR_sendto = 44,
	NR_recvfrom = 45,
	NR_sendmsg = 46,
	NR_recvmsg = 47,
	NR_splice = 275,
	NR_accept4 = 288,
	NR_recvmmsg = 299,
	NR_sendmmsg = 307,
	NR_io_uring_setup = 425,
	NR_io_uring_enter = 426,
};

static __always_inline int interesting(long nr)
{
	switch (nr) {
	case NR_read:
	case NR_write:
	case NR_mmap:
	case NR_readv:
	case NR_writev:
	case NR_sendfile:
	case NR_accept:
	case NR_sendto:
	case NR_recvfrom:
	case NR_sendmsg:
	case NR_recvmsg:
	case NR_splice:
	case NR_accept4:
	case NR_recvmmsg:
	case NR_sendmmsg:
	case NR_io_uring_setup:
	case NR_io_uring_enter:
		return 1;
	}
	return 0;
}

/* of_process handles the calls that say something of the process or of a new connection. */
static __always_inline int of_process(long nr, struct pt_regs *regs, long ret, u32 tgid, u8 target)
{
	switch (nr) {
	case NR_accept:
	case NR_accept4:
		accepted(ret);
		return 1;
	case NR_mmap:
		if (regs->dx & PROT_EXEC && (s32)regs->r8 >= 0)
			notice(tgid, NOTICE_CODE);
		return 1;
	case NR_io_uring_setup:
	case NR_io_uring_enter:
		if (!(target & TARGET_URING))
			uses_uring(tgid);
		return 1;
	}
	return 0;
}

/* Messages of one recvmmsg or sendmmsg that are followed. */
#define MESSAGES 64

/* messages_len adds up what the messages moved: the result only counts them. */
GLOBAL __noinline int messages_len(u64 msgs, u64 n)
{
	struct mmsghdr *m = (struct mmsghdr *)msgs;
	u32 len = 0;

	for (int i = 0; i < MESSAGES && i < n; i++) {
		u32 one = 0;

		if (bpf_probe_read_user(&one, sizeof(one), &m[i].len))
			return 0;
		len += one;
	}
	return len;
}

static __always_inline int describe_messages(struct call *call, struct pt_regs *regs, long ret)
{
	call->msgs = regs->si;
	call->nmsgs = ret < MESSAGES ? ret : MESSAGES;
	call->len = messages_len(regs->si, ret);
	return (s32)call->len > 0;
}

/* describe says what a call moved, from the arguments that its registers still hold. 0: nothing, or nothing new. */
static __always_inline int describe(struct call *call, long nr, struct pt_regs *regs, long ret)
{
	call->len = ret;
	call->fd = regs->di;
	switch (nr) {
	case NR_recvfrom:
		if (regs->r10 & (MSG_PEEK | MSG_ERRQUEUE))
			return 0;
		call->size_only = !!(regs->r10 & MSG_TRUNC);
		/* fallthrough */
	case NR_read:
		call->dir = DIR_IN;
		call->buf = regs->si;
		return 1;
	case NR_write:
	case NR_sendto:
		call->dir = DIR_OUT;
		call->buf = regs->si;
		return 1;
	case NR_readv:
		call->dir = DIR_IN;
		call->iov = regs->si;
		call->iovlen = regs->dx;
		return 1;
	case NR_writev:
		call->dir = DIR_OUT;
		call->iov = regs->si;
		call->iovlen = regs->dx;
		return 1;
	case NR_recvmsg:
		if (regs->dx & (MSG_PEEK | MSG_ERRQUEUE))
			return 0;
		call->size_only = !!(regs->dx & MSG_TRUNC);
		/* fallthrough */
	case NR_sendmsg: {
		struct msghdr msg = {};

		call->dir = nr == NR_recvmsg ? DIR_IN : DIR_OUT;
		if (bpf_probe_read_user(&msg, sizeof(msg), (void *)regs->si)) {
			count(COUNT_FAULT_BYTES, ret);
			call->size_only = 1;
		}
		call->iov = msg.iov;
		call->iovlen = msg.iovlen;
		return 1;
	}
	case NR_recvmmsg:
		if (regs->r10 & (MSG_PEEK | MSG_ERRQUEUE))
			return 0;
		call->size_only = !!(regs->r10 & MSG_TRUNC);
		call->dir = DIR_IN;
		return describe_messages(call, regs, ret);
	case NR_sendmmsg:
		call->dir = DIR_OUT;
		return describe_messages(call, regs, ret);
	case NR_sendfile:
		call->dir = DIR_OUT;
		call->size_only = 1;
		return 1;
	case NR_splice:
		/* One end is a pipe: the other may be a socket. */
		call->size_only = 1;
		call->dir = DIR_IN;
		if (!sock_of(call->fd)) {
			call->fd = regs->dx;
			call->dir = DIR_OUT;
		}
		return 1;
	}
	return 0;
}
