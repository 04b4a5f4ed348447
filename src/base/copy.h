/* SPDX-License-Identifier: Apache-2.0 */
/*
 * copy - memcpy() for bytes that nobody will read soon: past the caches, straight to memory.
 *
 * An ordinary store first fetches what it overwrites, and then pushes something else out of
 * the caches; for data that are put away, both are waste. For much data: a store of little, or one
 * that is read at once, is better off with memcpy().
 */
#ifndef BASE_COPY_H
#define BASE_COPY_H

#include <stddef.h>

/* Do not overlap. Seen by other threads like any other store. */
void copy_cold(void *to, const void *from, size_t size);

#endif
