/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once

/* Newer kernels (6.2) let a pointer be declared to be of a type, and then read through: one load, where a call of the
 * helper costs twenty times as much. */
#ifdef MODERN
extern void *bpf_rdonly_cast(const void *of, u32 type) __ksym;
#define AS(type, p) ((type *)bpf_rdonly_cast(p, bpf_core_type_id_kernel(type)))
#define GET(type, p, field) (AS(type, p)->field)
#else
#define GET(type, p, field) BPF_CORE_READ((type *)(p), field)
#endif

/* is_tcp tells whether a socket is one that may carry HTTP. */
static __always_inline int is_tcp(struct sock *sk)
{
	u16 family = GET(struct sock, sk, __sk_common.skc_family);

	/* Not MPTCP: its number ends in the same byte, and what follows is another struct. */
	return (family == AF_INET || family == AF_INET6) && GET(struct sock, sk, sk_protocol) == IPPROTO_TCP;
}

/* sock_of walks descriptor → file → socket → sock of the current task. NULL: not a TCP socket. */
static __always_inline struct sock *sock_of(int fd)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	struct files_struct *files = GET(struct task_struct, task, files);
	struct fdtable *fdt = GET(struct files_struct, files, fdt);
	struct file **fds = GET(struct fdtable, fdt, fd);
	struct file *file = 0;
	struct inode *inode;
	struct socket *socket;
	struct sock *sk;

	if (fd < 0 || (u32)fd >= GET(struct fdtable, fdt, max_fds))
		return 0;
	if (bpf_probe_read_kernel(&file, sizeof(file), fds + fd) || !file)
		return 0;
	inode = GET(struct file, file, f_inode);
	if ((GET(struct inode, inode, i_mode) & S_IFMT) != S_IFSOCK)
		return 0;
	socket = GET(struct file, file, private_data);
	sk = GET(struct socket, socket, sk);
	return sk && is_tcp(sk) ? sk : 0;
}

/* addresses keeps both ends, so that no record has to walk the socket for them; ports in host order. */
static __always_inline void addresses(struct conn *conn, struct sock *sk)
{
	u16 rport = BPF_CORE_READ(sk, __sk_common.skc_dport);

	conn->family = BPF_CORE_READ(sk, __sk_common.skc_family);
	conn->lport = BPF_CORE_READ(sk, __sk_common.skc_num);
	conn->rport = (u16)(rport << 8 | rport >> 8);
	conn->netns = BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
	if (conn->family == AF_INET) {
		u32 local = BPF_CORE_READ(sk, __sk_common.skc_rcv_saddr);
		u32 remote = BPF_CORE_READ(sk, __sk_common.skc_daddr);

		__builtin_memcpy(conn->laddr, &local, 4);
		__builtin_memcpy(conn->raddr, &remote, 4);
		return;
	}
	BPF_CORE_READ_INTO(&conn->laddr, sk, __sk_common.skc_v6_rcv_saddr.in6_u.u6_addr8);
	BPF_CORE_READ_INTO(&conn->raddr, sk, __sk_common.skc_v6_daddr.in6_u.u6_addr8);
}

/* read_to is the number behind the last byte that was received. A FIN counts as one more once it was taken note of, which may
 * be in the call that received the last bytes before it. */
static __always_inline u32 read_to(struct sock *sk)
{
	u32 at = GET(struct tcp_sock, sk, copied_seq);

	return GET(struct sock, sk, __sk_common.skc_flags) & SOCK_DONE && at == GET(struct tcp_sock, sk, rcv_nxt) ? at - 1 : at;
}

/* urgent tells whether `gap` numbers before the last `len` bytes are those of urgent bytes: a read passes over them, if they are not
 * asked for in line, and returns what stands behind. Whoever sends one must not make it look as if something was missed. */
static __always_inline int urgent(struct sock *sk, u32 from, u32 gap, u32 len)
{
	return gap && gap <= 4 && GET(struct tcp_sock, sk, urg_seq) - from < gap + len;
}

/* first_byte tells whether what was just read is the beginning of the stream: the counter of all bytes that ever came,
 * taken off the number of the next one, is the number of the first. More may come meanwhile: then the two do not belong
 * together, and are read again. */
static __always_inline int first_byte(struct sock *sk, u32 len)
{
	struct tcp_sock *tcp = (struct tcp_sock *)sk;
	u32 at = read_to(sk) - len;

	for (int i = 0; i < 3; i++) {
		u32 first = BPF_CORE_READ(tcp, rcv_nxt) - (u32)BPF_CORE_READ(tcp, bytes_received);

		if (first == at || urgent(sk, first, at - first, len))
			return 1;
	}
	return 0;
}

/* first_sent tells whether what was just sent is the first of both directions: a server may speak before it reads. */
static __always_inline int first_sent(struct sock *sk, u32 len)
{
	struct tcp_sock *tcp = (struct tcp_sock *)sk;
	u32 at = BPF_CORE_READ(tcp, write_seq) - len;

	for (int i = 0; i < 3; i++)
		if (BPF_CORE_READ(tcp, snd_una) - (u32)BPF_CORE_READ(tcp, bytes_acked) == at)
			return first_byte(sk, 0);
	return 0;
}

/* numbers sets what comes next. */
static __always_inline void numbers(struct conn *conn, struct sock *sk)
{
	struct tcp_sock *tcp = (struct tcp_sock *)sk;

	conn->next[DIR_IN] = read_to(sk);
	conn->next[DIR_OUT] = BPF_CORE_READ(tcp, write_seq);
}

/* lookup finds the connection, or begins it with these bytes. */
static __always_inline struct conn *lookup(struct sock *sk, u8 dir, u32 len)
{
	u64 key = (u64)sk;
	struct conn *conn = bpf_map_lookup_elem(&conns, &key);
	struct conn fresh = {};

	if (likely(conn))
		return conn;
	fresh.start = fresh.born = bpf_ktime_get_ns();
	fresh.last_dir = !dir;
	addresses(&fresh, sk);
	numbers(&fresh, sk);
	fresh.next[dir & 1] -= len;
	if (dir == DIR_IN)
		fresh.from_start = first_byte(sk, len);
	else
		fresh.from_start = first_sent(sk, len);
	if (bpf_map_lookup_elem(&ports, &fresh.lport))
		fresh.role = ROLE_SERVER;
	else if (dir == DIR_OUT)
		fresh.role = ROLE_CLIENT;
	if (bpf_map_update_elem(&conns, &key, &fresh, BPF_ANY))
		count(COUNT_CONNECTIONS_FULL, 1);
	return bpf_map_lookup_elem(&conns, &key);
}

/* accepted marks a connection as the server side from its first moment. */
static __always_inline void accepted(int fd)
{
	struct sock *sk = sock_of(fd);
	struct conn fresh = {};
	u64 key = (u64)sk;

	if (!sk)
		return;
	fresh.start = fresh.born = bpf_ktime_get_ns();
	fresh.role = ROLE_SERVER;
	fresh.last_dir = DIR_OUT;
	fresh.from_start = 1;
	addresses(&fresh, sk);
	numbers(&fresh, sk);
	if (bpf_map_update_elem(&conns, &key, &fresh, BPF_ANY))
		count(COUNT_CONNECTIONS_FULL, 1);
}
