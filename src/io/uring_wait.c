// SPDX-License-Identifier: Apache-2.0
/*
 * uring_wait - fetch events; wait for them by spinning where it pays, else asleep.
 *
 * Sleeping costs the waiter latency, `wake_ns`, and processor time, `sleep_cpu_ns`: halting
 * a core and starting it again. Spinning costs as much processor time as it lasts. What a
 * spin gains depends on what is waited for:
 *
 *	a device (files or workers in flight) takes its time whatever we do. A spin is
 *	free while it is shorter than what the sleep would burn: at most sleep_cpu_ns.
 *	And with more than SPIN_FILES_MAX ops in flight the wake-up for one overlaps the
 *	work on the others: sleeping is free then.
 *
 *	a peer (a stream, another reactor) answers sooner if it has not gone to sleep
 *	either: two that answer each other see waits of one wake_ns while both sleep, and
 *	much shorter ones when both spin. So: at most 2 * wake_ns; and only if something
 *	came from a peer less than STREAM_NS ago, else nobody is talking to us.
 *
 * A spin is begun only if the next wait is predicted to be shorter than that, and never
 * lasts longer than that, nor than the user's spin_max_ns. The prediction, one for each
 * kind of wait, is a moving average of the last waits, asleep or not, less what a sleep
 * adds. Nothing is tried blindly: a 65 us disk is never spun for. A sample counts for at
 * most SAMPLE_TIMES bounds, so that one idle second is forgotten after a few short waits.
 * Both costs are measured when the ring is made; wake_ns follows every sleep that ends by
 * its deadline.
 *
 * Waking: io_wake() sets `woken`, and writes to the eventfd only if `is_asleep`; the
 * sleeper sets `is_asleep` and looks at `woken` once more. Both are sequentially
 * consistent, so one of the two sees the other.
 *
 * A deadline far away is an alarm: one timeout op that stays in the kernel over many sleeps,
 * for setting a timer for each of them costs 1 us. It may go off for a deadline that is no
 * more: then the turn ends early, once. A near deadline is given to the sleep itself.
 *
 * UW1. A wake before or during uring_wait_until() ends it.
 * UW2. One io_uring_enter a turn where the wait is not spun: it submits, waits, fetches.
 */
#include "io/uring_priv.h"

#include <errno.h>
#include <time.h>

#define STREAM_NS	    UINT64_C(50000)
#define SPIN_FILES_MAX	    2
#define SPIN_MAX_DEFAULT_NS UINT64_C(50000)
#define WAKE_MIN_NS	    UINT64_C(1000)
#define WAKE_MAX_NS	    UINT64_C(20000)
#define SLEEP_CPU_MIN_NS    UINT64_C(1000)
#define SLEEP_CPU_MAX_NS    UINT64_C(15000)
#define SAMPLE_TIMES	    8
#define SAMPLE_WEIGHT	    8 /* of the past against one new sample: 7 to 1 */
#define CALIBRATE_ROUNDS    4
#define CALIBRATE_NS	    UINT64_C(30000)
#define SPINS_PER_CLOCK	    8
#define ALARM_FAR_NS	    UINT64_C(1000000)

uint64_t uring_clock(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static inline void uring_wait_relax(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

/* Files and workers in flight, that is. */
static inline uint64_t uring_wait_files(const struct uring *u)
{
	return u->in_ring - u->in_socks + u->in_work;
}

static uint64_t uring_wait_bound(const struct uring_wait *w, enum uring_wait_kind kind)
{
	return min_u64(kind == WAIT_FILE ? w->sleep_cpu_ns : 2 * w->wake_ns, w->spin_max_ns);
}

uint64_t uring_wait_budget(const struct uring *u)
{
	const struct uring_wait *w = &u->wait;
	uint64_t files = uring_wait_files(u);
	enum uring_wait_kind kind = files ? WAIT_FILE : WAIT_PEER;
	uint64_t bound = uring_wait_bound(w, kind);

	if (w->predicted_ns[kind] >= bound || files > SPIN_FILES_MAX)
		return 0;
	if (!files && u->io.turn_ns - w->stream_ns > STREAM_NS)
		return 0;
	return bound;
}

static void uring_wait_sample(struct uring_wait *w, enum uring_wait_kind kind, uint64_t ns)
{
	ns = min_u64(ns, SAMPLE_TIMES * uring_wait_bound(w, kind));
	w->predicted_ns[kind] = (w->predicted_ns[kind] * (SAMPLE_WEIGHT - 1) + ns) / SAMPLE_WEIGHT;
}

/* A sleep that should have ended at its deadline ended so much later: that is what waking costs. */
static void uring_wait_overslept(struct uring_wait *w, uint64_t ns)
{
	ns = min_u64(max_u64(ns, WAKE_MIN_NS), WAKE_MAX_NS);
	w->wake_ns = (w->wake_ns * (SAMPLE_WEIGHT - 1) + ns) / SAMPLE_WEIGHT;
}

static inline bool uring_wait_has_work(const struct uring *u)
{
	return IO_URING_READ_ONCE(*u->ring.sq.kflags) & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW);
}

static inline bool uring_wait_take_wake(struct uring *u)
{
	return atomic_load_explicit(&u->woken, memory_order_relaxed) &&
	       atomic_exchange_explicit(&u->woken, 0, memory_order_acquire);
}

static void uring_wait_enter(struct uring *u)
{
	u->stats.enters++;
	int r = io_uring_submit_and_get_events(&u->ring);
	must(r >= 0 || r == -EAGAIN || r == -EBUSY || r == -EINTR);
}

void uring_wait_fetch(struct uring *u)
{
	if (io_uring_sq_ready(&u->ring) || uring_wait_has_work(u))
		uring_wait_enter(u);
	if (uring_wait_take_wake(u))
		uring_wait_stream(u);
}

/* Until an event, a wake, or for budget_ns. True: something came. */
static bool uring_wait_spin(struct uring *u, uint64_t start, uint64_t budget_ns)
{
	u->stats.spins++;
	for (unsigned i = 1;; i++) {
		if (uring_wait_has_work(u))
			uring_wait_enter(u);
		if (io_uring_cq_ready(&u->ring) ||
		    atomic_load_explicit(&u->woken, memory_order_relaxed))
			break;
		if (i % SPINS_PER_CLOCK == 0 && uring_clock() - start >= budget_ns) {
			u->stats.spin_ns += uring_clock() - start;
			return false;
		}
		uring_wait_relax();
	}
	u->stats.spin_hits++;
	u->stats.spin_ns += uring_clock() - start;
	return true;
}

static struct __kernel_timespec uring_wait_timespec(uint64_t ns)
{
	return (struct __kernel_timespec){ (int64_t)(ns / 1000000000), (int64_t)(ns % 1000000000) };
}

/* Its CQE has ended the sleep: that is all. */
static void uring_wait_alarm_event(struct uring *u, struct uring_event *ev, int res, unsigned flags)
{
}

/* Will the alarm end this sleep in time? A far deadline sets it, or brings it forward. */
static bool uring_wait_alarm(struct uring *u, uint64_t start, uint64_t until_ns)
{
	struct uring_wait *w = &u->wait;

	if (w->alarm.is_armed && w->alarm_ns <= until_ns)
		return true;
	if (until_ns - start < ALARM_FAR_NS || w->alarm_move.is_armed)
		return false;
	struct io_uring_sqe *sqe = uring_sqe(u);
	w->alarm_ns = until_ns;
	w->alarm_at = uring_wait_timespec(until_ns);
	if (w->alarm.is_armed) {
		io_uring_prep_timeout_update(sqe, &w->alarm_at, (uintptr_t)&w->alarm | TAG_EVENT,
					     IORING_TIMEOUT_ABS);
		uring_sqe_event(sqe, &w->alarm_move);
	} else {
		io_uring_prep_timeout(sqe, &w->alarm_at, 0, IORING_TIMEOUT_ABS);
		uring_sqe_event(sqe, &w->alarm);
	}
	return true;
}

/* Submit and sleep in one call (UW2). */
static void uring_wait_sleep(struct uring *u, uint64_t start, uint64_t until_ns)
{
	bool is_timed = until_ns != IO_FOREVER && !uring_wait_alarm(u, start, until_ns);
	struct __kernel_timespec after = uring_wait_timespec(is_timed ? until_ns - start : 0);
	struct io_uring_cqe *cqe;

	atomic_store_explicit(&u->is_asleep, 1, memory_order_seq_cst);
	if (likely(!atomic_load_explicit(&u->woken, memory_order_seq_cst))) { /* UW1 */
		u->stats.enters++;
		u->stats.sleeps++;
		int r = io_uring_submit_and_wait_timeout(&u->ring, &cqe, 1,
							 is_timed ? &after : NULL, NULL);
		must(r >= 0 || r == -ETIME || r == -EINTR || r == -EAGAIN || r == -EBUSY);
	}
	atomic_store_explicit(&u->is_asleep, 0, memory_order_relaxed);
}

void uring_wait_until(struct uring *u, uint64_t until_ns)
{
	struct uring_wait *w = &u->wait;
	uint64_t start = uring_clock();
	bool slept = false;

	if (until_ns <= start) {
		uring_wait_fetch(u);
		u->io.turn_ns = uring_clock();
		return;
	}
	enum uring_wait_kind kind = uring_wait_files(u) ? WAIT_FILE : WAIT_PEER;
	uint64_t budget = uring_wait_budget(u);
	if (budget) {
		if (io_uring_sq_ready(&u->ring))
			uring_wait_enter(u);
		if (!io_uring_cq_ready(&u->ring))
			slept = !uring_wait_spin(u, start, min_u64(budget, until_ns - start));
	} else {
		slept = true;
	}
	if (slept)
		uring_wait_sleep(u, start, until_ns);

	uint64_t end = uring_clock();
	bool was_woken = uring_wait_take_wake(u);
	u->io.turn_ns = end;
	if (was_woken)
		uring_wait_stream(u);
	if (was_woken || io_uring_cq_ready(&u->ring)) {
		uint64_t ns = end - start;
		uring_wait_sample(w, kind, slept ? ns - min_u64(ns, w->wake_ns) : ns);
	} else if (end >= until_ns) {
		if (slept)
			uring_wait_overslept(w, end - until_ns);
		if (end - start > w->predicted_ns[kind])
			uring_wait_sample(w, kind, end - start);
	}
}

static uint64_t uring_wait_cpu(void)
{
	struct timespec used;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
	return (uint64_t)used.tv_sec * 1000000000 + (uint64_t)used.tv_nsec;
}

/* The least of a few short sleeps: others may be using this core. */
static void uring_wait_calibrate(struct uring *u)
{
	struct uring_wait *w = &u->wait;

	w->wake_ns = WAKE_MAX_NS;
	w->sleep_cpu_ns = SLEEP_CPU_MAX_NS;
	for (unsigned i = 0; i < CALIBRATE_ROUNDS; i++) {
		uint64_t cpu = uring_wait_cpu();
		uint64_t start = uring_clock();

		uring_wait_sleep(u, start, start + CALIBRATE_NS);
		uint64_t ns = uring_clock() - start;
		w->sleep_cpu_ns = min_u64(w->sleep_cpu_ns, uring_wait_cpu() - cpu);
		w->wake_ns = min_u64(w->wake_ns, ns - min_u64(ns, CALIBRATE_NS));
	}
	w->wake_ns = max_u64(w->wake_ns, WAKE_MIN_NS);
	w->sleep_cpu_ns = max_u64(w->sleep_cpu_ns, SLEEP_CPU_MIN_NS);
	u->stats.sleeps = u->stats.enters = 0;
}

void uring_wait_init(struct uring *u, const struct uring_opts *opts)
{
	struct uring_wait *w = &u->wait;

	w->alarm.fn = w->alarm_move.fn = uring_wait_alarm_event;
	w->spin_max_ns = opts->no_spin	   ? 0 :
			 opts->spin_max_ns ? opts->spin_max_ns :
					     SPIN_MAX_DEFAULT_NS;
	if (w->spin_max_ns)
		uring_wait_calibrate(u);
	/* Sleep until known better. */
	for (unsigned kind = 0; kind < WAIT_KINDS; kind++)
		w->predicted_ns[kind] =
			SAMPLE_TIMES * uring_wait_bound(w, (enum uring_wait_kind)kind);
}
