// SPDX-License-Identifier: Apache-2.0
/*
 * tgt_ns - namespaces come, are paused, grow, and go, while hosts look on.
 *
 *	add --> SHOWN --disk gone--> HUSK (no disk, hosts do not see it) --remove--> freed
 *	          \--------------------remove------------------------------------> freed
 *
 * The names of a namespace: its UUID is what the caller says, else that of the bdev, else
 * uuid_from_name(ns_space, NQN + '\n' + the bdev's name); the NGUID has the same 16 bytes.
 * None of it depends on anything that a restart changes.
 *
 * E1. Whoever may suspend while he uses a namespace holds it; it is freed when no one does.
 * E2. Its rules are changed only by who holds it.
 * E3. What keeps others out by its fence is shared with them: a nexus of this node, next to the
 *     hosts. Anything else is claimed for ourselves.
 * E4. On a subsystem marked `fence` associations end with the disk: one that is added later may be the
 *     replica as it was before a crash, and who had a token must look again (rule INCARN).
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/err.h"
#include "base/must.h"
#include "bdev/bdev_driver.h"
#include "nvmf/tgt_page_priv.h"
#include "reactor/fiber.h"

/* In letters: "mayastor" "namesp". */
static const struct uuid ns_space = { { 'm', 'a', 'y', 'a', 's', 't', 'o', 'r', 0x80, 0, 'n', 'a',
					'm', 'e', 's', 'p' } };

struct uuid tgt_ns_name(const char *subnqn, const struct bdev *bdev)
{
	char name[NVME_NQN_MAX + 1 + BDEV_NAME_MAX];
	size_t nqn_len = strlen(subnqn), name_len = strnlen(bdev->name, BDEV_NAME_MAX);

	if (!uuid_is_nil(&bdev->uuid))
		return bdev->uuid;
	memcpy(name, subnqn, nqn_len);
	name[nqn_len] = '\n';
	memcpy(name + nqn_len + 1, bdev->name, name_len);
	return uuid_from_name(&ns_space, name, nqn_len + 1 + name_len);
}

/* ---- find, hold ----------------------------------------------------------------------------- */

uint32_t tgt_ns_nsid(const struct tgt_ns *ns)
{
	return ns->nsid;
}

struct tgt_ns *tgt_ns_find(struct tgt_subsys *subsys, uint32_t nsid)
{
	struct tgt_ns *ns = nsid - 1 < TGT_NAMESPACES_MAX ? subsys->ns[nsid - 1] : NULL;

	return ns && ns->is_added && !ns->is_removing ? ns : NULL;
}

struct tgt_ns *tgt_ns_active(const struct tgt_subsys *subsys, uint32_t nsid)
{
	struct tgt_ns *ns = nsid - 1 < TGT_NAMESPACES_MAX ? subsys->ns[nsid - 1] : NULL;

	return ns && ns->rules.is_visible ? ns : NULL;
}

static void ns_lock(struct fiber *f, struct tgt_ns *ns)
{
	ns->users++;
	while (!latch_try(f, &ns->lock)) {
		event_clear(&ns->changed);
		event_wait_always(f, &ns->changed);
	}
}

bool tgt_ns_hold(struct fiber *f, struct tgt_ns *ns)
{
	if (ns->is_removing)
		return false;
	ns_lock(f, ns);
	if (!ns->is_removing)
		return true;
	tgt_ns_drop(f, ns);
	return false;
}

void tgt_ns_drop(struct fiber *f, struct tgt_ns *ns)
{
	latch_unlock(f, &ns->lock);
	must(ns->users > 0);
	ns->users--;
	event_set(&ns->changed);
}

/* ---- the disk ------------------------------------------------------------------------------- */

static bool ns_has_disk(const struct tgt_ns *ns)
{
	return ns->chan != NULL;
}

static void associations_end(struct tgt_subsys *subsys)
{
	struct tgt_ctrl *ctrl, *after;

	list_for_each_safe(ctrl, after, &subsys->ctrls, link)
		tgt_ctrl_close(ctrl, "its replica is gone");
}

/* Hosts see it no more; what was in flight has ended; the disk is closed. Held. */
static void disk_leave(struct fiber *f, struct tgt_ns *ns)
{
	if (!ns_has_disk(ns))
		return;
	ns->rules.is_visible = false;
	if (ns->subsys->fence)
		associations_end(ns->subsys); /* E4 */
	tgt_view_close(f, ns);
	tgt_event_ns(ns->subsys, ns->nsid);
	bdev_watch_del(f, &ns->watch);
	bdev_chan_close(f, ns->chan);
	ns->chan = NULL;
	bdev_unclaim(f, &ns->claim);
	bdev_close(f, ns->bdev);
	ns->bdev = NULL;
}

static int disk_gone(struct fiber *f, void *arg)
{
	struct tgt_ns *ns = arg;

	if (tgt_ns_hold(f, ns)) {
		log_warn(ns->subsys->tgt->log, "namespace lost its disk",
			 LOG_STR("subsystem", ns->subsys->nqn), LOG_U64("nsid", ns->nsid));
		disk_leave(f, ns);
		tgt_ns_drop(f, ns);
	}
	ns->users--; /* of disk_event() */
	event_set(&ns->changed);
	return 0;
}

static void disk_event(struct bdev_watch *watch, struct bdev *bdev, enum bdev_event event)
{
	struct tgt_ns *ns = container_of(watch, struct tgt_ns, watch);

	(void)bdev;
	if (!ns->is_added || ns->is_removing)
		return;
	if (event == BDEV_RESIZED) {
		tgt_event_ns(ns->subsys, ns->nsid);
		return;
	}
	ns->users++; /* E1 */
	if (fiber_start(ns->subsys->tgt->home, "ns-gone", disk_gone, ns, NULL) < 0) {
		ns->users--; /* it stays, and every command fails with -ENODEV */
		log_error(ns->subsys->tgt->log, "no fiber to remove a namespace with",
			  LOG_U64("nsid", ns->nsid));
	}
}

/* E3. */
static bool ns_is_fenced(const struct tgt_ns *ns)
{
	return ns->subsys->fence && ns->bdev->driver->replica;
}

/* Opens the disk on every reactor; undoes what it did if it fails. */
static int disk_enter(struct fiber *f, struct tgt_ns *ns, const struct tgt_ns_args *args)
{
	enum bdev_claim_kind kind;
	int r = bdev_open(f, args->uri, &ns->bdev);

	if (r < 0)
		return r;
	kind = args->is_door ? BDEV_CLAIM_DOOR : BDEV_CLAIM_WRITE;
	if (args->read_only || ns->bdev->read_only || ns_is_fenced(ns))
		kind = BDEV_CLAIM_READ;
	r = bdev_claim(f, ns->bdev, kind, ns->subsys->nqn, &ns->claim);
	if (r < 0)
		goto no_claim;
	r = bdev_chan_open(f, ns->bdev, &ns->chan);
	if (r < 0)
		goto no_chan;
	ns->watch.fn = disk_event;
	r = bdev_watch_add(f, ns->bdev, &ns->watch);
	if (r < 0)
		goto no_watch;
	r = tgt_resv_load(f, ns);
	if (r == 0)
		r = tgt_view_open(f, ns);
	if (r == 0)
		return 0;
	bdev_watch_del(f, &ns->watch);
no_watch:
	bdev_chan_close(f, ns->chan);
	ns->chan = NULL;
no_chan:
	bdev_unclaim(f, &ns->claim);
no_claim:
	bdev_close(f, ns->bdev);
	ns->bdev = NULL;
	return r;
}

/* ---- add ------------------------------------------------------------------------------------ */

static int args_check(struct fiber *f, struct tgt_subsys *subsys, const struct tgt_ns_args *args)
{
	if (subsys->is_discovery || subsys->is_removing)
		return fiber_fail(f, -EINVAL, "subsystem %s takes no namespaces", subsys->nqn);
	if (args->nsid > TGT_NAMESPACES_MAX)
		return fiber_fail(f, -EINVAL, "namespace %" PRIu32 ": 1 to %u are wanted",
				  args->nsid, TGT_NAMESPACES_MAX);
	if (args->ana_group > TGT_ANA_GROUPS_MAX)
		return fiber_fail(f, -EINVAL, "ANA group %" PRIu32 ": 1 to %u are wanted",
				  args->ana_group, TGT_ANA_GROUPS_MAX);
	if (args->nsid && subsys->ns[args->nsid - 1])
		return fiber_fail(f, -EEXIST, "namespace %" PRIu32 " of %s exists", args->nsid,
				  subsys->nqn);
	if (subsys->ns_count >= TGT_NAMESPACES_MAX || (subsys->fence && subsys->ns_count))
		return fiber_fail(f, -EMFILE, "%s has %u namespaces, the most it can have",
				  subsys->nqn, subsys->ns_count);
	return 0;
}

/* In the table, not seen by anyone. */
static struct tgt_ns *ns_new(struct tgt_subsys *subsys, const struct tgt_ns_args *args)
{
	struct tgt_ns *ns = mem_new(subsys->tgt->io, sizeof(*ns));
	uint32_t nsid = args->nsid;

	if (!ns)
		return NULL;
	while (!nsid || subsys->ns[nsid - 1])
		nsid++;
	ns->subsys = subsys;
	ns->nsid = nsid;
	ns->ana_group = args->ana_group ? args->ana_group : 1;
	ns->resv.holder = -1;
	latch_init(&ns->lock);
	event_init(&ns->changed);
	subsys->ns[nsid - 1] = ns;
	subsys->ns_count++;
	return ns;
}

/* It is being removed: whoever waits for it goes away (E1). Not held. */
static void ns_free(struct fiber *f, struct tgt_ns *ns)
{
	while (ns->users) {
		event_clear(&ns->changed);
		event_wait_always(f, &ns->changed);
	}
	ns->subsys->ns[ns->nsid - 1] = NULL;
	ns->subsys->ns_count--;
	mem_free(ns);
}

static void names_set(struct tgt_ns *ns, const struct uuid *given)
{
	ns->uuid = uuid_is_nil(given) ? tgt_ns_name(ns->subsys->nqn, ns->bdev) : *given;
	memcpy(ns->nguid, ns->uuid.bytes, sizeof(ns->nguid));
}

static void ns_show(struct fiber *f, struct tgt_ns *ns, const struct tgt_ns_args *args)
{
	names_set(ns, &args->uuid);
	ns->shift = (uint8_t)__builtin_ctz(ns->bdev->block_size);
	ns->rules.is_read_only = args->read_only || ns->bdev->read_only;
	ns->rules.is_one_of_many = ns->subsys->no_reservations;
	ns->rules.ana = ns->subsys->ana_state[ns->ana_group - 1];
	ns->rules.is_visible = true;
	tgt_resv_rules_set(ns);
	tgt_view_publish(f, ns);
	ns->is_added = true;
	tgt_event_ns(ns->subsys, ns->nsid);
}

int tgt_ns_add(struct fiber *f, struct tgt_subsys *subsys, const struct tgt_ns_args *args,
	       struct tgt_ns **ret)
{
	struct tgt_ns *ns;
	int r = args_check(f, subsys, args);

	if (r < 0)
		return r;
	ns = ns_new(subsys, args);
	if (!ns)
		return fiber_fail(f, -ENOMEM, "no memory for a namespace");
	ns_lock(f, ns);
	r = disk_enter(f, ns, args);
	if (r == 0)
		ns_show(f, ns, args);
	else
		ns->is_removing = true;
	tgt_ns_drop(f, ns);
	if (r < 0) {
		ns_free(f, ns);
		return r;
	}
	if (ns->bdev->is_removed) /* meanwhile: the watch was not heeded yet */
		disk_event(&ns->watch, ns->bdev, BDEV_REMOVED);
	*ret = ns;
	return 0;
}

/* ---- remove, pause, rescan ------------------------------------------------------------------ */

void tgt_ns_remove(struct fiber *f, struct tgt_ns *ns)
{
	if (!tgt_ns_hold(f, ns))
		return; /* somebody else does it */
	ns->is_removing = true;
	disk_leave(f, ns);
	tgt_ns_drop(f, ns);
	ns_free(f, ns);
}

static void pause_set(struct fiber *f, struct tgt_ns *ns, int step)
{
	if (!tgt_ns_hold(f, ns))
		return;
	ns->pause_count += (unsigned)step;
	ns->rules.is_paused = ns->pause_count > 0;
	if (ns_has_disk(ns)) {
		tgt_view_publish(f, ns);
		if (ns->rules.is_paused)
			tgt_view_drain(f, ns);
	}
	tgt_ns_drop(f, ns);
}

void tgt_ns_pause(struct fiber *f, struct tgt_ns *ns)
{
	pause_set(f, ns, 1);
}

void tgt_ns_resume(struct fiber *f, struct tgt_ns *ns)
{
	must(ns->pause_count > 0);
	pause_set(f, ns, -1);
}

/* The watch tells the hosts. */
int tgt_ns_rescan(struct fiber *f, struct tgt_ns *ns)
{
	int r = -ENODEV;

	if (tgt_ns_hold(f, ns)) {
		r = ns_has_disk(ns) ? bdev_rescan(f, ns->bdev) : -ENODEV;
		tgt_ns_drop(f, ns);
	}
	return r == -ENODEV ? fiber_fail(f, r, "namespace %" PRIu32 " has no disk", ns->nsid) : r;
}
