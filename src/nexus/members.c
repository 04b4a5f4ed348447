// SPDX-License-Identifier: Apache-2.0
/*
 * members - children come and go while the volume is served.
 *
 * ME1. The record changes first: what it does not name is not used; what is to go is taken out of
 *	it before it is let go (N1).
 * ME2. The last member in sync stays (N3).
 * ME3. What may take long - to reach a new member - is not done under the latch: who fails meanwhile
 *	is to be taken out of the record.
 * ME4. Who is removed is let go before the record forgets it: after a crash in between it is a member that is
 *	out and has nothing. The other way round it would say that it belongs to us, who do not know it.
 * ME5. A replica that was another volume's keeps its fence (BG3). If that is above our tokens our epoch rises above
 *	it, in the record that names the replica: it is ours as before, and whoever takes over is above both.
 * ME6. Who is removed is closed, and nobody is about to try it again: one that failed just before is given to
 *	its fiber only after the record was told (retire.c).
 * ME7. Whether members may change, and that one still is, is asked with the latch held. Others may have removed
 *	it meanwhile; and while a stopped volume is taken over from ourselves (revive.c), and until that is tried
 *	again, the record in memory is none to be written.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "nexus/belong_priv.h"
#include "nexus/failure_priv.h"
#include "nexus/nexus_priv.h"
#include "nexus/owner_priv.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/must.h"

int members_ready(struct fiber *f, struct nexus *n)
{
	if (n->state != NEXUS_SERVING)
		return fiber_fail(f, -EBUSY, "volume '%s' is %s: its members stay as they are",
				  n->rec.name, nexus_state_name(n->state));
	return 0;
}

static int members_find(struct fiber *f, struct nexus *n, const char *uri, struct nexus_child **ret)
{
	nexus_each_child(n, child) {
		if (strcmp(child_member(child)->uri, uri) == 0) {
			*ret = child;
			return 0;
		}
	}
	return fiber_fail(f, -ENOENT, "volume '%s' has no child '%s'", n->rec.name, uri);
}

/* ME7. One that is frozen is ours, too: who failed waits for the latch. */
static int members_lock(struct fiber *f, struct nexus *n, const char *uri,
			struct nexus_child *child)
{
	struct nexus_child *now;
	int r = latch_lock(f, &n->admin);

	if (r < 0)
		return r;
	if (n->state != NEXUS_FROZEN)
		r = members_ready(f, n);
	if (r == 0)
		r = members_find(f, n, uri, &now);
	if (r == 0 && now != child)
		r = fiber_fail(f, -EBUSY, "child '%s' was removed, and added again", uri);
	if (r < 0)
		latch_unlock(f, &n->admin);
	return r;
}

/* A record that cannot be written would be tried for ever. */
static int members_fit(struct fiber *f, struct nexus *n)
{
	CLEANUP(cleanup_mem) char *text = mem_alloc(n->mem, STORE_VALUE_MAX + 1);

	if (!text)
		return fiber_fail(f, -ENOMEM, "no memory for a volume's record");
	return volume_encode(&n->rec, text, STORE_VALUE_MAX + 1, fiber_fail_err(f));
}

/* ME5. */
static int members_epoch(struct fiber *f, struct nexus *n, struct nexus_child *child)
{
	uint64_t epoch = n->rec.epoch;
	int r;

	if (child->ops && child->fence >= replica_token(epoch, (uint16_t)(n->session + 1)))
		n->rec.epoch = (child->fence >> 16) + 1;
	if (n->rec.epoch > VOLUME_EPOCH_MAX)
		r = fiber_fail(f, -EOVERFLOW, "child '%s': no epochs are left above its fence",
			       child_member(child)->uri);
	else
		r = members_fit(f, n);
	if (r < 0)
		n->rec.epoch = epoch;
	else if (n->rec.epoch != epoch)
		n->epoch_was = epoch;
	return r;
}

/* What was forced is ours from now on; if that fails its rebuild says so. */
static void members_label(struct fiber *f, struct nexus_child *child)
{
	if (child_tell(f, child, REPLICA_INCONSISTENT, true) < 0)
		fiber_clear(f);
}

/* Under the latch. */
static int members_append(struct fiber *f, struct nexus *n, const char *uri, bool force,
			  struct nexus_child **ret)
{
	struct volume_member *member = &n->rec.members[n->rec.member_count];
	int r;

	if (n->rec.member_count == NEXUS_CHILDREN_MAX)
		return fiber_fail(f, -ENOSPC, "volume '%s' has %u children already", n->rec.name,
				  NEXUS_CHILDREN_MAX);
	if (strlen(uri) > VOLUME_URI_MAX)
		return fiber_fail(f, -ENAMETOOLONG, "a child's URI has at most %u bytes",
				  VOLUME_URI_MAX);
	nexus_each_child(n, child)
		if (strcmp(child_member(child)->uri, uri) == 0)
			return fiber_fail(f, -EEXIST, "volume '%s' has child '%s' already",
					  n->rec.name, uri);
	*member = (struct volume_member){ .state = VOLUME_OUT, .reason = "new" };
	snprintf(member->uri, sizeof(member->uri), "%s", uri);
	*ret = child_new(n, n->rec.member_count++);
	must(*ret);
	(*ret)->force = force;
	r = child_open(f, *ret, false); /* a look, before anything is written */
	if (r == 0)
		r = members_epoch(f, n, *ret);
	if (r == 0)
		r = owner_put_surely(f, n); /* ME1 */
	if (r == 0 && !(*ret)->ops)
		members_label(f, *ret);
	if ((*ret)->bdev)
		child_close(f, *ret);
	if (r < 0) {
		(*ret)->is_used = false;
		n->rec.member_count--;
	}
	return r;
}

static int members_add(struct fiber *f, struct nexus *n, const char *uri, bool force)
{
	struct nexus_child *child;
	struct bdev *bdev;
	int r = bdev_open(f, uri, &bdev); /* ME3 */

	if (r < 0)
		return belong_word(f, uri, r);
	r = latch_lock(f, &n->admin);
	if (r == 0) {
		r = members_ready(f, n);
		if (r == 0)
			r = members_append(f, n, uri, force, &child);
		latch_unlock(f, &n->admin);
	}
	bdev_close(f, bdev);
	return r < 0 ? r : rebuild_start(child);
}

int nexus_add_child(struct fiber *f, struct nexus *n, const char *uri)
{
	return members_add(f, n, uri, false);
}

int nexus_force_child(struct fiber *f, struct nexus *n, const char *uri)
{
	return members_add(f, n, uri, true);
}

/* It leaves the ranks: retired like one that failed, and we wait for that. */
static int members_out(struct fiber *f, struct nexus *n, struct nexus_child *child)
{
	int r = members_ready(f, n);

	if (r < 0)
		return r;
	rebuild_stop(f, child);
	r = members_ready(f, n);
	if (r < 0 || child->state == NEXUS_CHILD_OUT)
		return r;
	if ((n->needed & (nexus_mask)~nexus_bit(child)) == 0) /* ME2 */
		return fiber_fail(f, -EBUSY, "child '%s' is the last one in sync of volume '%s'",
				  child_member(child)->uri, n->rec.name);
	retire(child, -ECANCELED);
	while (child->bdev && (n->state == NEXUS_SERVING || n->state == NEXUS_FROZEN))
		if (fiber_sleep(f, NEXUS_RETRY_NS / 100) < 0)
			return -ECANCELED;
	return child->bdev ? fiber_fail(f, -EBUSY, "volume '%s' is %s", n->rec.name,
					nexus_state_name(n->state)) :
			     0;
}

int nexus_offline_child(struct fiber *f, struct nexus *n, const char *uri)
{
	struct nexus_child *child;
	int r = members_find(f, n, uri, &child);

	if (r == 0)
		r = members_out(f, n, child);
	if (r == 0)
		r = members_lock(f, n, uri, child);
	if (r < 0)
		return r;
	child_member(child)->is_offline = true;
	snprintf(child_member(child)->reason, sizeof(child_member(child)->reason), "offline");
	r = owner_put_surely(f, n);
	latch_unlock(f, &n->admin);
	return r;
}

int nexus_online_child(struct fiber *f, struct nexus *n, const char *uri)
{
	struct nexus_child *child;
	int r = members_find(f, n, uri, &child);

	if (r == 0)
		r = members_ready(f, n);
	if (r == 0)
		r = members_lock(f, n, uri, child);
	if (r < 0)
		return r;
	child_member(child)->is_offline = false;
	r = owner_put_surely(f, n);
	latch_unlock(f, &n->admin);
	if (r < 0 || child->bdev || child->is_rebuilding)
		return r;
	return rebuild_start(child);
}

static void members_erase(struct nexus *n, struct nexus_child *gone)
{
	struct volume_member *at = child_member(gone);
	size_t behind = n->rec.member_count - gone->member - 1;

	memmove(at, at + 1, behind * sizeof(*at));
	n->rec.member_count--;
	gone->is_used = false;
	nexus_each_child(n, child)
		if (child->member > gone->member)
			child->member--;
}

/* Under the latch, but not while its fiber ends: that may take as long as its last request (ME6). */
static int members_quiet(struct fiber *f, struct nexus *n, const char *uri,
			 struct nexus_child *child)
{
	int r = members_lock(f, n, uri, child);

	while (r == 0 && (child->rebuild.has_fiber || child->bdev)) {
		latch_unlock(f, &n->admin);
		rebuild_stop(f, child);
		if (child->bdev)
			r = fiber_sleep(f, NEXUS_RETRY_NS / 100);
		if (r == 0)
			r = members_lock(f, n, uri, child);
	}
	return r;
}

int nexus_remove_child(struct fiber *f, struct nexus *n, const char *uri)
{
	struct volume_member was;
	struct nexus_child *child;
	int r = members_find(f, n, uri, &child);

	if (r == 0)
		r = members_out(f, n, child);
	if (r < 0)
		return r;
	was = *child_member(child);
	if (belong_let_go(f, n->table, &n->rec, &was) < 0) /* ME4 */
		fiber_clear(f);				   /* it can be taken by force */
	r = members_quiet(f, n, uri, child);
	if (r < 0)
		return r;
	/* before: if it is ever added again, no old map must match it */
	r = missed_forget(f, n, &was.replica);
	if (r == 0) {
		members_erase(n, child);
		r = owner_put_surely(f, n);
	}
	latch_unlock(f, &n->admin);
	return r;
}

int nexus_settle(struct fiber *f, struct nexus *n)
{
	for (;;) {
		bool busy = n->rebuilds > 0 || n->state == NEXUS_FROZEN;

		if (!busy)
			return 0;
		int r = fiber_sleep(f, NEXUS_RETRY_NS / 100);
		if (r < 0)
			return r;
	}
}
