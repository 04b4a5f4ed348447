// SPDX-License-Identifier: Apache-2.0
/*
 * command_pool - `mayastor pool ...`: pools without a running node.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
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
	printf("%" PRIu64 " errors, %" PRIu64 " clusters and %" PRIu64 " pages leaked, %" PRIu64
	       " bytes of data lost\n",
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
	fputs("\nExit codes: 0 in order, 1 errors were found, 2 could not be done, 64 wrong usage.\n",
	      to);
}

/* A path is a file:// URI. */
static char *disk_uri(struct mem *mem, const char *text)
{
	return text[0] == '/' ? mem_printf(mem, "file://%s", text) : mem_strdup(mem, text);
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

static const struct pool_verb *verb_find(const char *name)
{
	for (unsigned i = 0; i < ARRAY_LEN(verbs); i++)
		if (strcmp(name, verbs[i].name) == 0)
			return &verbs[i];
	return NULL;
}

static int disks_take(struct mem *mem, struct pool_command *cmd, char **disks, int argc,
		      char **argv)
{
	for (int i = 2; i < argc; i++) {
		if (strcmp(argv[i], "--quiet") == 0) {
			cmd->quiet = true;
			continue;
		}
		disks[cmd->disk_count] = disk_uri(mem, argv[i]);
		if (!disks[cmd->disk_count++])
			return -ENOMEM;
	}
	return 0;
}

int command_pool(int argc, char **argv)
{
	const struct pool_verb *verb = argc > 2 ? verb_find(argv[1]) : NULL;
	struct pool_command cmd = { 0 };
	struct mem_heap heap;
	char **disks;
	int code = EXIT_FAILED;

	if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
		pool_usage(stdout);
		return 0;
	}
	if (!verb) {
		pool_usage(stderr);
		return EXIT_USAGE;
	}
	mem_heap_init(&heap);
	disks = mem_alloc_array(&heap.mem, (size_t)argc, sizeof(*disks));
	if (disks && disks_take(&heap.mem, &cmd, disks, argc, argv) == 0) {
		cmd.disks = (const char *const *)disks;
		code = verb_run(verb, &cmd);
	}
	for (unsigned i = 0; disks && i < cmd.disk_count; i++)
		mem_free(disks[i]);
	mem_free(disks);
	mem_heap_fini(&heap);
	return code;
}
