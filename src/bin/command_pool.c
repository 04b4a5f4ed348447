// SPDX-License-Identifier: Apache-2.0
/*
 * command_pool - `mayastor pool ...`: pools without a running node.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "bin/cli.h"
#include "bin/commands.h"

/* ---- create, grow, add, destroy -------------------------------------------------------------- */

/* 0 means the default to pool_create(), and nothing to whoever typed it. */
static int given_u32(struct fiber *f, const struct cli *cli, enum cli_option option, uint64_t value,
		     uint32_t *ret)
{
	if (!(cli->given & option))
		return 0;
	if (value == 0 || value > UINT32_MAX)
		return fiber_fail(f, -EINVAL, "--%s is %" PRIu64 ", expected 1 to %u",
				  option == CLI_CLUSTER ? "cluster" : "overcommit", value,
				  UINT32_MAX);
	*ret = (uint32_t)value;
	return 0;
}

static int create_main(struct fiber *f, void *arg)
{
	struct cli *cli = arg;
	struct pool_create_args args = { .name = cli->name,
					 .uuid = cli->given & CLI_UUID ? &cli->uuid : NULL,
					 .disks = (const char *const *)cli->disks,
					 .disk_count = cli->disk_count,
					 .force = cli->force };
	char text[CLI_SIZE_TEXT];
	struct pool_info info;
	struct pool *pool;
	int r;

	r = given_u32(f, cli, CLI_CLUSTER, cli->cluster, &args.cluster_bytes);
	if (r == 0)
		r = given_u32(f, cli, CLI_OVERCOMMIT, cli->overcommit, &args.overcommit_percent);
	if (r == 0)
		r = pool_create(f, &args, &pool);
	if (r < 0)
		return r;
	pool_info(pool, &info);
	r = pool_export(f, pool);
	if (r == 0)
		printf("pool '%s' created: %s on %u disk%s\n", info.name,
		       cli_size(info.capacity_bytes, text), info.disks, info.disks == 1 ? "" : "s");
	return r;
}

/* How it grew. */
static void say_grown(const struct pool_info *before, const struct pool_info *after)
{
	char size[CLI_SIZE_TEXT], more[CLI_SIZE_TEXT];

	printf("pool '%s' has %s on %u disk%s, %s more than before\n", after->name,
	       cli_size(after->capacity_bytes, size), after->disks, after->disks == 1 ? "" : "s",
	       cli_size(after->capacity_bytes - before->capacity_bytes, more));
}

static int grow_do(struct fiber *f, struct pool *pool, struct cli *cli)
{
	struct pool_info before, after;
	int r;

	pool_info(pool, &before);
	r = cli->new_disk ? pool_add_disk(f, pool, cli->new_disk, cli->force) : pool_grow(f, pool);
	if (r < 0)
		return r;
	pool_info(pool, &after);
	say_grown(&before, &after);
	return 0;
}

static int grow_main(struct fiber *f, void *arg)
{
	return cli_with_pool(f, arg, false, grow_do);
}

/* Its name is asked for, so that the wrong disks cost nothing. */
static int destroy_main(struct fiber *f, void *arg)
{
	struct cli *cli = arg;
	const struct pool_import_args args = { .disks = (const char *const *)cli->disks,
					       .disk_count = cli->disk_count,
					       .name = cli->name };
	struct pool *pool;
	int r = pool_import(f, &args, &pool);

	if (r < 0)
		return r;
	r = pool_destroy(f, pool, cli->force);
	if (r == -ENOTEMPTY)
		return cli_leave(f, pool, r);
	if (r == 0)
		printf("pool '%s' destroyed\n", cli->name);
	return r;
}

/* ---- list ---------------------------------------------------------------------------------- */

static int list_do(struct fiber *f, struct pool *pool, struct cli *cli)
{
	char size[CLI_SIZE_TEXT], used[CLI_SIZE_TEXT], uuid[UUID_TEXT_SIZE];
	struct pool_info info;

	pool_info(pool, &info);
	printf("%-20s %-36s %12s %12s %6u %9" PRIu64 " %10" PRIu64 "\n", info.name,
	       uuid_print(&info.uuid, uuid), cli_size(info.capacity_bytes, size),
	       cli_size(info.used_bytes, used), info.disks, info.replicas, info.snapshots);
	return 0;
}

struct listing {
	struct cli *cli;
	struct pool_label *labels; /* of each of its disks */
	struct err bad;		   /* the last that is not in order */
};

/* Only one error can be the answer: those before it are told at once. */
static void list_bad(struct fiber *f, struct listing *list)
{
	if (list->bad.code)
		fprintf(stderr, "mayastor pool list: %s\n", err_words(&list->bad));
	list->bad = *fiber_err(f);
	fiber_clear(f);
}

static void list_look(struct fiber *f, struct listing *list)
{
	struct cli *cli = list->cli;
	unsigned kept = 0;

	for (unsigned i = 0; i < cli->disk_count; i++) {
		char *uri = cli->disks[i];

		cli->disks[i] = NULL;
		if (pool_look(f, uri, &list->labels[kept]) == 0) {
			cli->disks[kept++] = uri;
			continue;
		}
		list_bad(f, list);
		mem_free(uri);
	}
	cli->disk_count = kept;
}

/* Disks first..*ret_end-1 are those of the pool of the first one. */
static void list_gather(struct listing *list, unsigned first, unsigned *ret_end)
{
	unsigned end = first + 1;

	for (unsigned i = end; i < list->cli->disk_count; i++) {
		struct pool_label label = list->labels[i];
		char *uri = list->cli->disks[i];

		if (memcmp(label.pool.bytes, list->labels[first].pool.bytes, 16) != 0)
			continue;
		list->labels[i] = list->labels[end];
		list->cli->disks[i] = list->cli->disks[end];
		list->labels[end] = label;
		list->cli->disks[end++] = uri;
	}
	*ret_end = end;
}

/* Every pool, also when one disk or pool is not in order. */
static int list_main(struct fiber *f, void *arg)
{
	struct cli *cli = arg;
	struct listing list = { .cli = cli };

	list.labels = mem_alloc_array(&cli->heap.mem, cli->disk_count, sizeof(*list.labels));
	if (!list.labels)
		return fiber_fail(f, -ENOMEM, "no memory");
	list_look(f, &list);
	if (cli->disk_count)
		printf("%-20s %-36s %12s %12s %6s %9s %10s\n", "POOL", "UUID", "SIZE", "USED",
		       "DISKS", "REPLICAS", "SNAPSHOTS");
	for (unsigned first = 0, end; first < cli->disk_count; first = end) {
		struct cli one = { .disks = cli->disks + first };

		list_gather(&list, first, &end);
		one.disk_count = end - first;
		if (cli_with_pool(f, &one, true, list_do) < 0)
			list_bad(f, &list);
	}
	mem_free(list.labels);
	*fiber_err(f) = list.bad;
	return list.bad.code;
}

/* ---- check, dump ------------------------------------------------------------------------------ */

static void say_line(void *ctx, const char *line)
{
	const struct cli *cli = ctx;

	if (!cli->quiet)
		puts(line);
}

static int check_main(struct fiber *f, void *arg)
{
	struct cli *cli = arg;

	return pool_check(f, (const char *const *)cli->disks, cli->disk_count, say_line, cli,
			  &cli->checked);
}

static int dump_main(struct fiber *f, void *arg)
{
	struct cli *cli = arg;

	return pool_dump(f, (const char *const *)cli->disks, cli->disk_count, say_line, cli);
}

static void report(const struct cli *cli)
{
	const struct pool_check_result *res = &cli->checked;

	if (cli->verb->main != check_main)
		return;
	printf("%" PRIu64 " objects, %" PRIu64 " pages, %" PRIu64 " clusters, %" PRIu64
	       " log records checked\n",
	       res->objects, res->pages, res->clusters, res->log_records);
	if (res->errors == 0) {
		puts("no errors");
		return;
	}
	printf("%" PRIu64 " errors, %" PRIu64 " clusters and %" PRIu64 " pages leaked, %" PRIu64
	       " bytes of data lost\n",
	       res->errors, res->leaked_clusters, res->leaked_pages, res->lost_bytes);
}

static const struct cli_verb verbs[] = {
	{ "create", "NAME", CLI_CLUSTER | CLI_OVERCOMMIT | CLI_UUID | CLI_FORCE, 0,
	  "make a pool of blank disks; --force takes them whatever they bear", create_main },
	{ "list", "", 0, 0, "which pools there are on any disks", list_main },
	{ "grow", "", 0, 0, "use what the disks grew by", grow_main },
	{ "add", "", CLI_NEW_DISK | CLI_FORCE, CLI_NEW_DISK, "take one more disk", grow_main },
	{ "destroy", "NAME", CLI_FORCE, 0, "wipe its disks; --force also with replicas in it",
	  destroy_main },
	{ "check", "", CLI_QUIET, 0, "verify everything; changes nothing", check_main },
	{ "dump", "", CLI_QUIET, 0, "print superblock, replicas and snapshots", dump_main },
};

static const struct cli_noun noun = {
	.name = "pool",
	.help = "Pools that no node has imported.",
	.verbs = verbs,
	.verb_count = ARRAY_LEN(verbs),
	.report = report,
};

int command_pool(int argc, char **argv)
{
	return cli_main(&noun, argc, argv);
}
