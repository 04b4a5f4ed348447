// SPDX-License-Identifier: Apache-2.0
/*
 * asan - ask the address sanitizer, where there is one, to guard memory.
 */
#ifndef BASE_ASAN_PRIV_H
#define BASE_ASAN_PRIV_H

#include "base/lang.h"

#if defined(__SANITIZE_ADDRESS__)
#define ASAN_ACTIVE 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ASAN_ACTIVE 1
#endif
#endif

#ifdef ASAN_ACTIVE

#include <sanitizer/asan_interface.h>

#define ASAN_GAP_BYTES 16

static inline void asan_poison(const void *p, size_t size)
{
	__asan_poison_memory_region(p, size);
}

static inline void asan_unpoison(const void *p, size_t size)
{
	__asan_unpoison_memory_region(p, size);
}

#else

#define ASAN_GAP_BYTES 0

static inline void asan_poison(const void *p, size_t size)
{
	(void)p;
	(void)size;
}

static inline void asan_unpoison(const void *p, size_t size)
{
	(void)p;
	(void)size;
}

#endif
#endif
