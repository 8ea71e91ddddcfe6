/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Plaintext where OpenSSL takes and gives it. A thread's entry into the library is remembered, and its return says how
 * many bytes were really moved. Which socket a session belongs to is seen, not inferred: it is the one whose ciphertext
 * moved meanwhile. What such a call said once is kept until the session ends or is given another socket. */
#pragma once

struct session_key {
	u64 ssl;
	u32 tgid;
	u32 pad;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, struct session_key);
	__type(value, struct received);
} sessions SEC(".maps");

/* alive gives the connection if it is still the one that was meant: addresses of sockets are used again. */
static __always_inline struct conn *alive(struct received *of)
{
	u64 sock = of->sock;
	struct conn *conn = bpf_map_lookup_elem(&conns, &sock);

	return conn && conn->born == of->born && !conn->closed ? conn : 0;
}

static __always_inline void tls_enter(u64 ssl, u64 buf, u64 counted, u8 dir)
{
	u64 thread = bpf_get_current_pid_tgid();
	u32 tgid = thread >> 32;
	struct tls_call *in = bpf_map_lookup_elem(&in_tls, &thread);
	struct session_key key = { .ssl = ssl, .tgid = tgid };
	struct received *known;

	/* Asked each time: the library stays hooked for others when a process is mirrored no longer. */
	if (!target_of(tgid))
		return;
	if (!in) {
		struct tls_call none = {};

		bpf_map_update_elem(&in_tls, &thread, &none, BPF_ANY);
		in = bpf_map_lookup_elem(&in_tls, &thread);
		if (!in) {
			count(COUNT_TLS_CALLS_FULL, 1);
			return;
		}
	}
	known = bpf_map_lookup_elem(&sessions, &key);
	in->ssl = ssl;
	in->buf = buf;
	in->count = counted;
	in->sock = 0;
	in->fd = -1;
	in->bound = 0;
	if (known && alive(known)) {
		in->fd = known->fd;
		in->bound = known->sock;
	}
	in->dir = dir;
	in->active = 1;
}

/* Layouts of SSL and BIO: where a session's descriptor may stand. Only asked when nothing was seen, and only believed if
 * it is a socket of this process that has no other session, and that is not known to carry something else than TLS. */
static __always_inline struct conn *by_layout(u64 ssl, struct received *out)
{
	u32 version = 0;
	u64 bio = 0;
	u64 rbio = 0x10; /* 1.0.2 – 3.1 */

	if (bpf_probe_read_user(&version, sizeof(version), (void *)ssl))
		return 0;
	if (version < 0x0300 || version > 0x0304)
		rbio = 0x48; /* 3.2 and later: the version stands behind struct ssl_st */
	if (rbio == 0x48) {
		u32 there = 0;

		bpf_probe_read_user(&there, sizeof(there), (void *)(ssl + rbio));
		if (there >= 0x0300 && there <= 0x0304)
			rbio = 0x50;
	}
	if (bpf_probe_read_user(&bio, sizeof(bio), (void *)(ssl + rbio)) || !bio)
		return 0;
	for (int i = 0; i < 3; i++) {
		s32 fd = -1;
		struct sock *sk;
		struct conn *conn;

		/* BIO.num: 3.x, 1.1, 1.0.2 */
		if (bpf_probe_read_user(&fd, sizeof(fd), (void *)(bio + 0x38 - 8 * i)))
			continue;
		sk = sock_of(fd);
		if (!sk)
			continue;
		conn = lookup(sk, DIR_IN, 0);
		if (conn && !conn->closed && (conn->tls || !conn->looked) && (!conn->ssl || conn->ssl == ssl)) {
			out->sock = (u64)sk;
			out->born = conn->born;
			out->fd = fd;
			return conn;
		}
	}
	return 0;
}

/* session finds the connection of the call's session. */
static __noinline struct conn *session(struct tls_call *in, u32 tgid, u64 thread, u64 *sock)
{
	struct session_key key = { .ssl = in->ssl, .tgid = tgid };
	struct received *known = bpf_map_lookup_elem(&sessions, &key);
	struct received found = { .fd = -1 };
	struct conn *conn = 0;

	if (in->sock) {
		found.fd = in->fd;
		found.sock = in->sock;
		conn = bpf_map_lookup_elem(&conns, &found.sock);
		if (!conn || conn->closed)
			return 0;
		found.born = conn->born;
		if (known && known->sock == found.sock && known->born == found.born) {
			*sock = found.sock;
			return conn;
		}
		if (known && alive(known))
			count(COUNT_TLS_MISMATCH, 1);
	} else {
		struct received *last;

		if (known) {
			*sock = known->sock;
			conn = alive(known);
			if (conn)
				return conn;
		}
		conn = by_layout(in->ssl, &found);
		last = bpf_map_lookup_elem(&last_received, &thread);
		if (!conn && last) {
			found = *last;
			conn = alive(&found);
			if (conn && (!conn->tls || (conn->ssl && conn->ssl != in->ssl)))
				conn = 0;
		}
		if (!conn)
			return 0;
	}
	conn->ssl = in->ssl;
	bpf_map_update_elem(&sessions, &key, &found, BPF_ANY);
	*sock = found.sock;
	return conn;
}

/* began sets the numbers of the plaintext's bytes: those of the ciphertext at this moment. They only grow, also over the
 * agent's lives, so that no two requests of a connection have the same. */
static __always_inline void began(u64 sock, struct conn *conn, u32 tgid)
{
	struct usage *usage = usage_of(tgid);

	conn->tls = 1;
	conn->begun = 1;
	numbers(conn, (struct sock *)sock);
	/* It was the handshake. Of a connection that is older than the probes it may also be a request, read by a call that
	 * the thread was in when they came. */
	if (usage && conn->hooked)
		__sync_fetch_and_add(&usage->undecrypted, -conn->cipher);
	conn->cipher = 0;
}

#ifndef MODERN
__noinline int advance_tls(u64 thread)
{
	struct tls_call *in = bpf_map_lookup_elem(&in_tls, &thread);

	return in ? advance_alone(&in->cursor) : 0;
}
#endif

/* tls_moved takes what a call that has ended gave or took: `moved` bytes of plaintext. */
static __always_inline void tls_moved(struct tls_call *in, u32 tgid, u64 thread, u32 moved)
{
	u64 sock = 0;
	struct cursor *c = &in->cursor;
	struct conn *conn = session(in, tgid, thread, &sock);
	u8 dir = in->dir & 1;

	if (!conn) {
		count(COUNT_TLS_UNPLACED_BYTES, moved);
		return;
	}
	if (conn->role == ROLE_CLIENT) {
		count(COUNT_CLIENT_LEG_BYTES, moved);
		return;
	}
	if (!conn->begun)
		began(sock, conn, tgid);
	__builtin_memset(c, 0, sizeof(*c));
	c->sock = sock;
	c->dir = dir;
	c->tgid = tgid;
	c->wake = wakeup(moved);
	c->mono = bpf_ktime_get_ns();
	c->flags = FLAG_TLS;
	c->src = in->buf;
	c->todo = c->msg_left = c->left = moved;
	c->seq = conn->next[dir];
	conn->next[dir] += moved;
	if (left_out(c, conn, moved, c->seq, conn->next[DIR_OUT]))
		return;
	conn->seen_plain = 1;
	if (!in->buf) {
		c->flags |= FLAG_SIZE_ONLY;
		count(COUNT_SIZE_ONLY_BYTES, moved);
		size(c, conn);
		return;
	}
	copy(c, conn, OF_TLS, thread);
}

static __always_inline void tls_leave(long result)
{
	u64 thread = bpf_get_current_pid_tgid(), moved;
	struct tls_call *in = bpf_map_lookup_elem(&in_tls, &thread);
	u32 tgid = thread >> 32;

	if (!in || !in->active)
		return;
	in->active = 0;
	/* It may have waited in there for long. */
	if (!target_of(tgid))
		return;
	/* An int, whatever the upper half of the register holds. */
	if ((s32)result > 0) {
		moved = (u32)result;
		if (in->count && bpf_probe_read_user(&moved, sizeof(moved), (void *)in->count))
			moved = 0;
		if (moved && moved <= 0x7fffffff)
			tls_moved(in, tgid, thread, moved);
	}
}

/* int f(SSL *, void *, int) */
SEC("uprobe")
int PROBE(sl_tls_read)
{
	tls_enter(regs->di, regs->si, 0, DIR_IN);
	return 0;
}

/* int f(SSL *, void *, size_t, size_t *) */
SEC("uprobe")
int PROBE(sl_tls_read_ex)
{
	tls_enter(regs->di, regs->si, regs->cx, DIR_IN);
	return 0;
}

SEC("uprobe")
int PROBE(sl_tls_write)
{
	tls_enter(regs->di, regs->si, 0, DIR_OUT);
	return 0;
}

SEC("uprobe")
int PROBE(sl_tls_write_ex)
{
	tls_enter(regs->di, regs->si, regs->cx, DIR_OUT);
	return 0;
}

/* int f(SSL *, const void *, size_t, uint64_t, size_t *) */
SEC("uprobe")
int PROBE(sl_tls_write_ex2)
{
	tls_enter(regs->di, regs->si, regs->r8, DIR_OUT);
	return 0;
}

/* ossl_ssize_t f(SSL *, int fd, off_t, size_t, int): from a file, where the kernel encrypts. No buffer holds the bytes. */
SEC("uprobe")
int PROBE(sl_tls_sendfile)
{
	tls_enter(regs->di, 0, 0, DIR_OUT);
	return 0;
}

SEC("uretprobe")
int PROBE(sl_tls_return)
{
	tls_leave(regs->ax);
	return 0;
}

/* The session ends, or gets another socket: what was seen of it no longer holds. */
SEC("uprobe")
int PROBE(sl_tls_forget)
{
	struct session_key key = { .ssl = regs->di, .tgid = bpf_get_current_pid_tgid() >> 32 };
	struct received *known = bpf_map_lookup_elem(&sessions, &key);
	struct conn *conn;

	if (!known)
		return 0;
	conn = alive(known);
	if (conn && conn->ssl == key.ssl)
		conn->ssl = 0;
	bpf_map_delete_elem(&sessions, &key);
	return 0;
}
