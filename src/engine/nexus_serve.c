// SPDX-License-Identifier: Apache-2.0
/* nexus_serve - an open nexus within reach of hosts: published, moved (ANA), grown. */
#include <errno.h>

#include "base/err.h"
#include "engine/engine_priv.h"
#include "engine/events_source.h"
#include "reactor/fiber.h"

/* ---- publish ---------------------------------------------------------------------------------------------- */

static int nexus_publish(struct fiber *f, struct engine *e, struct engine_nexus *en,
			 const char *const *hosts, unsigned count)
{
	struct texts copy = { 0 };
	struct publish *publish = en->publish;
	int r = nexus_is_open(f, en);

	if (r < 0)
		return r;
	if (publish && texts_are(&en->hosts, hosts, count))
		return 0;
	r = texts_copy(e->io->mem, hosts, count, &copy);
	if (r < 0)
		return fiber_fail(f, r, "no memory");
	en->publish = NULL;
	if (publish) /* other hosts: those who are connected come again */
		publish_stop(f, publish);
	texts_free(&en->hosts);
	en->hosts = copy;
	r = nexus_door(f, e, en);
	en->is_shared = r == 0;
	if (r == 0)
		events_nexus(e, en, "published");
	return r < 0 ? r : state_save(f, e);
}

int engine_nexus_publish(struct fiber *f, struct engine *e, const char *name_or_uuid,
			 const char *const *hosts, unsigned host_count, engine_nexus_fn fn,
			 void *ctx)
{
	struct engine_nexus *en;
	int r = share_check_hosts(f, hosts, host_count);

	if (r == 0)
		r = nexus_begin(f, e, name_or_uuid, &en);
	if (r < 0)
		return r;
	r = nexus_publish(f, e, en, hosts, host_count);
	return nexus_end(f, e, en, r, fn, ctx);
}

int engine_nexus_unpublish(struct fiber *f, struct engine *e, const char *name_or_uuid,
			   engine_nexus_fn fn, void *ctx)
{
	struct engine_nexus *en;
	int r = nexus_begin(f, e, name_or_uuid, &en);

	if (r < 0)
		return r;
	if (en->is_shared) {
		struct publish *publish = en->publish;

		en->is_shared = false;
		en->publish = NULL;
		texts_free(&en->hosts);
		r = state_save(f, e);
		if (publish)
			publish_stop(f, publish);
		events_nexus(e, en, "unpublished");
	}
	return nexus_end(f, e, en, r, fn, ctx);
}

int engine_nexus_set_ana(struct fiber *f, struct engine *e, const char *name_or_uuid,
			 enum tgt_ana_state state, engine_nexus_fn fn, void *ctx)
{
	struct engine_nexus *en;
	int r = nexus_begin(f, e, name_or_uuid, &en);

	if (r < 0)
		return r;
	r = nexus_is_open(f, en);
	if (r == 0 && !en->publish)
		r = fiber_fail(f, -EPERM, "nexus '%s' is not published", en->name);
	if (r == 0)
		r = publish_ana(f, en->publish, state);
	return nexus_end(f, e, en, r, fn, ctx);
}

int engine_nexus_resize(struct fiber *f, struct engine *e, const char *name_or_uuid,
			uint64_t size_bytes, engine_nexus_fn fn, void *ctx)
{
	struct engine_nexus *en;
	int r = nexus_begin(f, e, name_or_uuid, &en);

	if (r < 0)
		return r;
	if (size_bytes == 0)
		r = fiber_fail(f, -EINVAL, "nexus '%s': the new size is missing", en->name);
	if (r == 0)
		r = nexus_is_open(f, en);
	if (r == 0)
		r = nexus_resize(f, en->nexus, size_bytes);
	if (r == 0 && en->publish)
		r = publish_rescan(f, en->publish);
	if (r == 0) {
		en->size_bytes = size_bytes;
		events_nexus(e, en, "resized");
		r = state_save(f, e);
	}
	return nexus_end(f, e, en, r, fn, ctx);
}
