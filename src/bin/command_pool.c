// SPDX-License-Identifier: Apache-2.0
/*
 * command_pool - `mayastor pool ...`: pools without a running node.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "bin/commands.h"
#include "engine/node.h"
#include "pool/pool.h"

struct pool_command {
	const char *const *disks;
	unsigned disk_count;
	bool quiet;
	struct pool_check_result result;
};

static void say_line(void *ctx, const char *line)
{
	const struct pool_command *cmd = ctx;

	if (!cmd->quiet)
		puts(line);
}

static int check_main(struct fiber *f, void *arg)
{
	struct pool_command *cmd = arg;

	return pool_check(f, cmd->disks, cmd->disk_count, say_line, cmd, &cmd->result);
}

static int dump_main(struct fiber *f, void *arg)
{
	struct pool_command *cmd = arg;

	return pool_dump(f, cmd->disks, cmd->disk_count, say_line, cmd);
}

static void check_report(const struct pool_check_result *res)
{
	printf("%" PRIu64 " objects, %" PRIu64 " pages, %" PRIu64 " clusters, %" PRIu64
	       " log records checked\n",
	       res->objects, res->pages, res->clusters, res->log_records);
	if (res->errors == 0) {
		puts("no errors");
		return;
	}
	printf("%" PRIu64 " errors, %" PRIu64 " clusters and %" PRIu64
	       " pages leaked, %" PRIu64 " bytes of data lost\n",
	       res->errors, res->leaked_clusters, res->leaked_pages, res->lost_bytes);
}

static const struct pool_verb {
	const char *name, *help;
	fiber_fn main;
} verbs[] = {
	{ "check", "verify a pool that no node has imported; changes nothing", check_main },
	{ "dump", "print superblock, replicas and snapshots of such a pool", dump_main },
};

static void pool_usage(FILE *to)
{
	fputs("Usage: mayastor pool VERB [--quiet] DISK...\n\n"
	      "DISK is a path or the URI of a block device; all disks of the pool, in any order.\n\n"
	      "Verbs:\n",
	      to);
	for (unsigned i = 0; i < ARRAY_LEN(verbs); i++)
		fprintf(to, "  %-6s %s\n", verbs[i].name, verbs[i].help);
	fputs("\nExit codes: 0 in order, 1 errors were found, 2 could not be done, 64 wrong usage.\n", to);
}

/* A path is a file:// URI; the strings live as long as the process. */
static const char *disk_uri(const char *text)
{
	size_t size = strlen(text) + sizeof("file://");
	char *uri;

	if (text[0] != '/')
		return text;
	uri = malloc(size);
	if (!uri)
		abort();
	snprintf(uri, size, "file://%s", text);
	return uri;
}

static int verb_run(const struct pool_verb *verb, struct pool_command *cmd)
{
	const struct node_opts opts = { .reactors = 1 };
	struct err err = { 0 };
	struct node node;
	int r = node_run(&node, &opts, verb->main, cmd, &err);

	if (r < 0) {
		fprintf(stderr, "mayastor pool %s: %s\n", verb->name, err_words(&err));
		return EXIT_FAILED;
	}
	if (verb->main == check_main)
		check_report(&cmd->result);
	return cmd->result.errors ? EXIT_FOUND : 0;
}

int command_pool(int argc, char **argv)
{
	struct pool_command cmd = { 0 };
	const char **disks;
	int code;

	if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
		pool_usage(stdout);
		return 0;
	}
	disks = calloc((size_t)argc, sizeof(*disks));
	if (!disks)
		abort();
	for (int i = 2; i < argc; i++)
		if (strcmp(argv[i], "--quiet") == 0)
			cmd.quiet = true;
		else
			disks[cmd.disk_count++] = disk_uri(argv[i]);
	cmd.disks = disks;
	for (unsigned i = 0; argc > 1 && cmd.disk_count && i < ARRAY_LEN(verbs); i++)
		if (strcmp(argv[1], verbs[i].name) == 0) {
			code = verb_run(&verbs[i], &cmd);
			free(disks);
			return code;
		}
	free(disks);
	pool_usage(stderr);
	return EXIT_USAGE;
}
