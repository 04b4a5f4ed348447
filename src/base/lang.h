// SPDX-License-Identifier: Apache-2.0
/*
 * lang - the few words we add to the C language.
 */
#ifndef BASE_LANG_H
#define BASE_LANG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The struct around a member; ptr evaluated once, a pointer of another type is a warning. */
#define container_of(ptr, type, member)                                                         \
	((type *)(uintptr_t)((const char *)(1 ? (ptr) : (__typeof__(((type *)0)->member) *)0) - \
			     offsetof(type, member)))

#define ARRAY_LEN(array) (sizeof(array) / sizeof((array)[0]))

#define likely(cond)   __builtin_expect(!!(cond), 1)
#define unlikely(cond) __builtin_expect(!!(cond), 0)

#define MUST_USE			__attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt_arg, first_arg) __attribute__((format(printf, fmt_arg, first_arg)))

static inline uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline uint64_t max_u64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static inline uint32_t min_u32(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

static inline uint32_t max_u32(uint32_t a, uint32_t b)
{
	return a > b ? a : b;
}

static inline size_t min_size(size_t a, size_t b)
{
	return a < b ? a : b;
}

static inline size_t max_size(size_t a, size_t b)
{
	return a > b ? a : b;
}

static inline int min_int(int a, int b)
{
	return a < b ? a : b;
}

static inline int max_int(int a, int b)
{
	return a > b ? a : b;
}

static inline bool is_pow2_u64(uint64_t value)
{
	return value != 0 && (value & (value - 1)) == 0;
}

/* align: a power of two. The caller keeps value within 2^64 - align. */
static inline uint64_t align_up_u64(uint64_t value, uint64_t align)
{
	return (value + align - 1) & ~(align - 1);
}

static inline uint64_t align_down_u64(uint64_t value, uint64_t align)
{
	return value & ~(align - 1);
}

static inline uint64_t div_up_u64(uint64_t value, uint64_t by)
{
	return value / by + (value % by != 0);
}

#endif
