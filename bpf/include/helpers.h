/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* libbpf's helper declarations and macros. Only headers: nothing of it is linked. */
#pragma once

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
