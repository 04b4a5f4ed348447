// SPDX-License-Identifier: Apache-2.0
/*
 * mayastor - the storage node, one binary with subcommands.
 *
 * Exit codes: 0 success; 1 it ran, and what it looked at is not in order; 2 it could not be
 * done (one line on standard error says why); 64 wrong usage.
 */
#include <stdio.h>
#include <string.h>

#include "bin/commands.h"

static const struct command commands[] = {
	{ "daemon", "a storage node, driven over gRPC", command_daemon },
	{ "export", "offer disks to NBD clients, until interrupted", command_export },
	{ "nexus", "volumes out of several disks: create, serve, list, show, destroy",
	  command_nexus },
	{ "pool", "create, list, grow, check and dump pools on this machine's disks",
	  command_pool },
	{ "replica", "create, list, snapshot, clone and destroy what is in a pool",
	  command_replica },
};

static void usage(FILE *to)
{
	fputs("Usage: mayastor COMMAND [ARGUMENT]...\n\n"
	      "A storage node: pools of disks, thin volumes, snapshots and clones.\n\nCommands:\n",
	      to);
	for (unsigned i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		fprintf(to, "  %-10s %s\n", commands[i].name, commands[i].help);
	fputs("\n'mayastor COMMAND --help' says more.\n", to);
}

int main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : NULL;

	if (!name) {
		usage(stderr);
		return EXIT_USAGE;
	}
	if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) {
		usage(stdout);
		return 0;
	}
	for (unsigned i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (strcmp(name, commands[i].name) == 0)
			return commands[i].run(argc - 1, argv + 1);
	if (name[0] == '-') /* as the published engine is started */
		return command_daemon(argc, argv);
	fprintf(stderr, "mayastor: there is no command '%s'; 'mayastor --help' lists them\n", name);
	return EXIT_USAGE;
}
