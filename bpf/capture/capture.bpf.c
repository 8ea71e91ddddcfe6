// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Sockets, at the exit of system calls and without kprobes, or on request at the exit of functions (functions.h).
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
#include "plain.h"
#include "process.h"
#include "calls.h"
#include "functions.h"
#include "openssl.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

SEC("tp_btf/sys_exit")
int BPF_PROG(sl_sys_exit, struct pt_regs *regs, long ret)
{
	long nr = regs->orig_ax;
	struct work *w;
	u32 tgid;
	u8 *target;

	if (!interesting(nr) || ret <= 0)
		return 0;
	tgid = bpf_get_current_pid_tgid() >> 32;
	target = bpf_map_lookup_elem(&targets, &tgid);
	if (!target)
		return 0;
	if (BPF_CORE_READ((struct task_struct *)bpf_get_current_task(), thread_info.status) & TS_COMPAT) {
		count(COUNT_COMPAT_CALLS, 1);
		return 0;
	}
	if (of_process(nr, regs, ret, tgid, target))
		return 0;
	if (*target & TARGET_TLS && expected(regs->di, ret))
		return 0;
	w = work();
	if (w && describe(&w->call, nr, regs, ret))
		plain(w, tgid, *target);
	return 0;
}

/* The process's side of a connection is done when it has sent its FIN, or the connection is gone altogether. The entry
 * stays until then, so that bytes still read from a connection that is closing are not taken for a new one. */
SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(sl_set_state, struct sock *sk, int oldstate, int newstate)
{
	struct tcp_sock *tcp = (struct tcp_sock *)sk;
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
			closing(key, conn, BPF_CORE_READ(tcp, copied_seq), BPF_CORE_READ(tcp, write_seq), 0);
		if (conn->seen_plain)
			closing(key, conn, conn->plain[DIR_IN], conn->plain[DIR_OUT], FLAG_TLS);
	}
	if (newstate == TCP_CLOSE)
		bpf_map_delete_elem(&conns, &key);
	return 0;
}
