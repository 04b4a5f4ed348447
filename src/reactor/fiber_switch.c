// SPDX-License-Identifier: Apache-2.0
/*
 * fiber_switch - from one stack to another.
 *
 * makecontext() builds a stack's first frame, once in its life; from then on the
 * way in and out is sigsetjmp() and siglongjmp() without the signal mask, which
 * is a dozen instructions and no system call:
 *
 *	fiber_ctx_init:   here --setcontext--> start (saves itself) --siglongjmp--> here
 *	fiber_ctx_switch: from (saves itself) --siglongjmp--> to
 *
 * SW1. Built without _FORTIFY_SOURCE, whose longjmp aborts on a jump "up" the
 *      stack, and without shadow stacks, which jumps between stacks would break.
 * SW2. Frames are < 1 KiB, of libraries < FIBER_PROBE_BYTES, and no frame is all zeros:
 *      the first run of FIBER_PROBE_BYTES of zeros is memory never used.
 * SW3. AddressSanitizer learns of each switch before the jump (it must know the
 *      stack its siglongjmp() unpoisons) and after it; ThreadSanitizer before it
 *      (it looks up the target's jump buffer). What runs between that call and the jump
 *      is inlined: clang marks the exit of any function, also of those not sanitized.
 */
#include "reactor/fiber_switch_priv.h"

#include <string.h>
#include <ucontext.h>

#include "base/lang.h"
#include "base/must.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAVE_ASAN 1
#endif
#if __has_feature(thread_sanitizer)
#define HAVE_TSAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define HAVE_ASAN 1
#endif
#if defined(__SANITIZE_THREAD__)
#define HAVE_TSAN 1
#endif

#ifdef HAVE_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef HAVE_TSAN
#include <sanitizer/tsan_interface.h>
#endif

#define NO_SANITIZE	   __attribute__((no_sanitize("address", "thread", "undefined")))
#define NO_SANITIZE_INLINE NO_SANITIZE __attribute__((always_inline)) static inline

/* SW3, before the jump from `from` to `to`. */
NO_SANITIZE_INLINE void switch_leave(struct fiber_ctx *from, struct fiber_ctx *to)
{
	to->came_from = from;
#ifdef HAVE_ASAN
	__sanitizer_start_switch_fiber(&from->fake_stack, to->low, to->bytes);
#endif
#ifdef HAVE_TSAN
	from->tsan = __tsan_get_current_fiber();
	__tsan_switch_to_fiber(to->tsan, 0);
#endif
}

/* SW3, after a jump to `to`: where we came from is known now, also a thread's stack. */
NO_SANITIZE_INLINE void switch_arrive(struct fiber_ctx *to)
{
#ifdef HAVE_ASAN
	const void *low;
	size_t bytes;

	__sanitizer_finish_switch_fiber(to->fake_stack, &low, &bytes);
	to->came_from->low = (void *)(uintptr_t)low;
	to->came_from->bytes = bytes;
#else
	(void)to;
#endif
}

NO_SANITIZE void fiber_ctx_switch(struct fiber_ctx *from, struct fiber_ctx *to)
{
	if (sigsetjmp(from->jump, 0) == 0) {
		switch_leave(from, to);
		siglongjmp(to->jump, 1);
	}
	switch_arrive(from);
}

/* The first frame of a stack. makecontext() hands over ints only. */
NO_SANITIZE static void switch_start(unsigned high, unsigned low)
{
	struct fiber_ctx *ctx = (void *)(uintptr_t)((uint64_t)high << 32 | low);

	switch_arrive(ctx);
	fiber_ctx_switch(ctx, ctx->came_from);
	ctx->main(ctx->arg);
	must(!"a fiber's main returned");
}

/* The new stack is entered once and left again within the call. */
NO_SANITIZE void fiber_ctx_init(struct fiber_ctx *ctx, void *low, size_t bytes,
				void (*main)(void *arg), void *arg)
{
	struct fiber_ctx here = { 0 };
	/* Too large for our frames: it lies at the top of the new stack, whose page is used anyway. */
	size_t room = align_up_u64(sizeof(ucontext_t), 64);
	ucontext_t *uc = (void *)((uint8_t *)low + bytes - room);

	memset(ctx, 0, sizeof(*ctx));
	ctx->low = low;
	ctx->bytes = bytes;
	ctx->main = main;
	ctx->arg = arg;
#ifdef HAVE_TSAN
	ctx->tsan = __tsan_create_fiber(0);
#endif
	must(getcontext(uc) == 0);
	uc->uc_stack.ss_sp = low;
	uc->uc_stack.ss_size = bytes - room;
	uc->uc_link = NULL;
	makecontext(uc, (void (*)(void))(uintptr_t)switch_start, 2,
		    (unsigned)((uint64_t)(uintptr_t)ctx >> 32), (unsigned)(uintptr_t)ctx);
	if (sigsetjmp(here.jump, 0) == 0) {
		switch_leave(&here, ctx);
		setcontext(uc);
		must(!"setcontext() returned");
	}
	switch_arrive(&here);
}

void fiber_ctx_fini(struct fiber_ctx *ctx)
{
#ifdef HAVE_TSAN
	__tsan_destroy_fiber(ctx->tsan);
#endif
#ifdef HAVE_ASAN
	__asan_unpoison_memory_region(ctx->low, ctx->bytes); /* frames that never returned */
#endif
	(void)ctx;
}

/* The bytes may be ASan's red zones or another fiber's unfinished frames. */
NO_SANITIZE static bool switch_is_zero(const uint64_t *words, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (words[i])
			return false;
	return true;
}

NO_SANITIZE size_t fiber_ctx_depth(const struct fiber_ctx *ctx, size_t known)
{
	size_t depth = align_down_u64(known, FIBER_PROBE_BYTES);
	const uint8_t *top = (const uint8_t *)ctx->low + ctx->bytes;

	while (depth + FIBER_PROBE_BYTES <= ctx->bytes) {
		const void *probe = top - depth - FIBER_PROBE_BYTES;
		if (switch_is_zero(probe, FIBER_PROBE_BYTES / sizeof(uint64_t)))
			break;
		depth += FIBER_PROBE_BYTES;
	}
	return depth > known ? depth : known;
}
