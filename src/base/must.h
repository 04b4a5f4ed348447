// SPDX-License-Identifier: Apache-2.0
/*
 * must - what a programmer promised; checked in release builds too.
 *
 * Only for programmer errors. Bytes from wire, disk or user are never asserted:
 * they are decoded and refused.
 */
#ifndef BASE_MUST_H
#define BASE_MUST_H

#include "base/lang.h"

/* Prints "file:line: must(expression) does not hold" to stderr and aborts. */
__attribute__((noreturn, cold)) void must_failed(const char *expr, const char *file, int line);

#define must(cond)                                              \
	do {                                                    \
		if (unlikely(!(cond)))                          \
			must_failed(#cond, __FILE__, __LINE__); \
	} while (0)

#endif
