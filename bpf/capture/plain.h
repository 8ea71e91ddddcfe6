/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/* A call into a TLS library that a thread is in. */
struct tls_call {
	u64 ssl;
	u64 buf;
	u64 count; /* where the library writes how many bytes it moved; 0: its result says so */
	u64 sock;  /* the socket whose ciphertext moved meanwhile */
	u64 bound; /* the session's socket, if that is known and alive; else 0 */
	s32 fd;    /* of that socket, or -1 */
	u8 dir;
	u8 active; /* the thread is in the library: the entry stays when it leaves */
	u8 pad[2];
	struct cursor cursor;
};

/* By thread. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, u64);
	__type(value, struct tls_call);
} in_tls SEC(".maps");

struct received {
	u64 sock;
	u64 born;
	s32 fd;
	u32 pad;
};

/* By thread: the socket whose ciphertext it received last, outside of a TLS library. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, u64);
	__type(value, struct received);
} last_received SEC(".maps");

/* looks_tls tells whether a call's bytes begin with the header of a TLS record: type, version, length. No HTTP does. */
static __always_inline int looks_tls(struct call *call)
{
	u8 b[5] = {};
	u64 from = call->buf;
	u32 n = call->len;

	if (call->size_only || call->nmsgs)
		return 0;
	if (call->first && call->first < n)
		n = call->first;
	if (!call->buf) {
		struct iovec v;

		if (bpf_probe_read_user(&v, sizeof(v), (void *)call->iov))
			return 0;
		from = v.base;
		if (v.len < n)
			n = v.len;
	}
	if (n >= sizeof(b)) {
		if (bpf_probe_read_user(b, sizeof(b), (void *)from))
			return 0;
		return b[0] >= 0x14 && b[0] <= 0x17 && b[1] == 3 && b[2] <= 4 && b[3] <= 0x48;
	}
	if (bpf_probe_read_user(b, 1, (void *)from))
		return 0;
	return b[0] >= 0x14 && b[0] <= 0x17;
}

/* ciphertext is counted, not copied: what it says comes from the TLS library. */
static __always_inline void ciphertext(struct conn *conn, struct call *call, u32 tgid, int told)
{
	count(COUNT_CIPHER_BYTES, call->len);
	if (!told && !conn->begun && conn->role != ROLE_CLIENT) {
		struct usage *usage = usage_of(tgid);

		conn->cipher += call->len;
		if (usage)
			__sync_fetch_and_add(&usage->undecrypted, call->len);
	}
}

/* tls_evidence notes what a call on a socket says of the session that its thread is at work for. 1: the library is at work,
 * and will tell what these bytes say. */
static __always_inline int tls_evidence(u64 sock, struct conn *conn, struct call *call)
{
	u64 thread = bpf_get_current_pid_tgid();
	struct tls_call *in = bpf_map_lookup_elem(&in_tls, &thread);

	if (in && in->active) {
		/* A library may also use sockets of its own, such as a cache of sessions: only records count. */
		if (!conn->tls && looks_tls(call))
			conn->tls = 1;
		if (conn->tls && (!in->sock || in->dir == call->dir)) {
			in->sock = in->bound = sock;
			in->fd = call->fd;
		}
		return 1;
	}
	if (conn->tls && call->dir == DIR_IN) {
		struct received last = { .sock = sock, .born = conn->born, .fd = call->fd };

		bpf_map_update_elem(&last_received, &thread, &last, BPF_ANY);
	}
	return 0;
}

/* expected tells whether a call is the one that a TLS library makes on the socket of the session at hand: nothing is to be
 * found out then. */
static __always_inline int expected(s32 fd, long ret)
{
	u64 thread = bpf_get_current_pid_tgid();
	struct tls_call *in = bpf_map_lookup_elem(&in_tls, &thread);

	if (!in || !in->active || in->fd < 0 || in->fd != fd)
		return 0;
	count(COUNT_CIPHER_BYTES, ret);
	return 1;
}

/* expected_on asks the same where the socket is at hand, and no descriptor. */
static __always_inline int expected_on(u64 sock, long ret)
{
	u64 thread = bpf_get_current_pid_tgid();
	struct tls_call *in = bpf_map_lookup_elem(&in_tls, &thread);

	if (!in || !in->active || in->bound != sock)
		return 0;
	count(COUNT_CIPHER_BYTES, ret);
	return 1;
}

#ifndef MODERN
__noinline int advance_call(void)
{
	u32 zero = 0;
	struct work *w = bpf_map_lookup_elem(&works, &zero);

	return w ? advance_alone(&w->cursor) : 0;
}

__noinline int advance_function(u64 thread)
{
	struct work *w = bpf_map_lookup_elem(&moving, &thread);

	return w ? advance_alone(&w->cursor) : 0;
}
#endif

/* on_socket takes what was moved on a socket. */
static __always_inline void on_socket(struct work *w, struct sock *sk, u32 tgid, u8 target, enum whose whose, u64 thread)
{
	struct call *call = &w->call;
	struct cursor *c = &w->cursor;
	struct tcp_sock *tcp = (struct tcp_sock *)sk;
	struct conn *conn;
	int told = 0;

	conn = lookup(sk, call->dir, call->len);
	if (!conn || conn->closed)
		return;
	if (unlikely(!(conn->looked & (1 << (call->dir & 1))))) {
		conn->looked |= 1 << (call->dir & 1);
		conn->hooked |= conn->from_start && target & TARGET_TLS;
		if (!conn->tls && looks_tls(call))
			conn->tls = 1;
	}
	if (target & TARGET_TLS)
		told = tls_evidence((u64)sk, conn, call);
	if (conn->tls) {
		ciphertext(conn, call, tgid, told);
		return;
	}
	if (conn->role == ROLE_CLIENT) {
		count(COUNT_CLIENT_LEG_BYTES, call->len);
		return;
	}
	c->sock = (u64)sk;
	c->dir = call->dir;
	c->tgid = tgid;
	c->wake = wakeup(call->len);
	c->mono = bpf_ktime_get_ns();
	c->todo = c->msg_left = call->len;
	/* The counter of the stream has moved past these bytes by now. */
	if (call->dir == DIR_IN)
		c->seq = read_to(sk) - conn->urgent - call->len;
	else
		c->seq = GET(struct tcp_sock, tcp, write_seq) - call->len;
	if (unlikely(call->dir == DIR_IN && urgent(sk, conn->next[DIR_IN] + conn->urgent, c->seq - conn->next[DIR_IN], call->len))) {
		conn->urgent += c->seq - conn->next[DIR_IN];
		c->seq = conn->next[DIR_IN];
	}
	if (left_out(c, conn, call->len, c->seq, conn->next[DIR_OUT])) {
		conn->next[call->dir & 1] = c->seq + call->len;
		return;
	}
	conn->seen = 1;
	if (unlikely(c->seq != conn->next[call->dir & 1]))
		unseen(c, conn, target);
	conn->next[call->dir & 1] = c->seq + call->len;
	if (unlikely(call->size_only)) {
		c->flags = FLAG_SIZE_ONLY;
		count(COUNT_SIZE_ONLY_BYTES, call->len);
		size(c, conn);
		return;
	}
	if (call->buf) {
		c->src = call->buf;
		c->left = call->first ? call->first : call->len;
	}
	c->kernel = call->kernel;
	c->iov = call->iov;
	c->iovlen = call->iovlen;
	if (call->nmsgs) {
		c->msgs = call->msgs;
		c->nmsgs = call->nmsgs;
		c->msg_left = 0;
	}
	copy(c, conn, whose, thread);
}

/* plain takes what a system call moved on a socket. */
static __always_inline void plain(struct work *w, u32 tgid, u8 target)
{
	struct sock *sk = sock_of(w->call.fd);

	if (!sk)
		return;
	if (target & TARGET_URING && watching_uring()) {
		struct usage *usage = usage_of(tgid);

		if (usage)
			__sync_fetch_and_add(&usage->called, w->call.len);
	}
	on_socket(w, sk, tgid, target, OF_CALL, 0);
}
