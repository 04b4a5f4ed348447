// SPDX-License-Identifier: Apache-2.0
/*
 * command_replica - `mayastor replica ...`: replicas, snapshots and clones without a
 * running node.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "bin/cli.h"
#include "bin/commands.h"

static const struct uuid *uuid_given(const struct cli *cli)
{
	return cli->given & CLI_UUID ? &cli->uuid : NULL;
}

static int create_do(struct fiber *f, struct pool *pool, struct cli *cli)
{
	const struct replica_create_args args = { .name = cli->name,
						  .uuid = uuid_given(cli),
						  .size_bytes = cli->size,
						  .thick = cli->thick };

	return replica_create(f, pool, &args);
}

static int resize_do(struct fiber *f, struct pool *pool, struct cli *cli)
{
	return replica_resize(f, pool, cli->name, cli->size);
}

static int rename_do(struct fiber *f, struct pool *pool, struct cli *cli)
{
	return replica_rename(f, pool, cli->name, cli->operands[1]);
}

static int snapshot_do(struct fiber *f, struct pool *pool, struct cli *cli)
{
	return snapshot_create(f, pool, cli->name, cli->operands[1], uuid_given(cli));
}

static int clone_do(struct fiber *f, struct pool *pool, struct cli *cli)
{
	return clone_create(f, pool, cli->name, cli->operands[1], uuid_given(cli));
}

static int destroy_do(struct fiber *f, struct pool *pool, struct cli *cli)
{
	struct replica_stat stat;
	int r = replica_stat(f, pool, cli->name, &stat);

	if (r < 0)
		return r;
	return stat.kind == REPLICA_SNAPSHOT ? snapshot_destroy(f, pool, cli->name) :
					       replica_destroy(f, pool, cli->name);
}

/* ---- list ---------------------------------------------------------------------------------- */

struct listing {
	struct fiber *f;
	struct pool *pool;
	bool usage;
};

static const char *const kinds[] = { "replica", "snapshot", "clone" };

static int list_one(void *ctx, const struct replica_stat *stat)
{
	const struct listing *list = ctx;
	char size[CLI_SIZE_TEXT], used[CLI_SIZE_TEXT];
	struct replica_usage usage;

	printf("%-24s %-9s %12s %12s", stat->name, kinds[stat->kind],
	       cli_size(stat->size_bytes, size), cli_size(stat->allocated_bytes, used));
	if (list->usage) {
		int r = replica_usage(list->f, list->pool, stat->name, &usage);

		if (r < 0) {
			putchar('\n');
			return r;
		}
		printf(" %12s %12s", cli_size(usage.referenced_bytes, size),
		       cli_size(usage.exclusive_bytes, used));
	}
	printf(" %s%s%s\n", stat->parent[0] ? stat->parent : "-", stat->thick ? " thick" : "",
	       stat->discarded ? " discarded" : "");
	return 0;
}

static int list_do(struct fiber *f, struct pool *pool, struct cli *cli)
{
	struct listing list = { f, pool, cli->usage };

	printf("%-24s %-9s %12s %12s", "NAME", "KIND", "SIZE", "ALLOCATED");
	if (cli->usage)
		printf(" %12s %12s", "REFERENCED", "EXCLUSIVE");
	puts(" OF");
	return replica_each(f, pool, list_one, &list);
}

/* Walks are of what is in the trees: what the log holds must get there first. */
static int list_main(struct fiber *f, void *arg)
{
	struct cli *cli = arg;

	return cli_with_pool(f, cli, !cli->usage, list_do);
}

/* ---- the table ------------------------------------------------------------------------------- */

#define VERB_MAIN(verb)                                         \
	static int verb##_main(struct fiber *f, void *arg)      \
	{                                                       \
		return cli_with_pool(f, arg, false, verb##_do); \
	}

VERB_MAIN(create)
VERB_MAIN(resize)
VERB_MAIN(rename)
VERB_MAIN(snapshot)
VERB_MAIN(clone)
VERB_MAIN(destroy)

static const struct cli_verb verbs[] = {
	{ "create", "POOL/NAME", CLI_SIZE | CLI_THICK | CLI_UUID, CLI_SIZE,
	  "make a replica of --size, thin unless --thick", create_main },
	{ "list", "", CLI_USAGE, 0, "replicas, snapshots and clones", list_main },
	{ "resize", "POOL/NAME", CLI_SIZE, CLI_SIZE, "make it larger", resize_main },
	{ "rename", "POOL/NAME NEW", 0, 0, "give it another name", rename_main },
	{ "snapshot", "POOL/NAME SNAPSHOT", CLI_UUID, 0, "freeze it as it is now", snapshot_main },
	{ "clone", "POOL/SNAPSHOT NAME", CLI_UUID, 0,
	  "a writable replica that starts as the snapshot", clone_main },
	{ "destroy", "POOL/NAME", 0, 0, "replica, clone, or snapshot (with its last clone)",
	  destroy_main },
};

static const struct cli_noun noun = {
	.name = "replica",
	.help = "Replicas, snapshots and clones of a pool that no node has imported.",
	.verbs = verbs,
	.verb_count = ARRAY_LEN(verbs),
};

int command_replica(int argc, char **argv)
{
	return cli_main(&noun, argc, argv);
}
