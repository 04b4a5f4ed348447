/* SPDX-License-Identifier: Apache-2.0 */
/* fiber_switch - from one stack to another, and the sanitizers told about it. */
#ifndef REACTOR_FIBER_SWITCH_PRIV_H
#define REACTOR_FIBER_SWITCH_PRIV_H

#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>

/* A place to go on at: a fiber's stack (by fiber_ctx_init()), or the thread's (all zero). */
struct fiber_ctx {
	sigjmp_buf jump;
	void *low; /* of the stack; of a thread's, as ASan tells it */
	size_t bytes;
	void (*main)(void *arg); /* never returns */
	void *arg;
	struct fiber_ctx *came_from; /* who switched to us last */
	void *fake_stack;	     /* ASan's, while we are away */
	void *tsan;		     /* TSan's idea of this stack */
};

/* A stack on which main(arg) starts when it is first switched to. */
void fiber_ctx_init(struct fiber_ctx *ctx, void *low, size_t bytes, void (*main)(void *arg),
		    void *arg);

/* Its stack will not be switched to again. From another one. */
void fiber_ctx_fini(struct fiber_ctx *ctx);

/*
 * Go on at `to`. Where we are is kept in `from` (any zeroed one, if it is a thread's stack);
 * returns when someone switches back to it.
 */
void fiber_ctx_switch(struct fiber_ctx *from, struct fiber_ctx *to);

/*
 * How deep a stack was used, if deeper than `known` bytes: looks below that depth as long as
 * each FIBER_PROBE_BYTES hold something else than zeros. Frames are smaller than that (SW2).
 */
size_t fiber_ctx_depth(const struct fiber_ctx *ctx, size_t known);

#define FIBER_PROBE_BYTES 4096

#endif
