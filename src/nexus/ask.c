// SPDX-License-Identifier: Apache-2.0
/*
 * ask - the same question to several members at once, of what is no read or write: logs, maps, flushes.
 *
 *	asker --fiber per member--> answer          all have answered, or are members no more --> asker
 *	                                            or nobody waits for them (ask_around)
 *
 * AS1. A member that does not answer is failed by the clock (hang.c); from then on nobody waits for it.
 * AS2. Its answer may come at any time: the question belongs to the fibers, the last one frees it.
 * AS3. Who fails is retired, but not the last one; who says that we are older than the fence tells
 *	that we are deposed.
 */
#include <errno.h>
#include <string.h>

#include "nexus/failure_priv.h"
#include "nexus/nexus_priv.h"
#include "nexus/owner_priv.h"

#include "base/must.h"

struct ask {
	struct nexus *n;
	ask_fn fn;
	unsigned users; /* fibers, and the asker */
	nexus_mask open, refused;
	struct ask_one {
		struct ask *ask;
		struct nexus_child *child;
		struct nexus_pending pending;
	} one[NEXUS_CHILDREN_MAX];
	_Alignas(16) uint8_t what[]; /* a copy of the question */
};

static void ask_put(struct ask *ask)
{
	if (--ask->users == 0)
		mem_free(ask);
}

static bool is_no(int r)
{
	return r == -ENOSPC || r == -ENOTSUP;
}

/* AS3. */
static void ask_judge(struct ask *ask, struct nexus_child *child, int r)
{
	if (r == -ESTALE)
		owner_deposed(ask->n);
	else if (is_no(r) || (r < 0 && hang_is_last(child)))
		ask->refused |= nexus_bit(child);
	else if (r < 0)
		retire(child, r);
}

static int ask_main(struct fiber *f, void *arg)
{
	struct ask_one *one = arg;
	struct ask *ask = one->ask;
	struct nexus_child *child = one->child;
	int r = ask->fn(f, child, ask->what);

	hang_end(&one->pending);
	if (ask->open & nexus_bit(child) && !child->failed_write) /* not given up */
		ask_judge(ask, child, r);
	ask->open &= (nexus_mask)~nexus_bit(child);
	event_set(&ask->n->answered);
	event_clear(&ask->n->answered);
	child_let_go(child);
	fiber_clear(f);
	ask_put(ask);
	return 0;
}

/* -EAGAIN: no fiber to be had. */
static int ask_start(struct ask *ask, struct nexus_child *child)
{
	struct ask_one *one = &ask->one[child->index];
	int r;

	*one = (struct ask_one){ .ask = ask, .child = child };
	r = fiber_start(ask->n->home, "nexus-ask", ask_main, one, NULL);
	if (r < 0)
		return r;
	child_hold(child);
	hang_begin(child, &one->pending);
	ask->users++;
	ask->open |= nexus_bit(child);
	return 0;
}

static struct ask *ask_new(struct nexus *n, ask_fn fn, const void *what, size_t bytes)
{
	struct ask *ask = mem_alloc(n->mem, sizeof(*ask) + bytes);

	if (!ask)
		return NULL;
	memset(ask, 0, sizeof(*ask));
	ask->n = n;
	ask->fn = fn;
	ask->users = 1;
	if (bytes > 0)
		memcpy(ask->what, what, bytes);
	return ask;
}

/* Those who are asked and not known to have failed. */
static nexus_mask ask_awaited(const struct ask *ask)
{
	nexus_mask mask = 0;

	nexus_each_child(ask->n, child)
		if (!child->failed_write)
			mask |= nexus_bit(child);
	return ask->open & mask;
}

nexus_mask ask_members(struct fiber *f, struct nexus *n, nexus_mask whom, ask_fn fn,
		       const void *what, size_t bytes)
{
	struct ask *ask = ask_new(n, fn, what, bytes);
	nexus_mask refused;

	if (!ask) { /* as if they had failed: it cannot be left undone */
		nexus_each_child(n, child)
			if (nexus_has(whom, child->index))
				retire(child, -ENOMEM);
		return 0;
	}
	nexus_each_child(n, child)
		if (nexus_has(whom, child->index) && child->chan && ask_start(ask, child) < 0)
			retire(child, -EAGAIN);
	while (ask_awaited(ask))
		event_wait_always(f, &n->answered);
	ask->open = 0; /* AS1 */
	refused = ask->refused;
	ask_put(ask);
	return refused;
}

void ask_around(struct nexus *n, nexus_mask whom, ask_fn fn)
{
	struct ask *ask = ask_new(n, fn, NULL, 0);

	if (!ask)
		return;
	nexus_each_child(n, child)
		if (nexus_has(whom, child->index) && child->chan && ask_start(ask, child) < 0)
			break;
	ask_put(ask);
}
