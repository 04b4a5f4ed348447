/* SPDX-License-Identifier: Apache-2.0 */
/* commands - the subcommands of mayastor. */
#ifndef BIN_COMMANDS_H
#define BIN_COMMANDS_H

#define EXIT_FOUND  1 /* it ran, and found something wrong */
#define EXIT_FAILED 2 /* it could not be done */
#define EXIT_USAGE  64

struct command {
	const char *name, *help;
	int (*run)(int argc, char **argv); /* exit code */
};

int command_daemon(int argc, char **argv);
int command_export(int argc, char **argv);
int command_nexus(int argc, char **argv);
int command_pool(int argc, char **argv);
int command_replica(int argc, char **argv);

#endif
