/* SPDX-License-Identifier: Apache-2.0 */
/*
 * export_door - what the doors of `mayastor export` have in common, and what each brings.
 *
 * The dispatcher (command_export.c) reads the options all doors know; service.h runs it.
 */
#ifndef BIN_EXPORT_DOOR_H
#define BIN_EXPORT_DOOR_H

#include <stdbool.h>
#include <stddef.h>

#include "bin/service.h"

struct fiber;

#define EXPORT_SHARES_MAX 1024u
#define EXPORT_ADDRS_MAX  16u
#define EXPORT_NQNS_MAX   64u
#define EXPORT_HOSTS_MAX  256u

struct export_share {
	const char *name; /* NULL: none was given */
	const char *uri;
	const char *description;
	bool read_only;
	unsigned group; /* of the door: the subsystem it belongs to */
};

/* A host that may connect to a subsystem. */
struct export_host {
	const char *nqn;
	unsigned group;
};

struct export_command {
	const struct export_door *door;
	char who[32]; /* for words */
	struct service service;
	void *opened; /* the door's */
	unsigned share_count, addr_count;
	struct export_share shares[EXPORT_SHARES_MAX];
	const char *addrs[EXPORT_ADDRS_MAX]; /* of the door: where it listens */

	/* of the NVMe/TCP door */
	unsigned nqn_count, host_count;
	const char *nqns[EXPORT_NQNS_MAX];
	bool is_replica[EXPORT_NQNS_MAX];
	struct export_host hosts[EXPORT_HOSTS_MAX];
	const char *digest;
	bool is_one_path; /* a host is connected by one address at a time */
};

struct export_door {
	const char *name, *help;
	const char *options; /* lines of its help text */
	/* An option of the door's own: 1 taken with its value, 0 unknown, -1 wrong (told). */
	int (*option)(struct export_command *cmd, const char *name, const char *value);
	/* Is all there that it needs? Says what is not. */
	bool (*check)(struct export_command *cmd);
	int (*open)(struct fiber *f, struct export_command *cmd, void **ret);
	void (*print)(const struct export_command *cmd, void *opened);
	void (*hangup)(struct fiber *f, void *opened); /* SIGHUP */
	void (*close)(struct fiber *f, void *opened);
};

extern const struct export_door export_nbd;
extern const struct export_door export_nvmf;

#endif
