// SPDX-License-Identifier: Apache-2.0
/*
 * command_export - `mayastor export DOOR ...`: disks for clients on this machine or elsewhere, until
 * interrupted. What runs it is service.h; SIGHUP: the door looks at its disks again.
 */
#include <stdio.h>
#include <string.h>

#include "bin/commands.h"
#include "bin/export_door.h"

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
		return service_take_pool(&cmd->service, mem, value);
	if (strcmp(name, "--reactors") == 0)
		return service_take_number(&cmd->service, value, REACTORS_MAX,
					   &cmd->service.reactors);
	if (strcmp(name, "--pin") == 0)
		return cmd->service.pin = true;
	if (strcmp(name, "--pools-read-only") == 0)
		return cmd->service.pools_read_only = true;
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

static int export_open(struct fiber *f, void *ctx)
{
	struct export_command *cmd = ctx;
	int r = cmd->door->open(f, cmd, &cmd->opened);

	if (r == 0)
		cmd->door->print(cmd, cmd->opened);
	return r;
}

static void export_hangup(struct fiber *f, void *ctx)
{
	struct export_command *cmd = ctx;

	cmd->door->hangup(f, cmd->opened);
}

static void export_close(struct fiber *f, void *ctx)
{
	struct export_command *cmd = ctx;

	cmd->door->close(f, cmd->opened);
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
		snprintf(cmd->who, sizeof(cmd->who), "mayastor export %s", door->name);
		cmd->service = (struct service){ .who = cmd->who,
						 .reactors = 1,
						 .open = export_open,
						 .hangup = export_hangup,
						 .close = export_close,
						 .ctx = cmd };
		code = EXIT_USAGE;
		if (take_options(&heap.mem, cmd, argc, argv))
			code = service_run(&cmd->service);
		service_free_pools(&cmd->service);
		mem_free(cmd);
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
