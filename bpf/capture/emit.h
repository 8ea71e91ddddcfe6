/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/* A call that moved bytes: one buffer, or vectors. */
struct call {
	u64 buf;
	u64 iov;
	u64 iovlen;
	u32 len;
	s32 fd;
	u8 dir;
	u8 size_only;
};

/* Where copying stands within a call. */
struct cursor {
	struct sock *sk;
	struct conn *conn;
	u64 src;   /* next byte to copy */
	u32 left;  /* of this buffer */
	u32 todo;  /* of the call, copied or not */
	u32 allow; /* of the budget */
	u32 seq;
	u32 wake;
	u32 tgid;
	u16 flags;
	u8 dir;
};

#define SMALL 256
#define MEDIUM 1024
#define LARGE 4096
#define HUGE 16384

/* Records that one call may make: HUGE × CHUNKS is the largest budget. */
#define CHUNKS 80

static __always_inline void header(struct event *e, struct cursor *c, u32 len, u32 cap, u16 flags)
{
	e->sock = (u64)c->sk;
	e->start = c->conn->start;
	e->mono = bpf_ktime_get_ns();
	e->cgroup = bpf_get_current_cgroup_id();
	e->seq = c->seq;
	e->len = len;
	e->cap = cap;
	e->tgid = c->tgid;
	e->tid = (u32)bpf_get_current_pid_tgid();
	e->flags = flags | (c->conn->role == ROLE_SERVER ? FLAG_ACCEPTED : 0) | (c->conn->from_start ? FLAG_START : 0);
	e->dir = c->dir;
	addresses(e, c->sk);
}

static __always_inline u64 wakeup(struct cursor *c)
{
	return bpf_ringbuf_query(&ring, BPF_RB_AVAIL_DATA) > c->wake ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP;
}

#define COPY(SIZE)                                                                             \
	{                                                                                      \
		struct event *e = bpf_ringbuf_reserve(&ring, sizeof(*e) + SIZE, 0);            \
		if (!e)                                                                        \
			goto full;                                                             \
		barrier_var(n);                                                                \
		if (n > SIZE)                                                                  \
			n = SIZE;                                                              \
		if (bpf_probe_read_user(e->data, n, (void *)c->src)) {                         \
			header(e, c, n, 0, FLAG_FAULT | flags);                                \
			count(COUNT_FAULT_BYTES, n);                                           \
		} else {                                                                       \
			header(e, c, n, n, flags);                                             \
			count(COUNT_BYTES, n);                                                 \
		}                                                                              \
		bpf_ringbuf_submit(e, wakeup(c));                                              \
	}

/* chunk copies up to HUGE bytes into one record. */
static __noinline int chunk(struct cursor *c)
{
	u32 n = c->left < c->allow ? c->left : c->allow;
	u16 flags = 0;
	u32 moved;

	if (n > HUGE)
		n = HUGE;
	if (n > c->todo)
		n = c->todo;
	moved = n;
	if (c->todo > n)
		flags = FLAG_MORE;
	if (n <= SMALL) {
		COPY(SMALL)
	} else if (n <= MEDIUM) {
		COPY(MEDIUM)
	} else if (n <= LARGE) {
		COPY(LARGE)
	} else {
		COPY(HUGE)
	}
	count(COUNT_EVENTS, 1);
	goto step;
full:
	count(COUNT_RING_FULL, 1);
	count(COUNT_RING_FULL_BYTES, moved);
step:
	c->seq += moved;
	c->src += moved;
	c->left -= moved;
	c->todo -= moved;
	c->allow -= moved;
	return 0;
}

/* size tells of bytes that were moved and are not copied. */
static __noinline int size(struct cursor *c)
{
	struct event *e = bpf_ringbuf_reserve(&ring, sizeof(*e), 0);

	if (!e) {
		count(COUNT_RING_FULL, 1);
		count(COUNT_RING_FULL_BYTES, c->todo);
		return 0;
	}
	header(e, c, c->todo, 0, c->flags);
	bpf_ringbuf_submit(e, wakeup(c));
	count(COUNT_EVENTS, 1);
	return 0;
}

/* first_byte tells whether what was just read is the beginning of the stream: the counter of all bytes that ever came,
 * taken off the number of the next one, is the number of the first. */
static __always_inline int first_byte(struct sock *sk, u32 len)
{
	struct tcp_sock *tcp = (struct tcp_sock *)sk;
	u32 first = BPF_CORE_READ(tcp, rcv_nxt) - (u32)BPF_CORE_READ(tcp, bytes_received);

	return BPF_CORE_READ(tcp, copied_seq) - len == first;
}

/* lookup finds the connection, or begins it. */
static __always_inline struct conn *lookup(struct sock *sk, u8 dir, u32 len)
{
	u64 key = (u64)sk;
	struct conn *conn = bpf_map_lookup_elem(&conns, &key);
	struct conn fresh = { .start = bpf_ktime_get_ns(), .last_dir = !dir };
	u16 port = BPF_CORE_READ(sk, __sk_common.skc_num);

	if (conn)
		return conn;
	if (dir == DIR_IN)
		fresh.from_start = first_byte(sk, len);
	if (bpf_map_lookup_elem(&ports, &port))
		fresh.role = ROLE_SERVER;
	else if (dir == DIR_OUT)
		fresh.role = ROLE_CLIENT;
	if (bpf_map_update_elem(&conns, &key, &fresh, BPF_ANY))
		count(COUNT_CONNECTIONS_FULL, 1);
	return bpf_map_lookup_elem(&conns, &key);
}

static __always_inline void capture(struct call *call, u32 tgid)
{
	struct cursor c = { .sk = sock_of(call->fd), .dir = call->dir, .todo = call->len, .tgid = tgid };
	u32 zero = 0, segments = 0;
	struct settings *set = bpf_map_lookup_elem(&settings, &zero);
	struct tcp_sock *tcp = (struct tcp_sock *)c.sk;
	u32 budget;

	if (!c.sk || !set)
		return;
	c.conn = lookup(c.sk, call->dir, call->len);
	if (!c.conn || c.conn->closed)
		return;
	if (c.conn->role == ROLE_CLIENT) {
		count(COUNT_CLIENT_LEG_BYTES, call->len);
		return;
	}
	c.conn->seen = 1;
	c.wake = set->wake_at;
	/* The counter of the stream has moved past these bytes by now. */
	if (call->dir == DIR_IN)
		c.seq = BPF_CORE_READ(tcp, copied_seq) - call->len;
	else
		c.seq = BPF_CORE_READ(tcp, write_seq) - call->len;
	if (call->size_only) {
		c.flags = FLAG_SIZE_ONLY;
		count(COUNT_SIZE_ONLY_BYTES, call->len);
		size(&c);
		return;
	}
	/* A change of direction is a new message: the budget starts again. */
	if (c.conn->last_dir != call->dir) {
		c.conn->last_dir = call->dir;
		c.conn->run_bytes = 0;
	}
	budget = set->budget[call->dir & 1];
	c.allow = budget > c.conn->run_bytes ? budget - c.conn->run_bytes : 0;
	c.src = call->buf;
	c.left = call->buf ? call->len : 0;
	for (int i = 0; i < CHUNKS; i++) {
		if (!c.todo || !c.allow)
			break;
		if (!c.left) {
			struct iovec v;

			if (segments >= call->iovlen)
				break;
			if (bpf_probe_read_user(&v, sizeof(v), (void *)(call->iov + segments * sizeof(v)))) {
				c.flags = FLAG_FAULT;
				break;
			}
			segments++;
			c.src = v.base;
			c.left = v.len > 0x7fffffff ? 0x7fffffff : v.len;
			continue;
		}
		chunk(&c);
	}
	c.conn->run_bytes += call->len - c.todo;
	if (!c.todo)
		return;
	if (c.flags & FLAG_FAULT) {
		count(COUNT_FAULT_BYTES, c.todo);
	} else if (c.allow) {
		count(COUNT_SEGMENTS_BYTES, c.todo);
		c.flags = FLAG_TRUNCATED;
	} else {
		count(COUNT_TRUNCATED_BYTES, c.todo);
		c.flags = FLAG_TRUNCATED;
	}
	size(&c);
}

static __always_inline void emit_close(struct sock *sk, struct conn *conn)
{
	struct cursor c = { .sk = sk, .conn = conn, .flags = FLAG_CLOSE };
	u32 zero = 0;
	struct settings *set = bpf_map_lookup_elem(&settings, &zero);

	if (set)
		c.wake = set->wake_at;
	size(&c);
}
