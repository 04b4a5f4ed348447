// SPDX-License-Identifier: Apache-2.0
/*
 * ini_keeper - the fiber that keeps an association: it sleeps until something is wrong, an event
 * has come, or it must stop.
 */
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/cursor.h"
#include "base/le.h"
#include "base/log.h"
#include "base/must.h"
#include "nvmf/ini_priv.h"

#define INI_BACKOFF_MIN_NS 50000000u
#define INI_BACKOFF_MAX_NS 5000000000u

static struct log *ini_log(const struct ini *ini)
{
	return reactor_log(ini->home);
}

/* The controller, or whoever answers there, does not want us: waiting is of no use. */
static bool ini_is_refusal(int r)
{
	return r < 0 && !ini_is_loss(r) && r != -ENOMEM && r != -EAGAIN;
}

static void ini_gone(struct fiber *f, struct ini *ini, const char *why)
{
	log_error(ini_log(ini), "an NVMe disk is given up", LOG_STR("disk", ini->bdev->name),
		  LOG_STR("why", why));
	fiber_clear(f);
	ini->state = INI_GONE;
	event_set(&ini->moved);
	ini_visit_all(f, ini, ini_at_gone);
	if (!ini->is_session)
		bdev_removed(ini->bdev);
}

/* Sleep, but for a stop. */
static void ini_back_off(struct fiber *f, struct ini *ini, uint64_t backoff_ns)
{
	uint64_t ns = backoff_ns / 2 + prng_below(&ini->prng, backoff_ns);
	uint64_t until = reactor_now(ini->home) + ns;

	while (!ini->stopping) {
		event_clear(&ini->wake);
		if (event_wait_until(f, &ini->wake, until) < 0)
			return;
	}
}

static int ini_try_again(struct fiber *f, struct ini *ini)
{
	int r;

	ini_assoc_lock(f, ini);
	r = ini_assoc_up(f, ini, false);
	if (r != -ESTALE && ini_is_refusal(r)) {
		ini->refused = r;
		event_set(&ini->moved);
		ini_visit_all(f, ini, ini_at_refused);
	}
	latch_unlock(f, &ini->latch);
	return r;
}

static void ini_return(struct fiber *f, struct ini *ini)
{
	uint64_t since = reactor_now(ini->home), backoff = INI_BACKOFF_MIN_NS;
	int r;

	log_warn(ini_log(ini), "an NVMe controller is lost", LOG_STR("disk", ini->bdev->name),
		 LOG_STR("why", ini->why));
	ini_assoc_lock(f, ini);
	ini_assoc_down(f, ini);
	latch_unlock(f, &ini->latch);
	while (!ini->stopping) {
		r = ini_try_again(f, ini);
		if (r == 0) {
			ini->reconnects++;
			log_info(ini_log(ini), "an NVMe controller is back",
				 LOG_STR("disk", ini->bdev->name));
			return;
		}
		if (r == -ESTALE || reactor_now(ini->home) - since >= ini->opts.loss_ns) {
			ini_gone(f, ini, fiber_words(f));
			return;
		}
		log_debug(ini_log(ini), "an NVMe controller does not come back",
			  LOG_STR("disk", ini->bdev->name), LOG_STR("why", fiber_words(f)));
		fiber_clear(f);
		ini_back_off(f, ini, backoff);
		backoff = min_u64(backoff * 2, INI_BACKOFF_MAX_NS);
	}
}

static void ini_look_at_event(struct fiber *f, struct ini *ini)
{
	bool is_ours = false;
	int r;

	ini_assoc_lock(f, ini);
	ini->changed = false;
	r = ini_admin_changed(f, ini->admin, ini->ns.nsid, &is_ours);
	if (r == 0)
		ini_event_start(ini);
	if (r == 0 && is_ours)
		r = ini_assoc_look_again(f, ini);
	if (r == -ENODEV || r == -ESTALE) {
		ini_assoc_down(f, ini);
		ini_gone(f, ini, fiber_words(f));
	}
	fiber_clear(f);
	latch_unlock(f, &ini->latch);
}

static int ini_keeper(struct fiber *f, void *arg)
{
	struct ini *ini = arg;

	while (!ini->stopping) {
		event_wait_always(f, &ini->wake);
		event_clear(&ini->wake);
		if (ini->state == INI_GONE || ini->stopping)
			continue;
		if (ini->lost)
			ini_return(f, ini);
		else if (ini->changed)
			ini_look_at_event(f, ini);
	}
	return 0;
}

/* ---- the driver's doors ---------------------------------------------------------------------------- */

static int ini_keeper_start(struct fiber *f, struct ini *ini, bool first)
{
	uint8_t seed[8];
	int r;

	ini->gone = -ENODEV;
	latch_init(&ini->latch);
	event_init(&ini->wake);
	event_init(&ini->moved);
	sema_init(&ini->vendor, INI_VENDOR_MAX);
	timer_init(&ini->keep_alive);
	io_random(fiber_io(f), seed, sizeof(seed));
	prng_init(&ini->prng, le64_get(seed), 0);
	r = ini_queue_new(ini->home, ini, INI_ADMIN_SLOTS, &ini->admin);
	if (r < 0)
		return r;
	ini->admin->timeout_ns = ini->opts.timeout_ns;
	if (ini->opts.kato_ms)
		ini->admin->timeout_ns =
			min_u64(ini->opts.timeout_ns, ini->opts.kato_ms * UINT64_C(1000000));
	r = ini_assoc_up(f, ini, first);
	if (r == 0) {
		r = fiber_start(ini->home, "nvmf keeper", ini_keeper, ini, &ini->keeper);
		if (r < 0)
			ini_assoc_down(f, ini);
	}
	if (r < 0)
		ini_queue_free(steal(ini->admin));
	return r;
}

int ini_keeper_open(struct fiber *f, struct ini *ini)
{
	list_init(&ini->queues);
	return ini_keeper_start(f, ini, true);
}

int ini_keeper_open_session(struct fiber *f, struct ini *ini)
{
	return ini_keeper_start(f, ini, false);
}

void ini_keeper_close(struct fiber *f, struct ini *ini)
{
	ini->stopping = true;
	event_set(&ini->wake);
	ini_assoc_hurry(ini);
	fiber_join(f, ini->keeper);
	must(list_empty(&ini->queues));
	timer_stop(&ini->keep_alive);
	ini_admin_shutdown(f, ini->admin);
	ini_queue_stop(f, ini->admin);
	ini_queue_free(steal(ini->admin));
}

int ini_keeper_rescan(struct fiber *f, struct ini *ini)
{
	int r = latch_lock(f, &ini->latch);

	if (r < 0)
		return r;
	r = ini->state == INI_UP ?
		    ini_assoc_look_again(f, ini) :
		    fiber_fail(f, -ENOTCONN, "%s: the connection is down", ini->bdev->name);
	latch_unlock(f, &ini->latch);
	return r;
}
