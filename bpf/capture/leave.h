/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Of a process that costs more than it may, whole connections are left out: they cost next to nothing then. */
#pragma once

/* to_leave_out tells whether a connection is one of those of its process that are not taken at this moment. By a hash of when it
 * began: the same ones, as long as the share is the same. */
static __always_inline int to_leave_out(struct conn *conn, u32 tgid)
{
	u32 zero = 0, *share;
	struct settings *set = bpf_map_lookup_elem(&settings, &zero);

	if (!set || !set->sharing)
		return 0;
	share = bpf_map_lookup_elem(&shares, &tgid);
	return share && (u32)(conn->born * 0x9e3779b97f4a7c15 >> 32) >= *share;
}

/* leaving tells whether these bytes are not to be taken, and counts them. It changes where a request may begin: what was
 * taken before ends there, and what is taken from there on is as a connection that is older than the agent. `in` and `out`
 * are the numbers of the bytes that come next. */
static __noinline int leaving(struct cursor *c, struct conn *conn, u32 len, u32 in, u32 out)
{
	int turn = c->dir == DIR_IN && conn->last_dir != DIR_IN;
	struct usage *usage;

	if (turn) {
		int leave = to_leave_out(conn, c->tgid);

		if (leave && !conn->out) {
			u32 seq = c->seq;
			u16 flags = c->flags;

			if (conn->seen)
				closing(c, conn, in, out, FLAG_SHED);
			if (conn->seen_plain)
				closing(c, conn, in, out, FLAG_SHED | FLAG_TLS);
			conn->seen = conn->seen_plain = 0;
			c->seq = seq;
			c->flags = flags;
		} else if (!leave && conn->out) {
			conn->start = c->mono;
			conn->from_start = 0;
			conn->lost[DIR_IN] = conn->lost[DIR_OUT] = 0;
		}
		conn->out = leave;
	}
	if (!conn->out)
		return 0;
	usage = usage_of(c->tgid);
	if (usage) {
		__sync_fetch_and_add(&usage->shed_bytes, len);
		if (turn)
			__sync_fetch_and_add(&usage->shed, 1);
	}
	conn->last_dir = c->dir;
	conn->run_bytes = 0;
	count(COUNT_SHED_BYTES, len);
	return 1;
}

/* left_out asks that where anything is left out at all. */
static __always_inline int left_out(struct cursor *c, struct conn *conn, u32 len, u32 in, u32 out)
{
	u32 zero = 0;
	struct settings *set = bpf_map_lookup_elem(&settings, &zero);

	return unlikely(conn->out || (set && set->sharing)) && leaving(c, conn, len, in, out);
}
