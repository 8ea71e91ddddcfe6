// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What capture costs at the least, to compare with: one record per call of one process, of a fixed size, with nothing
 * known of sockets, streams or budgets. Only benchmarks load it. */
#include "kernel.h"
#include "helpers.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define KEPT 1024

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, u32);
	__type(value, u8);
} targets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 16 << 20);
} ring SEC(".maps");

SEC("tp_btf/sys_exit")
int BPF_PROG(minimal, struct pt_regs *regs, long ret)
{
	long nr = regs->orig_ax;
	u32 tgid, n = ret;
	u64 from = regs->si;
	u8 *record;

	/* read, write, writev, sendto, recvfrom */
	if ((nr != 0 && nr != 1 && nr != 20 && nr != 44 && nr != 45) || ret <= 0)
		return 0;
	tgid = bpf_get_current_pid_tgid() >> 32;
	if (!bpf_map_lookup_elem(&targets, &tgid))
		return 0;
	if (nr == 20) {
		struct iovec v;

		if (bpf_probe_read_user(&v, sizeof(v), (void *)from))
			return 0;
		from = v.base;
		if (v.len < n)
			n = v.len;
	}
	record = bpf_ringbuf_reserve(&ring, 16 + KEPT, 0);
	if (!record)
		return 0;
	*(u64 *)record = bpf_ktime_get_ns();
	*(u32 *)(record + 8) = n;
	barrier_var(n);
	if (n > KEPT)
		n = KEPT;
	bpf_probe_read_user(record + 16, n, (void *)from);
	bpf_ringbuf_submit(record, BPF_RB_NO_WAKEUP);
	return 0;
}
