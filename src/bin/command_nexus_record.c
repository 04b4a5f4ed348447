// SPDX-License-Identifier: Apache-2.0
/* command_nexus_record - the records of volumes: made, listed, shown, forgotten. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "bin/command_nexus.h"
#include "engine/identity.h"
#include "engine/stores.h"
#include "reactor/fiber.h"
#include "reactor/fiber_io.h"

int nexus_store_open(struct fiber *f, const struct nexus_command *cmd, struct store **ret)
{
	return store_open(f, engine_stores, cmd->store, ret);
}

static void identity_leave(struct fiber *f, struct nexus_command *cmd)
{
	if (cmd->identity_file)
		fiber_close(f, cmd->identity_file);
	cmd->identity_file = NULL;
}

int nexus_join(struct fiber *f, struct nexus_command *cmd, struct store *store,
	       struct nexus_table **ret)
{
	struct nexus_table_opts opts = { .store = store,
					 .lease_ttl_ms = cmd->lease_ms,
					 .child_timeout_ms = cmd->child_timeout_ms,
					 .retry_ms = cmd->retry_ms };
	uint8_t random[16];
	int r;

	io_random(fiber_io(f), random, sizeof(random));
	opts.instance = uuid_v4(random);
	if (cmd->identity) {
		r = identity_take(f, cmd->identity, store, &opts.instance, &cmd->identity_file);
		if (r < 0)
			return r;
	}
	r = nexus_table_new(f, &opts, ret);
	if (r == 0)
		cmd->service.node.env.nexuses = *ret;
	else
		identity_leave(f, cmd);
	return r;
}

void nexus_leave(struct fiber *f, struct nexus_command *cmd, struct nexus_table *table)
{
	cmd->service.node.env.nexuses = NULL;
	nexus_table_free(f, table);
	identity_leave(f, cmd);
}

/* ---- all records --------------------------------------------------------------------------- */

/* 0 goes on. */
typedef int (*record_fn)(void *ctx, const struct volume_record *rec);

/* What is no record is told on standard error and passed by. */
static int record_each(struct fiber *f, struct store *store, record_fn fn, void *ctx)
{
	CLEANUP(cleanup_mem) struct store_record *at = mem_new(fiber_io(f), sizeof(*at));
	CLEANUP(cleanup_mem) struct volume_record *rec = mem_new(fiber_io(f), sizeof(*rec));
	char after[STORE_KEY_MAX + 1] = "";
	struct err err = { 0 };
	int r = at && rec ? 0 : fiber_fail(f, -ENOMEM, "no memory");

	while (r == 0 && (r = store_next(f, store, "volume/", after, at)) == 0) {
		snprintf(after, sizeof(after), "%s", at->key);
		if (volume_decode(at->value, at->len, rec, &err) == 0)
			r = fn(ctx, rec);
		else
			fprintf(stderr, "%s: %s\n", at->key, err_words(&err));
	}
	if (r != -ENOENT)
		return r;
	fiber_clear(f);
	return 0;
}

struct finding {
	const char *name;
	struct uuid uuid; /* nil: it is no uuid */
	struct volume_record *ret;
};

static int find_one(void *ctx, const struct volume_record *rec)
{
	struct finding *find = ctx;

	if (strcmp(rec->name, find->name) != 0 &&
	    (uuid_is_nil(&find->uuid) || !uuid_equal(&rec->volume, &find->uuid)))
		return 0;
	*find->ret = *rec;
	return 1;
}

int nexus_record_find(struct fiber *f, struct store *store, const char *name,
		      struct volume_record *ret)
{
	struct finding find = { .name = name, .ret = ret };
	int r;

	if (uuid_parse(name, &find.uuid) < 0)
		find.uuid = (struct uuid){ 0 };
	r = record_each(f, store, find_one, &find);
	if (r == 0)
		return fiber_fail(f, -ENOENT, "there is no volume '%s' in %s", name, store->uri);
	return r < 0 ? r : 0;
}

/* ---- list, show ------------------------------------------------------------------------------ */

static int list_one(void *ctx, const struct volume_record *rec)
{
	const struct nexus_command *cmd = ctx;

	if (cmd->json)
		nexus_print_record(rec, true);
	else
		nexus_print_row(rec);
	return 0;
}

int nexus_list_open(struct fiber *f, void *ctx)
{
	struct nexus_command *cmd = ctx;
	struct store *store;
	int r = nexus_store_open(f, cmd, &store);

	if (r < 0)
		return r;
	if (!cmd->json)
		nexus_print_row(NULL);
	r = record_each(f, store, list_one, cmd);
	store_close(f, store);
	return r;
}

int nexus_show_open(struct fiber *f, void *ctx)
{
	const struct nexus_command *cmd = ctx;
	CLEANUP(cleanup_mem) struct volume_record *rec = mem_new(fiber_io(f), sizeof(*rec));
	struct store *store;
	int r = rec ? nexus_store_open(f, cmd, &store) : fiber_fail(f, -ENOMEM, "no memory");

	if (r < 0)
		return r;
	r = nexus_record_find(f, store, cmd->name, rec);
	if (r == 0)
		nexus_print_record(rec, cmd->json);
	store_close(f, store);
	return r;
}

/* ---- create, destroy --------------------------------------------------------------------------- */

static int create_do(struct fiber *f, struct nexus_command *cmd, struct nexus_table *table,
		     struct store *store)
{
	CLEANUP(cleanup_mem) struct volume_record *rec = mem_new(fiber_io(f), sizeof(*rec));
	const struct nexus_create_args args = { .name = cmd->name,
						.volume = cmd->uuid,
						.size_bytes = cmd->size_bytes,
						.uris = cmd->uris,
						.force = cmd->force,
						.count = cmd->uri_count };
	uint64_t revision;
	struct uuid volume;
	int r = rec ? nexus_create(f, table, &args, &volume) : fiber_fail(f, -ENOMEM, "no memory");

	if (r == 0)
		r = volume_get(f, store, &volume, rec, &revision);
	if (r == 0)
		nexus_print_record(rec, cmd->json);
	return r;
}

static int destroy_do(struct fiber *f, struct nexus_command *cmd, struct nexus_table *table,
		      struct store *store)
{
	CLEANUP(cleanup_mem) struct volume_record *rec = mem_new(fiber_io(f), sizeof(*rec));
	int r = rec ? nexus_record_find(f, store, cmd->name, rec) :
		      fiber_fail(f, -ENOMEM, "no memory");

	return r < 0 ? r : nexus_destroy(f, table, &rec->volume);
}

typedef int (*table_fn)(struct fiber *f, struct nexus_command *cmd, struct nexus_table *table,
			struct store *store);

static int with_table(struct fiber *f, struct nexus_command *cmd, table_fn fn)
{
	struct nexus_table *table;
	struct store *store;
	struct err first;
	int r = nexus_store_open(f, cmd, &store);

	if (r < 0)
		return r;
	r = nexus_join(f, cmd, store, &table);
	if (r == 0) {
		r = fn(f, cmd, table, store);
		first = *fiber_err(f);
		nexus_leave(f, cmd, table);
		*fiber_err(f) = first;
	}
	store_close(f, store);
	return r;
}

int nexus_create_open(struct fiber *f, void *ctx)
{
	return with_table(f, ctx, create_do);
}

int nexus_destroy_open(struct fiber *f, void *ctx)
{
	return with_table(f, ctx, destroy_do);
}
