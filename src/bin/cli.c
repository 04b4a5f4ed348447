// SPDX-License-Identifier: Apache-2.0
/* cli - running a verb on pools that no node has imported. See cli.h. */
#include "bin/cli.h"

#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "bin/commands.h"
#include "engine/node.h"

const char *cli_size(uint64_t bytes, char text[CLI_SIZE_TEXT])
{
	static const char *const units[] = { "bytes", "KiB", "MiB", "GiB", "TiB", "PiB" };
	double value = (double)bytes;
	unsigned unit = 0;

	for (; value >= 1024 && unit + 1 < ARRAY_LEN(units); unit++)
		value /= 1024;
	snprintf(text, CLI_SIZE_TEXT, "%.*f %s", unit ? 1 : 0, value, units[unit]);
	return text;
}

int cli_leave(struct fiber *f, struct pool *pool, int r)
{
	struct err first = *fiber_err(f);
	int left;

	if (r == 0)
		return pool_export(f, pool);
	fiber_clear(f);
	left = pool_export(f, pool);
	*fiber_err(f) = first;
	return r < 0 ? r : left;
}

int cli_with_pool(struct fiber *f, struct cli *cli, bool read_only, cli_pool_fn fn)
{
	const struct pool_import_args args = { .disks = (const char *const *)cli->disks,
					       .disk_count = cli->disk_count,
					       .name = cli->pool[0] ? cli->pool : NULL,
					       .read_only = read_only };
	struct pool *pool;
	int r = pool_import(f, &args, &pool);

	return r < 0 ? r : cli_leave(f, pool, fn(f, pool, cli));
}

static int run(struct cli *cli)
{
	const struct node_opts opts = { .reactors = 1 };
	struct err err = { 0 };
	struct node node;
	int r = node_run(&node, &opts, cli->verb->main, cli, &err);

	if (r < 0) {
		fprintf(stderr, "mayastor %s %s: %s\n", cli->noun->name, cli->verb->name,
			err_words(&err));
		return EXIT_FAILED;
	}
	if (cli->noun->report)
		cli->noun->report(cli);
	return cli->checked.errors ? EXIT_FOUND : 0;
}

static const struct cli_verb *verb_find(const struct cli_noun *noun, const char *name)
{
	for (unsigned i = 0; i < noun->verb_count; i++)
		if (strcmp(name, noun->verbs[i].name) == 0)
			return &noun->verbs[i];
	return NULL;
}

int cli_main(const struct cli_noun *noun, int argc, char **argv)
{
	struct cli cli = { .noun = noun };
	int code = EXIT_USAGE;

	if (argc < 2) {
		cli_usage(stderr, noun);
		return EXIT_USAGE;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
		cli_usage(stdout, noun);
		return 0;
	}
	cli.verb = verb_find(noun, argv[1]);
	if (!cli.verb) {
		fprintf(stderr,
			"mayastor %s: there is no '%s'; 'mayastor %s --help' lists what there is\n",
			noun->name, argv[1], noun->name);
		return EXIT_USAGE;
	}
	mem_heap_init(&cli.heap);
	if (cli_decode(&cli, argc - 2, argv + 2) == 0)
		code = run(&cli);
	for (unsigned i = 0; i < cli.disk_count; i++)
		mem_free(cli.disks[i]);
	mem_free(cli.disks);
	mem_free(cli.new_disk);
	mem_heap_fini(&cli.heap);
	return code;
}
