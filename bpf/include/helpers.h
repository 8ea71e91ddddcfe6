/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* libbpf's helper declarations and macros. Only headers: nothing of it is linked. */
#pragma once

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

/* Newer kernels preempt programs: at uprobes, and from 7.0 on at tracepoints. At uprobes another run on the same processor then works
 * on the stack of the first, since each processor has one for a program (6.13): the process that it runs in dies of that. Where a
 * program can ask not to be preempted (6.10), those that would be do. */
#ifdef MODERN
/* Programs at tracepoints are preempted, and skipped. */
const volatile u8 preempted = 0;

extern void bpf_preempt_disable(void) __ksym __weak;
extern void bpf_preempt_enable(void) __ksym __weak;

#define UNDISTURBED(where, call)                         \
	do {                                             \
		if ((where) && bpf_preempt_disable)      \
			bpf_preempt_disable();           \
		call;                                    \
		if ((where) && bpf_preempt_enable)       \
			bpf_preempt_enable();            \
	} while (0)

/* Global functions are looked at by themselves by the verifier, which older ones need. Until 6.14 a program that is not preempted may
 * not call any. */
#define GLOBAL static
#else
#define UNDISTURBED(where, call) call
#define GLOBAL
#endif

/* A kernel that preempts programs at tracepoints also skips them: while a thread stands in one, it runs that program for no other thread of the
 * processor. What must not pass unseen is two programs there, one behind the other. */
enum run {
	FIRST,
	AGAIN, /* what it finds done already, it leaves as it is */
};

#define RUN(where, name, of, run, args...)                               \
	SEC(where)                                                       \
	int name(unsigned long long *ctx)                                \
	{                                                                \
		_Pragma("GCC diagnostic push")                           \
		_Pragma("GCC diagnostic ignored \"-Wint-conversion\"") \
		UNDISTURBED(preempted, of(run, ___bpf_ctx_cast(args)));  \
		_Pragma("GCC diagnostic pop")                            \
		return 0;                                                \
	}

#ifdef MODERN
#define RUN_AGAIN(where, name, of, args...) RUN(where, name, of, AGAIN, ##args)
#else
#define RUN_AGAIN(where, name, of, args...)
#endif

/* PROGRAMS(where, name, arguments) { … } is both, with `run`. The kernel knows the arguments by type. */
#define PROGRAMS(where, name, args...)                                                          \
	static __always_inline int of_##name(enum run run, unsigned long long *ctx, ##args); \
	RUN(where, name, of_##name, FIRST, ##args)                                              \
	RUN_AGAIN(where, name##_again, of_##name, ##args)                                       \
	static __always_inline int of_##name(enum run run, unsigned long long *ctx, ##args)

/* int PROBE(name) { … } is one at a uprobe, with its `regs`. */
#define PROBE(name)                                               \
	name(struct pt_regs *regs);                               \
	static __always_inline int of_##name(struct pt_regs *regs); \
	int name(struct pt_regs *regs)                            \
	{                                                         \
		UNDISTURBED(1, of_##name(regs));                  \
		return 0;                                         \
	}                                                         \
	static __always_inline int of_##name(struct pt_regs *regs)
