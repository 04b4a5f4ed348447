// SPDX-License-Identifier: Apache-2.0
/*
 * command_export - `mayastor export DOOR ...`: disks for clients on this machine or elsewhere, until
 * interrupted.
 *
 *	options -> reactors -> pools -> door open -> SIGINT, SIGTERM -> door closed -> pools exported
 *	                                   \ SIGHUP: the door looks at its disks again
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "bin/commands.h"
#include "bin/export_door.h"
#include "engine/node.h"
#include "pool/pool.h"
#include "reactor/wait.h"

static const struct export_door *const doors[] = { &export_nbd, &export_nvmf };

/* ---- help ------------------------------------------------------------------------------ */

static void door_usage(const struct export_door *door, FILE *to)
{
	fprintf(to,
		"Usage: mayastor export %s [OPTION]...\n\n%s, until interrupted.\n\n"
		"Exports, each begun by --uri:\n"
		"  --uri URI            the disk: file:///path, pool:///POOL/REPLICA, malloc:///x?size_mb=64 ...\n"
		"  --name NAME          what clients call it\n"
		"  --description TEXT   a line for humans\n"
		"  --read-only          also if the disk is not\n\n"
		"%s\n"
		"The node:\n"
		"  --pool DISK[,DISK]   import the pool on these disks (paths or URIs); once a pool\n"
		"  --pools-read-only    import them without writing anything\n"
		"  --reactors N         threads; default 1\n"
		"  --pin                one core each\n\n"
		"SIGHUP: look at the sizes of the disks again.\n"
		"Exit codes: 0 interrupted, 2 could not be done, 64 wrong usage.\n",
		door->name, door->help, door->options);
}

static void export_usage(FILE *to)
{
	fputs("Usage: mayastor export DOOR [OPTION]...\n\nDoors:\n", to);
	for (unsigned i = 0; i < ARRAY_LEN(doors); i++)
		fprintf(to, "  %-6s %s\n", doors[i]->name, doors[i]->help);
	fputs("\n'mayastor export DOOR --help' says more.\n", to);
}

/* ---- options ------------------------------------------------------------------------------ */

static bool usage_error(const char *words, const char *what)
{
	fprintf(stderr, "mayastor export: %s%s\n", words, what);
	return false;
}

static bool take_pool(struct mem *mem, struct export_command *cmd, const char *disks)
{
	struct export_pool *pool = &cmd->pools[cmd->pool_count];

	if (cmd->pool_count == EXPORT_POOLS_MAX)
		return usage_error("too many pools: ", disks);
	cmd->pool_count++;
	for (const char *end; *disks; disks = *end ? end + 1 : end) {
		end = strchrnul(disks, ',');
		if (pool->disk_count == EXPORT_DISKS_MAX)
			return usage_error("too many disks: ", disks);
		char *disk = mem_printf(mem, "%s%.*s", *disks == '/' ? "file://" : "",
					(int)(end - disks), disks);
		if (!disk)
			return usage_error("no memory", "");
		pool->disks[pool->disk_count++] = disk;
	}
	return pool->disk_count > 0 || usage_error("--pool without disks", "");
}

static bool take_share(struct export_command *cmd, const char *name, const char *value)
{
	struct export_share *share;

	if (strcmp(name, "--uri") == 0) {
		if (cmd->share_count == EXPORT_SHARES_MAX)
			return usage_error("too many exports: ", value);
		cmd->shares[cmd->share_count++].uri = value;
		return true;
	}
	if (cmd->share_count == 0)
		return usage_error("an export begins with --uri: ", name);
	share = &cmd->shares[cmd->share_count - 1];
	if (strcmp(name, "--name") == 0)
		share->name = value;
	else if (strcmp(name, "--description") == 0)
		share->description = value;
	else
		share->read_only = true;
	return true;
}

static bool take_number(const char *value, unsigned max, unsigned *ret)
{
	char *end;
	unsigned long n = strtoul(value, &end, 10);

	if (*end || end == value || n == 0 || n > max)
		return usage_error("not a number of 1 and more: ", value);
	*ret = (unsigned)n;
	return true;
}

static const struct export_option {
	const char *name;
	bool has_value;
} options[] = {
	{ "--uri", true },	   { "--name", true },
	{ "--description", true }, { "--pool", true },
	{ "--reactors", true },	   { "--read-only", false },
	{ "--pin", false },	   { "--pools-read-only", false },
};

static const struct export_option *option_find(const char *name)
{
	for (unsigned i = 0; i < ARRAY_LEN(options); i++)
		if (strcmp(options[i].name, name) == 0)
			return &options[i];
	return NULL;
}

static bool take_common(struct mem *mem, struct export_command *cmd, const char *name,
			const char *value)
{
	if (strcmp(name, "--pool") == 0)
		return take_pool(mem, cmd, value);
	if (strcmp(name, "--reactors") == 0)
		return take_number(value, REACTORS_MAX, &cmd->reactors);
	if (strcmp(name, "--pin") == 0)
		return cmd->pin = true;
	if (strcmp(name, "--pools-read-only") == 0)
		return cmd->pools_read_only = true;
	return take_share(cmd, name, value);
}

static bool take_options(struct mem *mem, struct export_command *cmd, int argc, char **argv)
{
	for (int i = 2; i < argc; i++) {
		const struct export_option *option = option_find(argv[i]);
		const char *value = i + 1 < argc ? argv[i + 1] : NULL;
		int r;

		if (option && option->has_value && !value)
			return usage_error("a value is missing: ", argv[i]);
		if (option) {
			if (!take_common(mem, cmd, argv[i], value))
				return false;
			i += option->has_value;
			continue;
		}
		r = value ? cmd->door->option(cmd, argv[i], value) : 0;
		if (r == 0)
			return usage_error("what is this: ", argv[i]);
		if (r < 0)
			return false;
		i++;
	}
	if (cmd->share_count == 0)
		return usage_error("nothing to export: --uri is missing", "");
	return cmd->door->check(cmd);
}

/* ---- running --------------------------------------------------------------------------------- */

struct run {
	struct export_command *cmd;
	struct pool *pools[EXPORT_POOLS_MAX];
	unsigned pool_count;
	struct event event;
	bool over;
};

static void run_signal(void *ctx, int signo)
{
	struct run *run = ctx;

	run->over |= signo != SIGHUP;
	event_set(&run->event);
}

static int pools_import(struct fiber *f, struct run *run)
{
	const struct export_command *cmd = run->cmd;

	for (; run->pool_count < cmd->pool_count; run->pool_count++) {
		const struct export_pool *pool = &cmd->pools[run->pool_count];
		const struct pool_import_args args = {
			.disks = (const char *const *)pool->disks,
			.disk_count = pool->disk_count,
			.read_only = cmd->pools_read_only,
		};
		int r = pool_import(f, &args, &run->pools[run->pool_count]);

		if (r < 0)
			return r;
	}
	return 0;
}

static int pools_export(struct fiber *f, struct run *run, int status)
{
	while (run->pool_count > 0) {
		int r = pool_export(f, run->pools[--run->pool_count]);

		status = status < 0 ? status : r;
	}
	return status;
}

static int run_door(struct fiber *f, struct run *run)
{
	const struct export_door *door = run->cmd->door;
	void *opened;
	int r = door->open(f, run->cmd, &opened);

	if (r < 0)
		return r;
	door->print(run->cmd, opened);
	fflush(stdout);
	while (!run->over) {
		event_clear(&run->event);
		event_wait_always(f, &run->event);
		if (!run->over)
			door->hangup(f, opened);
	}
	door->close(f, opened);
	return 0;
}

static const int signals[] = { SIGINT, SIGTERM, SIGHUP, 0 };

static int export_main(struct fiber *f, void *arg)
{
	struct run *run = arg;
	struct io_signal *watches[ARRAY_LEN(signals)] = { NULL };
	unsigned count = 0;
	int r = 0;

	event_init(&run->event);
	for (; signals[count] && r == 0; count++)
		r = io_signal_watch(fiber_io(f), signals[count], run_signal, run, &watches[count]);
	if (r < 0)
		r = fiber_fail(f, r, "signals cannot be watched");
	if (r == 0)
		r = pools_import(f, run);
	if (r == 0)
		r = run_door(f, run);
	r = pools_export(f, run, r);
	for (unsigned i = 0; i < count; i++)
		if (watches[i])
			io_signal_free(watches[i]);
	return r;
}

static int export_run(struct export_command *cmd)
{
	const struct node_opts opts = { .reactors = cmd->reactors, .pin = cmd->pin };
	struct run run = { .cmd = cmd };
	struct err err = { 0 };
	struct node node;

	io_block_signals(signals);
	if (node_run(&node, &opts, export_main, &run, &err) < 0) {
		fprintf(stderr, "mayastor export %s: %s\n", cmd->door->name, err_words(&err));
		return EXIT_FAILED;
	}
	return 0;
}

static void command_free(struct export_command *cmd)
{
	for (unsigned i = 0; i < cmd->pool_count; i++)
		for (unsigned j = 0; j < cmd->pools[i].disk_count; j++)
			mem_free(cmd->pools[i].disks[j]);
	mem_free(cmd);
}

static int export_door(const struct export_door *door, int argc, char **argv)
{
	struct export_command *cmd;
	struct mem_heap heap;
	int code = EXIT_FAILED;

	mem_heap_init(&heap);
	cmd = mem_alloc(&heap.mem, sizeof(*cmd));
	if (cmd) {
		cmd->door = door;
		cmd->reactors = 1;
		code = take_options(&heap.mem, cmd, argc, argv) ? export_run(cmd) : EXIT_USAGE;
		command_free(cmd);
	}
	mem_heap_fini(&heap);
	return code;
}

static bool is_help(const char *arg)
{
	return strcmp(arg, "--help") == 0 || strcmp(arg, "-h") == 0;
}

int command_export(int argc, char **argv)
{
	if (argc > 1 && is_help(argv[1])) {
		export_usage(stdout);
		return 0;
	}
	for (unsigned i = 0; argc > 1 && i < ARRAY_LEN(doors); i++) {
		if (strcmp(argv[1], doors[i]->name) != 0)
			continue;
		if (argc > 2 && is_help(argv[2])) {
			door_usage(doors[i], stdout);
			return 0;
		}
		return export_door(doors[i], argc, argv);
	}
	export_usage(stderr);
	return EXIT_USAGE;
}
