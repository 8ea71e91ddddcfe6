/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Where the bytes are that a function moved: its iov_iter, as it stands when the function returns. */
#pragma once

#define ITER_VECTORS 1024 /* UIO_MAXIOV */

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct iov_iter {
	unsigned long iov_offset;
};

struct iov_iter___v510 {
	unsigned int type;
	void *iov;
};

struct iov_iter___v514 {
	u8 iter_type;
};

struct iov_iter___v60 {
	void *ubuf;
};

struct iov_iter___v64 {
	void *__iov;
};

struct msghdr___kernel {
	struct iov_iter msg_iter;
};

#pragma clang attribute pop

/* Their numbers are the kernel's. */
enum iter_type___kernel {
	ITER_IOVEC___kernel,
	ITER_UBUF___kernel,
};

static __always_inline u32 iter_type(void *iter)
{
	if (bpf_core_field_exists(((struct iov_iter___v514 *)0)->iter_type))
		return BPF_CORE_READ((struct iov_iter___v514 *)iter, iter_type);
	/* The lowest bit is the direction. */
	return BPF_CORE_READ((struct iov_iter___v510 *)iter, type) & ~1u;
}

static __always_inline int is_ubuf(u32 type)
{
	return bpf_core_enum_value_exists(enum iter_type___kernel, ITER_UBUF___kernel) &&
	       type == bpf_core_enum_value(enum iter_type___kernel, ITER_UBUF___kernel);
}

static __always_inline u64 iter_ubuf(void *iter)
{
	if (bpf_core_field_exists(((struct iov_iter___v60 *)0)->ubuf))
		return (u64)BPF_CORE_READ((struct iov_iter___v60 *)iter, ubuf);
	return 0;
}

static __always_inline u64 iter_iov(void *iter)
{
	if (bpf_core_field_exists(((struct iov_iter___v64 *)0)->__iov))
		return (u64)BPF_CORE_READ((struct iov_iter___v64 *)iter, __iov);
	return (u64)BPF_CORE_READ((struct iov_iter___v510 *)iter, iov);
}

/* back_to_first goes back over the vectors that were used up, from the one at `at`, of which `used` bytes are. 0: they cannot be
 * read. */
GLOBAL __noinline int back_to_first(u64 thread, u64 at, u64 used)
{
	struct work *w = bpf_map_lookup_elem(&moving, &thread);
	struct iovec v;
	u64 left;

	if (!w)
		return 0;
	left = w->call.len;
	for (u32 i = 0; i <= ITER_VECTORS; i++) {
		if (left <= used) {
			if (bpf_probe_read_kernel(&v, sizeof(v), (void *)at))
				return 0;
			v.len -= used - left;
			w->call.buf = v.base + used - left;
			w->call.first = v.len > 0x7fffffff ? 0x7fffffff : v.len;
			w->call.iov = at + sizeof(v);
			w->call.iovlen = i;
			w->call.kernel = 1;
			return 1;
		}
		left -= used;
		at -= sizeof(v);
		if (bpf_probe_read_kernel(&v, sizeof(v), (void *)at))
			return 0;
		used = v.len;
	}
	return 0;
}

/* find says where the first byte is. The iterator stands behind the last one that was moved, in a buffer of the process or
 * in vectors, which the kernel copied; pages and the like are no buffers of the process. */
static __always_inline void find(struct call *call, void *msg, u64 thread)
{
	void *iter = msg + bpf_core_field_offset(((struct msghdr___kernel *)0)->msg_iter);
	u64 used = BPF_CORE_READ((struct iov_iter *)iter, iov_offset);
	u32 type = iter_type(iter);

	if (is_ubuf(type)) {
		call->buf = iter_ubuf(iter) + used - call->len;
		return;
	}
	if (type != bpf_core_enum_value(enum iter_type___kernel, ITER_IOVEC___kernel)) {
		call->size_only = 1;
	} else if (!back_to_first(thread, iter_iov(iter), used)) {
		count(COUNT_FAULT_BYTES, call->len);
		call->size_only = 1;
	}
}
