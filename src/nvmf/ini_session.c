// SPDX-License-Identifier: Apache-2.0
/*
 * ini_session - a channel that has fenced: it has an association of its own, as a host of its own.
 *
 *	SHARED --fence(token)--> connect as another host --> the same namespace? --> key registered
 *	                          --> Fence --> SESSION --fence(larger token)--> the same again
 *
 * A nexus gives each of its sessions with a replica a token (bdev/replica.h). At the target a
 * token is bound to the association that registered it as its key, and a reservation looks at the
 * host identifier; so each session is another host: its identifier follows from the disk's own
 * (hostid, or made up at open) and the token. The name of the host stays, for allow-lists. All bios and
 * calls of the channel go by the association of its session; when that is lost it is made again,
 * under the same key (I2), and only with the replica as it was (I5).
 *
 * S1. The channel turns to the new session when Fence has been answered: the replica's fence is
 *     the token, and nothing older lands any more.
 * S2. What the old association had in flight ends with -ESTALE, and it never comes back.
 * S3. A fence that fails leaves the channel as it was.
 * S4. A session that is GONE stays so: only another fence helps.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/cursor.h"
#include "base/must.h"
#include "nvmf/ini_priv.h"

/* ---- the end -------------------------------------------------------------------------------- */

static void ini_session_free(struct fiber *f, struct ini_chan *ic)
{
	struct ini *ini = ic->session;

	while (ini->calls) {
		event_clear(&ini->moved);
		event_wait_always(f, &ini->moved);
	}
	ini_keeper_close(f, ini);
	ini_queue_free(ic->q);
	mem_free(ini);
}

void ini_session_end(struct fiber *f, struct ini_chan *ic)
{
	if (ic->q->state == INI_LIVE)
		ini_resv_leave(f, ic->q);
	ini_chan_leave(f, ic->session, ic->q);
	ini_session_free(f, ic);
}

/* ---- the begin ------------------------------------------------------------------------------ */

struct ini_copy {
	const struct ini *from;
	struct ini *to; /* all zeros */
};

/* On the disk's reactor. */
static int ini_session_copy(struct fiber *f, void *arg)
{
	const struct ini_copy *copy = arg;
	const struct ini *from = copy->from;
	struct ini *to = copy->to;

	if (from->state == INI_GONE)
		return fiber_fail(f, -ENODEV, "%s: the disk is gone", from->bdev->name);
	to->bdev = from->bdev;
	to->bdev_home = from->home;
	to->opts = from->opts;
	to->ctrl = from->ctrl;
	to->ns = from->ns;
	to->is_replica = from->is_replica;
	to->is_session = true;
	return 0;
}

static int ini_session_queue(struct fiber *f, struct ini *ini, struct ini_queue **ret)
{
	int r = ini_queue_new(fiber_reactor(f), ini, ini_slots(ini), ret);

	if (r < 0)
		return fiber_fail(f, r, "%s: no memory for an I/O queue", ini->bdev->name);
	(*ret)->qid = 1;
	(*ret)->token = ini->key;
	(*ret)->timeout_ns = ini->opts.timeout_ns;
	list_init(&ini->queues);
	ini_list_queue(ini, *ret);
	return 0;
}

static int ini_session_open(struct fiber *f, struct bdev_chan *chan, uint64_t token,
			    struct ini_chan *ret)
{
	struct ini *base = ini_of(chan->bdev);
	CLEANUP(cleanup_mem) struct ini *ini = mem_new(fiber_io(f), sizeof(*ini));
	struct ini_copy copy = { base, ini };
	struct ini_queue *q;
	int r;

	if (!ini)
		return fiber_fail(f, -ENOMEM, "%s: no memory for a session", chan->bdev->name);
	TRY(fiber_call_on(f, base->home, "nvmf session", ini_session_copy, &copy));
	ini->home = fiber_reactor(f);
	ini->key = token;
	ini->opts.host_id = ini_host_id(&base->opts.host_id, token);
	TRY(ini_session_queue(f, ini, &q));
	r = ini_keeper_open_session(f, ini);
	if (r < 0) {
		ini_queue_free(q);
		if (fiber_err(f)->code)
			err_prefix(fiber_err(f), "%s: session %#" PRIx64 ": ", chan->bdev->name,
				   token);
		return r;
	}
	*ret = (struct ini_chan){ .q = q, .session = steal(ini) };
	return 0;
}

static int ini_session_fence(struct fiber *f, struct ini *ini)
{
	struct ini_vendor v = {
		.cmd = { .opcode = NVME_VENDOR_CALL, .function = NVME_VENDOR_FENCE },
		.doing = "fencing a replica",
	};

	return ini_vendor_call(f, ini, &v);
}

/* S2. */
static void ini_session_leave(struct fiber *f, struct bdev_chan *chan, struct ini_chan *old)
{
	ini_bio_deposed(old->q);
	if (old->session) {
		ini_session_end(f, old);
		return;
	}
	ini_chan_leave(f, ini_of(chan->bdev), old->q);
	ini_queue_free(old->q);
}

int ini_session_begin(struct fiber *f, struct bdev_chan *chan, uint64_t token)
{
	struct ini_chan *ic = ini_chan_of(chan), old = *ic, new;
	int r;

	if (token == 0 || token < old.q->token)
		return fiber_fail(f, -ESTALE,
				  "%s: token %#" PRIx64 " is older than the session's, %#" PRIx64,
				  chan->bdev->name, token, old.q->token);
	if (old.session && token == old.q->token && old.session->state != INI_GONE)
		return ini_session_fence(f, old.session);
	TRY(ini_session_open(f, chan, token, &new));
	r = ini_session_fence(f, new.session);
	if (r < 0) {
		ini_session_end(f, &new); /* S3 */
		return r;
	}
	*ic = new; /* S1 */
	ini_session_leave(f, chan, &old);
	return 0;
}
