// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Sockets, without kprobes: where the kernel tells what they moved (sockets.h); before 6.5 at the exit of system calls, as here;
 * or on request at the exit of functions (functions.h).
 *
 * Here one program sees every system call's exit and leaves at once unless its number and its process are of interest. At
 * exit the registers still hold the arguments, and the result says what was really moved, so nothing is kept between
 * entry and exit. The socket is found from the descriptor through the task's file table: no knowledge of accept or
 * connect is needed, so a connection older than the agent is as good as a new one. */
#include "kernel.h"
#include "helpers.h"
#include "events.h"
#include "maps.h"
#include "again.h"
#include "socket.h"
#include "emit.h"
#include "leave.h"
#include "plain.h"
#include "process.h"
#include "calls.h"
#include "functions.h"
#include "sockets.h"
#include "openssl.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

PROGRAMS("tp_btf/sys_exit", sl_sys_exit, struct pt_regs *regs, long ret)
{
	long nr = regs->orig_ax;
	struct work *w;
	u32 tgid;
	u8 target;

	if (!interesting(nr) || ret <= 0)
		return 0;
	tgid = bpf_get_current_pid_tgid() >> 32;
	target = target_of(tgid);
	if (!target || of_other(run, PAIR_CALL))
		return 0;
	if (BPF_CORE_READ((struct task_struct *)bpf_get_current_task(), thread_info.status) & TS_COMPAT) {
		count(COUNT_COMPAT_CALLS, 1);
		return 0;
	}
	if (of_process(nr, regs, ret, tgid, target))
		return 0;
	if (target & TARGET_TLS && expected(regs->di, ret))
		return 0;
	w = work(0);
	if (w && describe(&w->call, nr, regs, ret))
		plain(w, tgid, target);
	return 0;
}

/* A mirrored process begins to listen: what comes in on that port is for it. */
static __always_inline void listens(struct sock *sk)
{
	u32 tgid = bpf_get_current_pid_tgid() >> 32;
	u16 port = BPF_CORE_READ(sk, __sk_common.skc_num);
	u8 yes = 1;

	if (port && target_of(tgid))
		bpf_map_update_elem(&ports, &port, &yes, BPF_NOEXIST);
}

/* ends tells of the end of a connection, once. */
static __always_inline void ends(struct sock *sk, struct conn *conn)
{
	u32 out = BPF_CORE_READ((struct tcp_sock *)sk, write_seq);
	struct cursor c = { .sock = (u64)sk, .mono = bpf_ktime_get_ns(), .wake = wakeup(0) };

	if (conn->closed)
		return;
	conn->closed = 1;
	if (conn->seen)
		closing(&c, conn, read_to(sk) - conn->urgent, out, 0);
	if (conn->seen_plain)
		closing(&c, conn, conn->next[DIR_IN], conn->next[DIR_OUT], FLAG_TLS);
}

/* The process's side of a connection is done when it has sent its FIN, or has let go of a connection that was reset: until then
 * it may read what came before, and a call that was under way when the reset came is told of behind it. */
PROGRAMS("tp_btf/inet_sock_set_state", sl_set_state, struct sock *sk, int oldstate, int newstate)
{
	u64 key = (u64)sk;
	struct conn *conn;

	if (newstate == TCP_LISTEN)
		listens(sk);
	if (newstate != TCP_CLOSE && newstate != TCP_FIN_WAIT1 && newstate != TCP_LAST_ACK && newstate != TCP_CLOSING)
		return 0;
	if (newstate == TCP_CLOSE && BPF_CORE_READ(sk, sk_socket))
		return 0;
	conn = bpf_map_lookup_elem(&conns, &key);
	if (conn)
		ends(sk, conn);
	return 0;
}

/* The entry stays as long as the socket: its address may be another one's from now on. */
PROGRAMS("tp_btf/tcp_destroy_sock", sl_destroy, struct sock *sk)
{
	u64 key = (u64)sk;
	struct conn *conn = bpf_map_lookup_elem(&conns, &key);

	if (!conn)
		return 0;
	ends(sk, conn);
	bpf_map_delete_elem(&conns, &key);
	return 0;
}
