/* SPDX-License-Identifier: Apache-2.0 */
/* command_daemon - the options of `mayastor daemon`. */
#ifndef BIN_COMMAND_DAEMON_H
#define BIN_COMMAND_DAEMON_H

#include "engine/daemon.h"

#define DAEMON_TEXT_SIZE 256
#define DAEMON_NOTES_MAX 64u

struct daemon_command {
	struct daemon_opts daemon;
	unsigned reactors;
	unsigned grpc_port, replica_port, nexus_port;
	const char *grpc;		     /* -g; NULL: loopback */
	const char *interface;		     /* -T; NULL: the address of -g */
	const char *notes[DAEMON_NOTES_MAX]; /* options that change nothing here */
	unsigned note_count;
	bool json_log, wants_help;
	char node[DAEMON_TEXT_SIZE], host[DAEMON_TEXT_SIZE];
};

/* 0, or -EINVAL after a line on standard error. */
int daemon_args(struct daemon_command *cmd, int argc, char **argv);
void daemon_usage(void);

#endif
