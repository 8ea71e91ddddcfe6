/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/* A call that moved bytes: one buffer, or vectors, or messages with vectors each. */
struct call {
	u64 buf;
	u64 iov;
	u64 iovlen;
	u64 msgs;
	u32 nmsgs;
	u32 len;
	u32 first; /* bytes of `buf`, where vectors follow */
	s32 fd;    /* -1: the socket is known without it */
	u8 dir;
	u8 size_only;
	u8 kernel; /* the vectors are the kernel's own copy */
	u8 pad[5];
};

/* Where copying stands within a call. It lies in a map, not on the stack: of what lies there the verifier remembers no
 * values, so that it need not follow every iteration of a loop by itself. */
struct cursor {
	u64 sock;
	u64 iov; /* next vector */
	u64 iovlen;
	u64 msgs; /* next message */
	u64 src;  /* next byte to copy */
	struct iovec ahead; /* the vector after the one at hand, if it was read with it */
	u32 nmsgs;
	u32 msg_left; /* of this message */
	u32 left;     /* of this buffer */
	u32 todo;     /* of the call, copied or not */
	u32 allow;    /* of the budget */
	u32 seq;
	u32 tgid;
	u32 wake; /* how the reader is told of the records */
	u32 records;
	u32 pad0;
	u64 mono;
	u16 flags;
	u8 dir;
	u8 kernel;   /* as in struct call */
	u8 is_ahead; /* `ahead` is set */
	u8 pad1[3];
};

/* What a program works with between two records. A tracepoint's program does not run twice at a time on a processor, so one
 * for each will do. */
struct work {
	struct call call;
	struct cursor cursor;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 2);
	__type(key, u32);
	__type(value, struct work);
} works SEC(".maps");

static __always_inline struct work *work(u32 of)
{
	struct work *w = bpf_map_lookup_elem(&works, &of);

	if (w)
		__builtin_memset(w, 0, sizeof(*w));
	return w;
}

/* By thread: what programs at functions work with. Older kernels preempt them. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, u64);
	__type(value, struct work);
} moving SEC(".maps");

static __noinline int begin(u64 thread)
{
	struct work none = {};

	return bpf_map_update_elem(&moving, &thread, &none, BPF_ANY);
}

static __always_inline struct work *work_of(u64 thread)
{
	struct work *w = bpf_map_lookup_elem(&moving, &thread);

	if (!w) {
		begin(thread);
		return bpf_map_lookup_elem(&moving, &thread);
	}
	__builtin_memset(w, 0, sizeof(*w));
	return w;
}

#define SMALL 256
#define MEDIUM 1024
#define LARGE 4096
#define HUGE 16384

/* Records and vectors that one call is followed over. What a call moved beyond them is told by its size. */
#define STEPS 40

static __always_inline void header(struct event *e, struct cursor *c, struct conn *conn, u32 len, u32 cap, u16 flags)
{
	e->sock = c->sock;
	e->start = conn->start;
	e->mono = c->mono;
	e->seq = c->seq;
	e->len = len;
	e->cap = cap;
	e->tgid = c->tgid;
	e->netns = conn->netns;
	flags |= c->flags;
	if (conn->role == ROLE_SERVER)
		flags |= FLAG_ACCEPTED;
	if (conn->from_start && (conn->hooked || !(flags & FLAG_TLS)))
		flags |= FLAG_START;
	e->flags = flags;
	e->dir = c->dir;
	e->family = conn->family;
	e->lport = conn->lport;
	e->rport = conn->rport;
	__builtin_memcpy(e->laddr, conn->laddr, 16);
	__builtin_memcpy(e->raddr, conn->raddr, 16);
	e->lost = conn->lost[c->dir & 1];
	e->other = 0;
	e->pad = 0;
}

/* wakeup: a reader that is awake comes by itself, and is woken only when the ring fills up; one that sleeps, at once. How full it is
 * is asked for once per some bytes: where the reader stands is on another processor's cache line. */
static __always_inline u32 wakeup(u32 moved)
{
	u32 zero = 0;
	u32 *sleeps = bpf_map_lookup_elem(&asleep, &zero);
	struct settings *set = bpf_map_lookup_elem(&settings, &zero);
	u32 *since = bpf_map_lookup_elem(&since_asked, &zero);

	if (sleeps && *sleeps) {
		*sleeps = 0;
		return BPF_RB_FORCE_WAKEUP;
	}
	if (!set || !since)
		return BPF_RB_NO_WAKEUP;
	*since += sizeof(struct event) + moved;
	if (*since < set->wake_at / 64)
		return BPF_RB_NO_WAKEUP;
	*since = 0;
	return bpf_ringbuf_query(&ring, BPF_RB_AVAIL_DATA) > set->wake_at ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP;
}

/* vectors reads the next one, or two if they lie in one page: the helper costs far more than what it reads. */
static __always_inline int vectors(struct cursor *c, struct iovec *v)
{
	struct iovec two[2];
	u32 n;

	c->is_ahead = c->iovlen > 1 && (c->iov & 4095) <= 4096 - sizeof(two);
	n = c->is_ahead ? sizeof(two) : sizeof(*v);
	if (functions && c->kernel ? bpf_probe_read_kernel(two, n, (void *)c->iov) : bpf_probe_read_user(two, n, (void *)c->iov))
		return -1;
	*v = two[0];
	c->ahead = two[1];
	return 0;
}

/* step goes to the next buffer of the call. 0: there is none, or it cannot be read. */
static __always_inline int step(struct cursor *c)
{
	if (c->iovlen && c->msg_left) {
		struct iovec v;

		if (c->is_ahead) {
			v = c->ahead;
			c->is_ahead = 0;
		} else if (vectors(c, &v)) {
			c->flags |= FLAG_FAULT;
			return 0;
		}
		c->iov += sizeof(v);
		c->iovlen--;
		c->src = v.base;
		c->left = v.len > 0x7fffffff ? 0x7fffffff : v.len;
		return 1;
	}
	if (c->nmsgs) {
		struct mmsghdr m;

		if (bpf_probe_read_user(&m, sizeof(m), (void *)c->msgs)) {
			c->flags |= FLAG_FAULT;
			return 0;
		}
		c->msgs += sizeof(m);
		c->nmsgs--;
		c->iov = m.hdr.iov;
		c->iovlen = m.hdr.iovlen;
		c->msg_left = m.len;
		c->is_ahead = 0;
		return 1;
	}
	return 0;
}

/* gather fills a record of at most SIZE bytes from as many buffers as it takes: an answer's head and body are often two.
 * Twice the room is reserved, since the verifier does not see that what stands there and what is added are SIZE together. */
#ifdef MODERN
#define GATHER 4
#else
#define GATHER 1
#endif

#define COPY(SIZE, BUFFERS)                                                                    \
	{                                                                                      \
		struct event *e = bpf_ringbuf_reserve(&ring, sizeof(*e) + (BUFFERS > 1 ? 2 : 1) * SIZE, 0); \
		u32 at = 0;                                                                    \
                                                                                               \
		if (!e)                                                                        \
			goto full;                                                             \
		for (int i = 0; i < BUFFERS; i++) {                                            \
			u32 n, to;                                                             \
                                                                                               \
			if (at >= SIZE)                                                        \
				break;                                                         \
			n = part(c, SIZE - at);                                                \
			to = at;                                                               \
			barrier_var(to);                                                       \
			barrier_var(n);                                                        \
			if (n > SIZE)                                                          \
				n = SIZE;                                                      \
			if (!n || bpf_probe_read_user(BUFFERS > 1 ? e->data + (to & (SIZE - 1)) : e->data, n, (void *)c->src)) \
				break;                                                         \
			at += n;                                                               \
			take(c, n);                                                            \
			if (BUFFERS > 1 && (!c->todo || !c->allow || (!c->left && !step(c))))  \
				break;                                                         \
		}                                                                              \
		moved = cap = at;                                                              \
		if (!at) {                                                                     \
			/* Not readable. */                                                    \
			moved = part(c, SIZE);                                                 \
			take(c, moved);                                                        \
			flags = FLAG_FAULT;                                                    \
		}                                                                              \
		if (c->todo)                                                                   \
			flags |= FLAG_MORE;                                                    \
		header(e, c, conn, moved, cap, flags);                                         \
		bpf_ringbuf_submit(e, c->wake);                                                \
	}

/* part is how much of the buffer at hand goes into so much room. */
static __always_inline u32 part(struct cursor *c, u32 room)
{
	u32 n = c->left;

	if (n > c->allow)
		n = c->allow;
	if (n > c->msg_left)
		n = c->msg_left;
	return n > room ? room : n;
}

static __always_inline void take(struct cursor *c, u32 n)
{
	c->src += n;
	c->left -= n;
	c->todo -= n;
	c->msg_left -= n;
	c->allow -= n;
}

/* chunk makes one record. Most calls have one buffer: what they reserve is half as much. */
static __noinline int chunk(struct cursor *c, struct conn *conn)
{
	u32 all = c->todo < c->allow ? c->todo : c->allow;
	u32 first = part(c, HUGE), moved, cap;
	u16 flags = 0;

	if (GATHER == 1)
		all = first;
	if (first == all && all <= SMALL) {
		COPY(SMALL, 1)
	} else if (all <= SMALL) {
		COPY(SMALL, GATHER)
	} else if (first == all && all <= MEDIUM) {
		COPY(MEDIUM, 1)
	} else if (all <= MEDIUM) {
		COPY(MEDIUM, GATHER)
	} else if (first <= LARGE) {
		COPY(LARGE, 1)
	} else {
		COPY(HUGE, 1)
	}
	c->records++;
	count(cap ? COUNT_BYTES : COUNT_FAULT_BYTES, moved);
	c->seq += moved;
	return 0;
full:
	moved = part(c, HUGE);
	take(c, moved);
	c->seq += moved;
	count(COUNT_RING_FULL, 1);
	count(COUNT_RING_FULL_BYTES, moved);
	conn->lost[c->dir & 1] += moved;
	return 0;
}

/* size tells of bytes that were moved and are not copied. */
static __noinline int size(struct cursor *c, struct conn *conn)
{
	struct event *e = bpf_ringbuf_reserve(&ring, sizeof(*e), 0);

	if (!e) {
		count(COUNT_RING_FULL, 1);
		count(COUNT_RING_FULL_BYTES, c->todo);
		conn->lost[c->dir & 1] += c->todo;
		return 0;
	}
	header(e, c, conn, c->todo, 0, 0);
	bpf_ringbuf_submit(e, c->wake);
	count(COUNT_EVENTS, 1);
	return 0;
}

/* unseen tells of the bytes before these that no program saw. */
static __noinline int unseen(struct cursor *c, struct conn *conn, u8 target)
{
	u32 seq = c->seq, todo = c->todo, next = conn->next[c->dir & 1];
	u16 flags = c->flags;

	c->seq = next;
	c->todo = seq - next;
	/* Numbers go back where two threads move bytes at the same time. */
	if (c->todo < 1u << 31) {
		c->flags = FLAG_SIZE_ONLY | FLAG_UNSEEN | (target & TARGET_URING ? FLAG_URING : 0);
		count(COUNT_UNSEEN_BYTES, c->todo);
		size(c, conn);
	}
	c->seq = seq;
	c->todo = todo;
	c->flags = flags;
	return 0;
}

/* advance makes one record, or goes to the next buffer. 0: there is nothing more to do. */
static __always_inline int advance(struct cursor *c, struct conn *conn)
{
	if (!c->todo || !c->allow)
		return 0;
	if (!c->left || !c->msg_left)
		return step(c);
	chunk(c, conn);
	return 1;
}

/* Whose cursor is worked with: the processor's, or one of a thread. */
enum whose {
	OF_CALL,
	OF_FUNCTION,
	OF_TLS,
};

#ifdef MODERN
/* What one step works on. */
struct pair {
	struct cursor *c;
	struct conn *conn;
};

static long one(u32 i, struct pair *p)
{
	return !advance(p->c, p->conn) || !p->c->todo || !p->c->allow;
}

/* steps goes over a call's buffers. */
static __always_inline void steps(struct cursor *c, struct conn *conn, enum whose whose, u64 thread)
{
	struct pair p = { .c = c, .conn = conn };

	/* Most calls are one record, and one round. */
	if (!c->left)
		step(c);
	bpf_loop(STEPS, one, &p, 0);
}
#else
/* Global functions, which find their cursor themselves: so the verifier looks at a step once, by itself, and not in each
 * iteration together with all that the ones before may have left behind. It would give up on that before 6.5. */
int advance_call(void);
int advance_function(u64 thread);
int advance_tls(u64 thread);

/* advance_alone finds the connection, too. */
static __always_inline int advance_alone(struct cursor *c)
{
	u64 sock = c->sock;
	struct conn *conn = bpf_map_lookup_elem(&conns, &sock);

	return conn ? advance(c, conn) : 0;
}

static __always_inline void steps(struct cursor *c, struct conn *conn, enum whose whose, u64 thread)
{
	for (int i = 0; i < STEPS; i++)
		if (!(whose == OF_TLS ? advance_tls(thread) : whose == OF_FUNCTION ? advance_function(thread) : advance_call()))
			break;
}
#endif

/* copy makes records of a call's bytes, as far as the budget of the run goes. */
static __always_inline void copy(struct cursor *c, struct conn *conn, enum whose whose, u64 thread)
{
	u32 zero = 0, todo = c->todo;
	struct settings *set = bpf_map_lookup_elem(&settings, &zero);
	u32 budget;

	if (!set)
		return;
	/* A change of direction is a new message: the budget starts again. */
	if (conn->last_dir != c->dir) {
		conn->last_dir = c->dir;
		conn->run_bytes = 0;
	}
	budget = set->budget[c->dir & 1];
	c->allow = budget > conn->run_bytes ? budget - conn->run_bytes : 0;
	steps(c, conn, whose, thread);
	count(COUNT_EVENTS, c->records);
	conn->run_bytes += todo - c->todo;
	if (!c->todo)
		return;
	if (c->flags & FLAG_FAULT) {
		count(COUNT_FAULT_BYTES, c->todo);
	} else if (c->allow) {
		count(COUNT_SEGMENTS_BYTES, c->todo);
		c->flags |= FLAG_TRUNCATED;
	} else {
		count(COUNT_TRUNCATED_BYTES, c->todo);
		c->flags |= FLAG_TRUNCATED | (set->shed ? FLAG_SHED : 0);
	}
	size(c, conn);
}

/* rest tells of the last bytes of a direction, if no program saw them. */
static __always_inline void rest(struct cursor *c, struct conn *conn, u8 dir, u32 end, u8 target)
{
	c->dir = dir;
	c->seq = end;
	if (end != conn->next[dir & 1])
		unseen(c, conn, target);
}

/* closing tells that the process's side is done, and where both directions ended. The cursor is worked with. */
static __noinline int closing(struct cursor *c, struct conn *conn, u32 in, u32 out, u16 flags)
{
	u32 tgid = bpf_get_current_pid_tgid() >> 32;
	u8 target = target_of(tgid);
	struct event *e;

	c->flags = flags;
	if (!(flags & FLAG_TLS) && !conn->tls) {
		rest(c, conn, DIR_OUT, out, target);
		rest(c, conn, DIR_IN, in, target);
	}
	e = bpf_ringbuf_reserve(&ring, sizeof(*e), 0);
	if (!e) {
		count(COUNT_RING_FULL, 1);
		return 0;
	}
	c->flags = FLAG_CLOSE | flags;
	c->dir = DIR_IN;
	c->seq = in;
	header(e, c, conn, 0, 0, 0);
	e->other = out;
	bpf_ringbuf_submit(e, c->wake);
	count(COUNT_EVENTS, 1);
	return 0;
}

static __always_inline void notice(u32 tgid, u8 what)
{
	struct event *e = bpf_ringbuf_reserve(&ring, sizeof(*e), 0);

	if (!e) {
		count(COUNT_RING_FULL, 1);
		return;
	}
	__builtin_memset(e, 0, sizeof(*e));
	e->mono = bpf_ktime_get_ns();
	e->tgid = tgid;
	e->flags = FLAG_NOTICE;
	e->dir = what;
	bpf_ringbuf_submit(e, wakeup(0));
}
