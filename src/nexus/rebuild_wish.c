// SPDX-License-Identifier: Apache-2.0
/*
 * rebuild_wish - what people say to rebuilds, and what they are told of them. See nexus.h.
 *
 * RW1. A wish is carried out by the rebuild's own fiber: it looks between two segments.
 */
#include <errno.h>
#include <string.h>

#include "nexus/failure_priv.h"
#include "nexus/nexus_priv.h"

static int wish_child(struct fiber *f, struct nexus *n, const char *uri, struct nexus_child **ret)
{
	nexus_each_child(n, child) {
		if (strcmp(child_member(child)->uri, uri) == 0) {
			*ret = child;
			return 0;
		}
	}
	return fiber_fail(f, -ENOENT, "volume '%s' has no child '%s'", n->rec.name, uri);
}

/* A pulse. */
static void wish_changed(struct nexus_child *child)
{
	event_set(&child->rebuild.changed);
	event_clear(&child->rebuild.changed);
}

int nexus_rebuild_start(struct fiber *f, struct nexus *n, const char *uri)
{
	struct nexus_child *child;
	int r = wish_child(f, n, uri, &child);

	if (r < 0)
		return r;
	if (child_member(child)->is_offline)
		return fiber_fail(f, -EPERM, "child '%s' is offline by wish", uri);
	if (child->is_rebuilding || child->state == NEXUS_CHILD_IN_SYNC)
		return 0;
	r = rebuild_start(child);
	return r < 0 ? fiber_fail(f, r, "child '%s': no rebuild can begin now", uri) : 0;
}

int nexus_rebuild_stop(struct fiber *f, struct nexus *n, const char *uri)
{
	struct nexus_child *child;
	int r = wish_child(f, n, uri, &child);

	if (r < 0)
		return r;
	if (!child->rebuild.has_fiber)
		return fiber_fail(f, -EALREADY, "child '%s' has no rebuild to stop", uri);
	child->rebuild.is_stopped = true;
	rebuild_stop(f, child);
	return 0;
}

static int wish_pause(struct fiber *f, struct nexus *n, const char *uri, bool pause)
{
	struct nexus_child *child;
	int r = wish_child(f, n, uri, &child);

	if (r < 0)
		return r;
	if (!child->is_rebuilding || child->rebuild.is_paused == pause)
		return fiber_fail(f, -EALREADY, "child '%s' has no rebuild that %s", uri,
				  pause ? "runs" : "is paused");
	child->rebuild.is_paused = pause;
	wish_changed(child);
	return 0;
}

int nexus_rebuild_pause(struct fiber *f, struct nexus *n, const char *uri)
{
	return wish_pause(f, n, uri, true);
}

int nexus_rebuild_resume(struct fiber *f, struct nexus *n, const char *uri)
{
	return wish_pause(f, n, uri, false);
}

void nexus_rebuild_limit(struct nexus *n, uint64_t bytes_per_s)
{
	n->rate.bytes_per_s = bytes_per_s;
	n->rate.paid_ns = 0;
	nexus_each_child(n, child)
		wish_changed(child);
}

int nexus_set_child_timeout(struct fiber *f, struct nexus *n, uint32_t ms)
{
	if (ms < NEXUS_CHILD_TIMEOUT_MS_MIN || ms > NEXUS_CHILD_TIMEOUT_MS_MAX)
		return fiber_fail(f, -EINVAL, "a child's time-out is %u to %u ms, not %u",
				  NEXUS_CHILD_TIMEOUT_MS_MIN, NEXUS_CHILD_TIMEOUT_MS_MAX, ms);
	n->child_timeout_ms = ms;
	if (timer_is_armed(&n->hang_clock)) { /* it looks as often as the old one asked for */
		timer_stop(&n->hang_clock);
		hang_arm(n);
	}
	return 0;
}

/* ---- what they are told -------------------------------------------------------------------- */

const char *nexus_rebuild_state_name(enum nexus_rebuild_state state)
{
	static const char *const names[] = { "none", "waiting", "running", "paused", "stopped" };

	return names[state];
}

static enum nexus_rebuild_state wish_state(const struct nexus_child *child)
{
	const struct nexus_rebuild *rb = &child->rebuild;

	if (child->is_rebuilding)
		return rb->is_paused ? NEXUS_REBUILD_PAUSED : NEXUS_REBUILD_RUNNING;
	if (rb->is_stopped)
		return NEXUS_REBUILD_STOPPED;
	return rb->has_fiber ? NEXUS_REBUILD_WAITING : NEXUS_REBUILD_NONE;
}

void rebuild_info(const struct nexus_child *child, struct nexus_rebuild_info *ret)
{
	const struct nexus_rebuild *rb = &child->rebuild;
	uint64_t now = io_now(child->nexus->io);

	*ret = (struct nexus_rebuild_info){
		.state = wish_state(child),
		.is_partial = rb->is_partial,
		.total_bytes = rb->total,
		.recovered_bytes = rb->recovered,
		.remaining_bytes = rb->total - rb->recovered,
		.transferred_bytes = child->copied,
		.verified_bytes = rb->verified,
		.elapsed_ns = child->is_rebuilding ? now - rb->start_ns : rb->elapsed_ns,
		.tries = rb->tries,
	};
	if (ret->state == NEXUS_REBUILD_WAITING && rb->due_ns > now)
		ret->retry_ns = rb->due_ns - now;
}
