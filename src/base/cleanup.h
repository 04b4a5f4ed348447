// SPDX-License-Identifier: Apache-2.0
/*
 * cleanup - undo a half-done function by leaving its scope.
 *
 *	CLEANUP(cleanup_mem) struct thing *t = mem_alloc(mem, sizeof(*t));
 *	...
 *	return steal(t);	// t is now NULL: nothing left to undo
 */
#ifndef BASE_CLEANUP_H
#define BASE_CLEANUP_H

/* fn gets the address of the variable when it goes out of scope. */
#define CLEANUP(fn) __attribute__((cleanup(fn)))

/* The pointer's value, of its own type; the variable becomes NULL. */
#define steal(ptr)                               \
	({                                       \
		__typeof__(ptr) stolen_ = (ptr); \
		(ptr) = NULL;                    \
		stolen_;                         \
	})

#endif
