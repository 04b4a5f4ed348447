// SPDX-License-Identifier: Apache-2.0
/*
 * children - the children of a node's nexuses: what they are called, added, removed, rebuilt.
 *
 * A control plane names a replica of this very node bdev:///NAME?uuid=UUID; it is opened
 * as pool:///POOL/NAME, and told again as it was named.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/uri.h"
#include "engine/uses.h"
#include "reactor/fiber.h"

/* ---- names ---------------------------------------------------------------------------------------- */

/* The replica of ours that a URI names, if it is of that kind. 1: *at is filled in. */
static int child_is_ours(struct fiber *f, struct engine *e, const struct uri *uri,
			 struct replica_at *at)
{
	const char *scheme = uri_scheme(uri), *uuid;
	int r;

	if ((strcmp(scheme, "bdev") != 0 && strcmp(scheme, "loopback") != 0) || uri_host(uri)[0] ||
	    uri_segment_count(uri) != 1)
		return 0;
	if (uri_str(uri, "uuid", &uuid) < 0)
		uuid = uri_segment(uri, 0);
	r = replicas_find(f, e, uuid, NULL, at);
	if (r == -ENOENT) {
		fiber_clear(f);
		return fiber_fail(f, -ENOENT, "there is no replica for child '%s' on this node",
				  uri_print(uri));
	}
	if (r == 0 && at->stat.kind == REPLICA_SNAPSHOT) {
		pools_put(at->ep);
		return fiber_fail(f, -EINVAL, "child '%s' is a snapshot", uri_print(uri));
	}
	return r < 0 ? r : 1;
}

int child_open_uri(struct fiber *f, struct engine *e, const char *text, char **ret)
{
	CLEANUP(cleanup_mem) struct replica_at *at = mem_new(e->io, sizeof(*at));
	CLEANUP(cleanup_mem) char *copy = mem_new(e->io, ENGINE_URI_MAX);
	CLEANUP(cleanup_uri) struct uri *uri = NULL;
	int r;

	if (!at || !copy)
		return fiber_fail(f, -ENOMEM, "no memory");
	if (strlen(text) > VOLUME_URI_MAX)
		return fiber_fail(f, -EINVAL, "child '%.40s...' is longer than %u", text,
				  VOLUME_URI_MAX);
	r = uri_parse(e->io->mem, text, &uri, fiber_fail_err(f));
	if (r < 0)
		return r;
	r = uses_for_child(f, e, text);
	if (r == 0)
		r = child_is_ours(f, e, uri, at);
	if (r < 0)
		return r;
	if (r > 0) {
		replica_local_uri(at, copy);
		pools_put(at->ep);
		*ret = steal(copy);
		return 0;
	}
	return uses_spell(f, e, text, ret);
}

/* As the record has it: by the name it was told to us under, or by its own. */
static int child_known(struct fiber *f, const struct engine_nexus *en, const char *uri,
		       const char **ret)
{
	if (!uri[0])
		return fiber_fail(f, -EINVAL, "the child's uri is missing");
	for (unsigned i = 0; i < en->children.count; i++) {
		if (strcmp(en->children.at[i], uri) != 0 && strcmp(en->opened.at[i], uri) != 0)
			continue;
		*ret = en->opened.at[i];
		return 0;
	}
	return fiber_fail(f, -ENOENT, "nexus '%s' has no child '%s'", en->name, uri);
}

int engine_nexus_child_index(struct fiber *f, const struct engine_nexus_info *info, const char *uri,
			     unsigned *ret)
{
	if (!uri[0])
		return fiber_fail(f, -EINVAL, "the child's uri is missing");
	for (unsigned i = 0; i < info->nexus.count; i++) {
		if (strcmp(info->child_uris[i], uri) != 0 &&
		    strcmp(info->nexus.children[i].uri, uri) != 0)
			continue;
		*ret = i;
		return 0;
	}
	return fiber_fail(f, -ENOENT, "nexus '%s' has no child '%s'", info->name, uri);
}

/* ---- adding, removing ------------------------------------------------------------------------------- */

static void child_forget(struct engine_nexus *en, const char *uri)
{
	for (unsigned i = 0; i < en->children.count; i++) {
		if (strcmp(en->children.at[i], uri) != 0 && strcmp(en->opened.at[i], uri) != 0)
			continue;
		texts_remove(&en->children, i);
		texts_remove(&en->opened, i);
		return;
	}
}

static int child_remember(struct fiber *f, struct engine *e, struct engine_nexus *en,
			  const char *uri, const char *opened)
{
	int r = texts_add(e->io->mem, &en->children, uri);

	if (r == 0) {
		r = texts_add(e->io->mem, &en->opened, opened);
		if (r < 0)
			texts_remove(&en->children, en->children.count - 1);
	}
	return r < 0 ? fiber_fail(f, r, "no memory") : state_save(f, e);
}

static bool children_have(const struct nexus_info *info, const char *opened)
{
	bool has = false;

	for (unsigned i = 0; i < info->count; i++)
		has |= strcmp(info->children[i].uri, opened) == 0;
	return has;
}

void children_settle(struct engine *e, struct engine_nexus *en)
{
	CLEANUP(cleanup_mem) struct nexus_info *info = mem_new(e->io, sizeof(*info));

	if (!info)
		return; /* names that lie are told to nobody while it is open */
	nexus_info(en->nexus, info);
	for (unsigned i = en->opened.count; i-- > 0;)
		if (!children_have(info, en->opened.at[i])) {
			texts_remove(&en->children, i);
			texts_remove(&en->opened, i);
		}
	if (info->size_bytes > en->size_bytes)
		en->size_bytes = info->size_bytes;
}

/* The name first: it may lie without a child, not the other way round. */
static int child_add(struct fiber *f, struct engine *e, struct engine_nexus *en, const char *uri)
{
	CLEANUP(cleanup_mem) char *opened = NULL;
	const char *known;
	int r = child_known(f, en, uri, &known);

	if (r != -ENOENT)
		return r; /* it is there: the same answer */
	fiber_clear(f);
	r = child_open_uri(f, e, uri, &opened);
	if (r == 0)
		r = child_remember(f, e, en, uri, opened);
	if (r < 0)
		return r;
	r = nexus_add_child(f, en->nexus, opened);
	if (r < 0) {
		struct err why = *fiber_err(f);

		fiber_clear(f);
		child_forget(en, uri);
		if (state_save(f, e) < 0)
			engine_note(f, e, "state not saved", en->name);
		*fiber_err(f) = why;
	} else {
		events_add(e->events, EVENTS_CHILD, "added", opened, &en->uuid, "to nexus '%s'",
			   en->name);
	}
	return r;
}

static int child_remove(struct fiber *f, struct engine *e, struct engine_nexus *en,
			const char *known)
{
	int r = nexus_remove_child(f, en->nexus, known);

	if (r < 0)
		return r;
	events_add(e->events, EVENTS_CHILD, "removed", known, &en->uuid, "from nexus '%s'",
		   en->name);
	child_forget(en, known);
	return state_save(f, e);
}

static int child_do(struct fiber *f, struct engine *e, struct engine_nexus *en, const char *uri,
		    enum engine_child_verb verb)
{
	static int (*const verbs[])(struct fiber * f, struct nexus * nexus, const char *uri) = {
		[ENGINE_CHILD_OFFLINE] = nexus_offline_child,
		[ENGINE_CHILD_ONLINE] = nexus_online_child,
		[ENGINE_CHILD_REBUILD] = nexus_rebuild_start,
		[ENGINE_CHILD_REBUILD_STOP] = nexus_rebuild_stop,
		[ENGINE_CHILD_REBUILD_PAUSE] = nexus_rebuild_pause,
		[ENGINE_CHILD_REBUILD_RESUME] = nexus_rebuild_resume,
	};
	const char *known;
	int r = nexus_is_open(f, en);

	if (r < 0)
		return r;
	if (verb == ENGINE_CHILD_ADD)
		return child_add(f, e, en, uri);
	r = child_known(f, en, uri, &known);
	if (r < 0)
		return r;
	if (verb == ENGINE_CHILD_REMOVE)
		return child_remove(f, e, en, known);
	return verbs[verb](f, en->nexus, known);
}

int engine_nexus_child(struct fiber *f, struct engine *e, const char *name_or_uuid, const char *uri,
		       enum engine_child_verb verb, engine_nexus_fn fn, void *ctx)
{
	struct engine_nexus *en;
	int r = nexus_begin(f, e, name_or_uuid, &en);

	return r < 0 ? r : nexus_end(f, e, en, child_do(f, e, en, uri, verb), fn, ctx);
}

/* ---- rebuilds ------------------------------------------------------------------------------------------- */

int engine_nexus_limit(struct fiber *f, struct engine *e, const char *name_or_uuid,
		       uint64_t bytes_per_s, engine_nexus_fn fn, void *ctx)
{
	struct engine_nexus *en;
	int r = nexus_begin(f, e, name_or_uuid, &en);

	if (r < 0)
		return r;
	r = nexus_is_open(f, en);
	if (r == 0)
		nexus_rebuild_limit(en->nexus, bytes_per_s);
	return nexus_end(f, e, en, r, fn, ctx);
}

int engine_nexus_history(struct fiber *f, struct engine *e, const char *name_or_uuid,
			 struct nexus_rebuild_record *ret, unsigned max, unsigned *ret_count)
{
	struct engine_nexus *en;
	int r = nexus_begin(f, e, name_or_uuid, &en);

	if (r < 0)
		return r;
	r = nexus_is_open(f, en);
	if (r == 0)
		*ret_count = nexus_history(en->nexus, ret, max);
	return nexus_end(f, e, en, r, NULL, NULL);
}
